"""The configuration on disk: what it says, whether that could be taken, and how often it was read."""

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from proxy.config.effective import effective
from proxy.config.load import Loaded, load, load_text
from proxy.config.problems import Problem
from proxy.control.fleet import BindError
from proxy.control.refusal import Refusal
from proxy.control.views import CheckView, ReloadCounts
from proxy.core.appending import open_log, reason
from proxy.plugins.library import loaded_library
from proxy.snapshot.document import Document

log = logging.getLogger("sluice")


class ConfigFile:
    """One configuration, a file or a directory. `problems` say why it is not in force as it is, `warnings` what in it
    is probably not meant; `counts` are reloads by what came of them.
    """

    def __init__(self, path: Path, environ: Mapping[str, str] = os.environ) -> None:
        self.path = path
        self.problems: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self.counts = ReloadCounts()
        self._environ = environ
        self._taken: Loaded | None = None
        self._files: tuple[Path, ...] = ()

    async def read(self) -> Loaded:
        """What it says now."""
        loaded = await asyncio.to_thread(load, self.path, self._environ, loaded_library)
        self._files = loaded.files
        return loaded

    def files(self) -> tuple[Path, ...]:
        """Other files that it is made of, as of when it was last read."""
        return self._files

    async def check(self, text: str | None = None) -> CheckView:
        """What a reload would find, but for what users wrote; or what is to be said of a text."""
        if text is None:
            loaded = await asyncio.to_thread(load, self.path, self._environ)
        else:
            name = self.path / "posted.yaml" if self.path.is_dir() else self.path
            loaded = await asyncio.to_thread(load_text, text, str(name), self._environ)
        return CheckView(not loaded.problems, tuple(map(str, loaded.problems)), tuple(map(str, loaded.warnings)))

    # -- what came of it

    def start(self, loaded: Loaded) -> None:
        """It is what the proxy starts with."""
        self._note(loaded)
        for warning in self.warnings:
            log.warning("%s", warning)

    def take(self, loaded: Loaded, *, changed: bool) -> None:
        """It is in force now, as far as overrides leave it."""
        self._note(loaded)
        kind = "applied" if changed else "unchanged"
        self.counts = msgspec.structs.replace(self.counts, **{kind: getattr(self.counts, kind) + 1})

    def reject(self, problems: tuple[str, ...]) -> bool:
        """It cannot be taken; whether that is news."""
        self.counts = msgspec.structs.replace(self.counts, rejected=self.counts.rejected + 1)
        is_new = problems != self.problems
        self.problems = problems
        if is_new:
            for problem in problems:
                log.error("the configuration is not taken: %s", problem)
        return is_new

    def _note(self, loaded: Loaded) -> None:
        self._taken = loaded
        self.problems = ()
        self.warnings = tuple(map(str, loaded.warnings))

    # -- what it keeps secret

    def effective(self, document: Document) -> dict[str, Any]:
        """A document in the words of the YAML and without its secrets."""
        taken = self._taken
        if taken is None or taken.tree is None:
            detail = "the file was not valid at the start, so what in it is secret is not known; mend it first"
            raise Refusal(409, detail, self.problems)
        return effective(document, taken.tree)

    def discreet(self, text: str) -> str:
        """A sentence, without what the file has from a variable."""
        return text if self._taken is None else self._taken.discreet(text)

    def conceal(self, text: str) -> str:
        """The text, masked where the file has it from a variable."""
        return text if self._taken is None else self._taken.conceal(text)


def told(problems: list[Problem]) -> tuple[str, ...]:
    """Problems as people read them."""
    return tuple(map(str, problems))


def bind_problems(loaded: Loaded, error: BindError) -> tuple[str, ...]:
    """What is wrong where the file asks for an address that cannot be had."""
    problems = []
    for address, why in error.failed.items():
        place = loaded.place_of_bind(address)
        problem = place.problem(f"cannot listen on {address}: {why}", _remedy(why))
        problems.append(str(loaded.hide(problem)))
    return tuple(problems)


def log_problems(loaded: Loaded) -> tuple[str, ...]:
    """What is wrong where the file wants a log that cannot be opened; workers are the ones who would find it."""
    settings = None if loaded.document is None else loaded.document.access_log
    if settings is None:
        return ()
    try:
        os.close(open_log(settings.path))
    except OSError as error:
        return worker_problems(loaded, (f"access_log: {settings.path} cannot be opened: {reason(error)}",))
    return ()


def worker_problems(loaded: Loaded, problems: tuple[str, ...]) -> tuple[str, ...]:
    """What workers refuse, with its place where it can be told."""
    return tuple(
        str(loaded.hide(loaded.place_of_access_log().problem(text.removeprefix("access_log: "))))
        if text.startswith("access_log: ")
        else text
        for text in problems
    )


def _remedy(why: str) -> str:
    if why == os.strerror(13).lower():
        return "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one"
    return "is another process, or another sluice, using it? choose another address, or stop that one"
