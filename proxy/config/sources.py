"""Files to one tree: reading, decoding, and merging a directory."""

import errno
import os
from collections.abc import Iterator
from collections.abc import Mapping as Environ
from pathlib import Path
from typing import Final

from proxy.config import yaml
from proxy.config.problems import Place, Problem
from proxy.config.tree import Mapping, Scalar, Sequence, Tree, shown

MAX_BYTES: Final = 4 * 1024 * 1024
SEARCHED: Final = (Path("sluice.yaml"), Path("/etc/sluice/sluice.yaml"))


def find_config() -> Path | None:
    """The configuration that stands where one is looked for, or None."""
    return next((path for path in SEARCHED if path.exists()), None)


def read(path: Path, environ: Environ[str, str] | None) -> yaml.Parsed:
    """The tree of a file, or of all `*.yaml` of a directory, merged; never raises for what is there.

    Without `environ` nothing in it is a variable.
    """
    try:
        return _read_directory(path, environ) if path.is_dir() else _read_file(path, environ)
    except (OSError, ValueError) as error:
        return _refused(path, _reason(error))


def _read_directory(path: Path, environ: Environ[str, str] | None) -> yaml.Parsed:
    files = sorted(file for file in path.glob("*.yaml") if not file.name.startswith("."))
    if not files:
        return _refused(path, "the directory holds no *.yaml file")
    parsed = [read(file, environ) if not file.is_dir() else _refused(file, "is a directory") for file in files]
    problems = [problem for one in parsed for problem in one.problems]
    if any(one.tree is None for one in parsed):
        return yaml.Parsed(None, problems)
    merged = Mapping(Place(str(path)))
    for one in parsed:
        problems += _merge(merged, one.tree)
    return yaml.Parsed(merged, problems)


def _read_file(path: Path, environ: Environ[str, str] | None) -> yaml.Parsed:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        return _refused(path, "the file is larger than 4 MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return yaml.Parsed(None, [_not_utf8(path, data, error.start)])
    return yaml.parse(text, str(path), environ)


def _not_utf8(path: Path, data: bytes, index: int) -> Problem:
    before = data[:index]
    line = before[before.rfind(b"\n") + 1 :].decode("utf-8-sig", "replace")
    place = Place(str(path), before.count(b"\n") + 1, len(line) + 1)
    return place.problem(f"the byte 0x{data[index]:02x} is not UTF-8", "save the file as UTF-8")


def _merge(merged: Mapping, tree: Tree | None) -> Iterator[Problem]:
    """Put one more file's top level into what is merged so far: lists are joined, mappings united."""
    if not isinstance(tree, Mapping):
        if tree is not None:
            yield tree.place.problem(f"the top level must be a mapping, not {shown(tree)}")
        return
    for name, key in tree.keys_.items():
        yield from _merge_key(merged, key, tree[name])


def _merge_key(merged: Mapping, key: Scalar, value: Tree) -> Iterator[Problem]:
    there = merged.get(key)
    if there is None:
        merged.put(key, _copy(value))
    elif isinstance(there, Sequence) and isinstance(value, Sequence):
        there.extend(value)
    elif key == "services" and isinstance(there, Mapping) and isinstance(value, Mapping):
        for name, inner in value.keys_.items():
            if name in there:
                yield _twice(inner, there.keys_[name])
            else:
                there.put(inner, value[name])
    else:
        yield _twice(key, merged.keys_[key])


def _copy(value: Tree) -> Tree:
    """A copy of what merging may add to: an anchor's value must not grow with the place that uses it."""
    if isinstance(value, Mapping):
        copy = Mapping(value.place)
        for name, key in value.keys_.items():
            copy.put(key, value[name])
        return copy
    if isinstance(value, Sequence):
        items = Sequence(value.place)
        items.extend(value)
        return items
    return value


def _twice(key: Scalar, first: Scalar) -> Problem:
    place = first.place
    hint = f"first at {place.file}:{place.line}:{place.column}"
    return key.place.problem(f"the key {shown(key)} stands here twice", hint)


def _refused(path: Path, message: str) -> yaml.Parsed:
    return yaml.Parsed(None, [Place(str(path)).problem(message)])


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM):
        return "the file may not be read"
    text = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return f"the file cannot be read: {text}"
