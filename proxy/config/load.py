"""The road from a file to a Document: read, validate, check, translate; every problem at once."""

import re
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Environ
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec.structs import replace as replace_in
from pydantic import ValidationError

from proxy.config import yaml
from proxy.config.address_checks import address_problems, bound
from proxy.config.admin_checks import admin_problems
from proxy.config.diagnosis import diagnose
from proxy.config.flag_checks import flags_file, read_flags
from proxy.config.flags import to_settings
from proxy.config.notices import notices
from proxy.config.plugin_checks import Loader, read_files, with_options
from proxy.config.problems import Place, Problem, tidy
from proxy.config.rollout_checks import flag_step_problems, rollout_problems, step_problems
from proxy.config.root import Root
from proxy.config.route_checks import placement_problems, route_problems
from proxy.config.service_checks import service_problems
from proxy.config.sources import find_config, read
from proxy.config.translate import to_document
from proxy.config.tree import SECRET, Mapping, Scalar, Tree, scalars
from proxy.pools.registry import EndpointRegistry
from proxy.snapshot.compile import CompileError, compile_snapshot
from proxy.snapshot.document import Document

__all__ = ["Loaded", "find_config", "load", "load_text"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a configuration: a Document, perhaps with warnings, or problems."""

    document: Document | None
    problems: list[Problem]
    warnings: list[Problem]
    tree: Mapping | None = field(default=None, repr=False)
    hide: Callable[[Problem], Problem] = field(default=lambda problem: problem, repr=False)
    """Takes out of a problem what came from a variable or is a secret."""

    def conceal(self, text: str) -> str:
        """The text, masked where a scalar that came from a variable says the same."""
        there = self.tree is not None and any(each.secret and each == text for each in scalars(self.tree))
        return SECRET if there else text

    def discreet(self, text: str) -> str:
        """A sentence, without what came from a variable."""
        return self.hide(Place("").problem(text)).message

    @property
    def files(self) -> tuple[Path, ...]:
        """Other files that it is made of."""
        found = None if self.tree is None else flags_file(self.tree)
        return () if found is None else (found,)

    def place_of_bind(self, address: str) -> Place:
        """Where an address of the Document that we listen at was written; the whole file where it is a default."""
        if self.tree is None:
            raise LookupError("nothing was read that could have places")
        found = (one.place for one in bound(self.tree) if str(one.address) == address and not one.is_default)
        return next(found, Place(self.tree.place.file))

    def place_of_access_log(self) -> Place:
        """Where it says what requests are logged to."""
        if self.tree is None:
            raise LookupError("nothing was read that could have places")
        section = self.tree.get("access_log", self.tree)
        found: Tree = section.get("path", section) if isinstance(section, Mapping) else section
        return found.place


def load(path: Path, environ: Environ[str, str], loader: Loader | None = None) -> Loaded:
    """Read a file, or a directory of `*.yaml`; never raises for what is in it.

    With a `loader` users' plug-ins are loaded, to see whether they are there and what options they take; without,
    nothing that users wrote is run.
    """
    return _loaded(read(path, environ), loader)


def load_text(text: str, name: str, environ: Environ[str, str]) -> Loaded:
    """The same of a text that stands in no file; `name` is what problems call it, and where relative paths begin."""
    return _loaded(yaml.parse(text, name, environ))


def _loaded(parsed: yaml.Parsed, loader: Loader | None = None) -> Loaded:
    if parsed.tree is None:
        return Loaded(None, tidy(parsed.problems), [])
    if not isinstance(parsed.tree, Mapping):
        problem = parsed.tree.place.problem("the top level must be a mapping", "it begins with listeners: …")
        return Loaded(None, tidy([*parsed.problems, problem]), [])
    return _judged(parsed.tree, parsed.problems, loader)


def _judged(written: Mapping, found: list[Problem], loader: Loader | None) -> Loaded:
    tree = _without_extensions(written)
    checks = (_blanks, address_problems, admin_problems, service_problems, route_problems, rollout_problems)
    problems = [*found, *(problem for check in checks for problem in check(tree))]
    flags, of_flags = read_flags(tree)
    problems += of_flags
    document = None
    try:
        root = Root.model_validate(tree)
    except ValidationError as error:
        problems += diagnose(error, tree)
    else:
        document = None if problems else to_document(root)
    if document is not None and flags is not None:
        document = replace_in(document, flags=replace_in(flags, settings=to_settings(root.flag_settings)))
    if document is not None and root.plugins is not None:
        files, of_files = read_files(tree, root.plugins.path)
        problems += of_files
        document = replace_in(document, plugins=files)
    if document is not None and not problems:
        problems += list(step_problems(document.rollouts, tree)) or list(flag_step_problems(document, tree))
        problems += list(placement_problems(document, tree)) or _compile_problems(document, tree.place)
    if document is not None and not problems and loader is not None and document.uses:
        document, of_options = with_options(document, tree, loader(document.plugins, document.uses))
        problems += of_options
    hide = _mask(written)
    warnings = [] if problems else list(map(hide, notices(tree)))
    return Loaded(None if problems else document, tidy(map(hide, problems)), tidy(warnings), written, hide)


def _compile_problems(document: Document, place: Place) -> list[Problem]:
    """What compiling refuses, and nothing before has: told without a place rather than not at all."""
    try:
        compile_snapshot(document, 0, EndpointRegistry(), lambda: 0.0, cookie_keys=("trial",), token=bytes)
    except CompileError as error:
        return [Place(place.file).problem(problem) for problem in error.problems]
    return []


def _without_extensions(tree: Mapping) -> Mapping:
    """The same without the top-level `x-…` keys, which are there for anchors."""
    kept = Mapping(tree.place)
    for name, key in tree.keys_.items():
        if not name.startswith("x-"):
            kept.put(key, tree[name])
    return kept


def _blanks(tree: Tree) -> Iterator[Problem]:
    """Keys and dashes with nothing after them; quotes make an empty text."""
    for scalar in scalars(tree):
        if scalar.missing and not scalar:
            yield scalar.place.problem("no value stands here", "remove the key, or give it a value")


def _mask(tree: Mapping) -> Callable[[Problem], Problem]:
    """What takes out of a problem whatever came from a variable or stands in a secret field.

    Messages are written not to tell it in the first place; this holds what slipped through.
    """
    admin, keys = tree.section("admin"), tree.sequence("cookie_keys")
    tokens = admin.sequence("tokens").mappings()
    typed = [admin.get("token"), *(token.get("value") for token in tokens), *keys, *_passwords(tree)]
    secrets = {str(one) for one in (*scalars(tree), *typed) if isinstance(one, Scalar) and (one.secret or one in typed)}
    pattern = re.compile("|".join(sorted(map(_as_token, filter(None, secrets)), key=len, reverse=True)) or r"(?!)")

    def hide(problem: Problem) -> Problem:
        return replace(problem, message=pattern.sub(SECRET, problem.message), hint=pattern.sub(SECRET, problem.hint))

    return hide


def _passwords(tree: Tree) -> Iterator[Scalar]:
    """Everything that stands where `basic_auth` has its hashes, and `ofrep` its token."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            if name == "basic_auth" and isinstance(value, Mapping):
                users = value.get("users")
                inner = users.values() if isinstance(users, Mapping) else (users,)
                yield from (each for part in inner if part is not None for each in scalars(part))
            elif name == "ofrep" and isinstance(value, Mapping):
                yield from scalars(value.get("token", Mapping(value.place)))
            else:
                yield from _passwords(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _passwords(value)


def _as_token(secret: str) -> str:
    """Short secrets only where they stand apart: a 1 from a variable must not mangle every number."""
    escaped = re.escape(secret)
    return escaped if len(secret) > 5 else rf"(?<!\w){escaped}(?!\w)"
