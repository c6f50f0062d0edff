"""Writes a split into the configuration on disk: found, spliced, and swapped in with one rename."""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from proxy.config.persist import has_service, persisted
from proxy.config.problems import WrongError
from proxy.control.refusal import Refusal


def write_split(config: Path, service: str, shares: Mapping[str, float]) -> Path:
    """Put a service's split (shares of 100) into the file, or the directory's file, that has it; which one.

    Refusal (409) where it cannot be done; nothing was written then.
    """
    try:
        file = _file_of(config, service)
        data = file.read_bytes()
        mark, text = _decoded(data)
        made = persisted(text, service, shares)
        if made != text:
            _replace(file, data, mark + made.encode())
    except WrongError as wrong:
        raise Refusal(409, f"the split of {service} cannot be written: {wrong}; {wrong.hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Refusal(409, f"the split of {service} cannot be written: {why.lower()}") from error
    return file


def _decoded(data: bytes) -> tuple[bytes, str]:
    """The byte order mark, and the text after it."""
    mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
    return mark, data.removeprefix(mark).decode()


def _file_of(config: Path, service: str) -> Path:
    """Where the service is written, links followed: a rename must not put a file in the place of a link."""
    files = sorted(config.glob("*.yaml")) if config.is_dir() else [config]
    for file in files:
        if not file.name.startswith(".") and has_service(_decoded(file.read_bytes())[1], service):
            return file.resolve()
    raise WrongError(f"the service is not literally in {config}", "change it by hand")


def _replace(file: Path, before: bytes, after: bytes) -> None:
    """Another content under the same name, at once and for good."""
    found = file.stat()
    # Not *.yaml, and hidden: a directory of configuration must not take it for a part of itself.
    beside = file.with_name(f".{file.name}.{secrets.token_hex(4)}.new")
    try:
        with beside.open("xb") as new:
            os.fchmod(new.fileno(), found.st_mode & 0o7777)
            with suppress(PermissionError):
                os.fchown(new.fileno(), found.st_uid, found.st_gid)
            new.write(after)
            new.flush()
            os.fsync(new.fileno())
        if file.read_bytes() != before:
            raise WrongError("somebody else has just changed the file", "try again")
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
