"""Plug-in classes by `module:Class`: from the configuration's files, under a name for each version, or installed."""

import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final, TypeVar, get_type_hints

import msgspec

from proxy.plugins.files import PluginFiles, is_package, split_use
from proxy.plugins.watch import WATCH

T = TypeVar("T")

_ROOT: Final = "_sluice_plugins_"
_HOOKS: Final = {"on_request": 2, "on_response": 2, "on_end": 1}
PATIENCE: Final = 10.0  # seconds for an import, and to see whether a plug-in takes its options


class _Loader:
    """Runs one module's text. Not of importlib.abc's classes: that import alone takes a MiB."""

    def __init__(self, text: str, file: str, *, package: bool) -> None:
        self._text = text
        self._file = file
        self._package = package

    def get_source(self, _fullname: str) -> str:
        return self._text

    def is_package(self, _fullname: str) -> bool:
        return self._package

    def create_module(self, _spec: ModuleSpec) -> None:
        """As the import system makes one."""

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self._file
        exec(compile(self._text, self._file, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - it is asked for


class _Finder:
    """Finds the modules of every version there is."""

    def __init__(self) -> None:
        self.versions: dict[str, PluginFiles] = {}

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root, _, name = fullname.partition(".")
        sources = self.versions.get(root.removeprefix(_ROOT)) if root.startswith(_ROOT) else None
        if sources is None:
            return None
        file = f"{sources.path}/{name.replace('.', '/')}.py"
        package = not name or is_package(name, sources.modules)
        if name and name not in sources.modules and not package:
            return None
        loader = _Loader(sources.modules.get(name, ""), file, package=package)
        return ModuleSpec(fullname, loader, origin=file, is_package=package)  # type: ignore[arg-type]  # see _Loader


_FINDER: Final = _Finder()
_INSTALLED: Final[set[str]] = set()
"""Modules of installed plug-ins that were loaded."""


class Library:
    """The classes that one document uses. `load` runs what users wrote, and may take as long as they like."""

    def __init__(self, files: PluginFiles | None) -> None:
        self.files = files
        self.digest = files.digest if files is not None else ""
        self._found: dict[str, type[Any] | str] = {}

    def get(self, use: str) -> type[Any]:
        """The class; ValueError where it was not, or cannot be, loaded."""
        found = self._found.get(use, "it was not loaded")
        if isinstance(found, type):
            return found
        raise ValueError(f"plug-in {use}: {found}")

    def make(self, use: str, options: Mapping[str, Any]) -> Any:
        """An instance; ValueError where there is no such class, or the options do not fit it."""
        cls = self.get(use)
        WATCH.at_work = use
        try:
            return made(cls, options)
        finally:
            WATCH.at_work = None

    def version(self, use: str) -> str:
        """What tells this class's code from that of other generations; "" for an installed one."""
        return self.digest if self._is_own(use) else ""

    def load(self, uses: Iterable[str]) -> None:
        """Import them; what goes wrong is told by `get`."""
        if self.files is not None:
            _publish(self.files)
        for use in uses:
            if use not in self._found:
                self._found[use] = "it was still being imported after 10 s; do in open() what takes long"
                self._found[use] = self._imported(use)

    def load_in_time(self, uses: Iterable[str]) -> None:
        """The same, in a thread that is not waited for longer than PATIENCE."""
        with suppress(TimeoutError):
            in_time(partial(self.load, tuple(uses)))

    def _is_own(self, use: str) -> bool:
        return self.files is not None and use.partition(":")[0] in self.files.modules

    def _imported(self, use: str) -> type[Any] | str:
        try:
            module_name, name = split_use(use)
            own = self._is_own(use) and self.files is not None
            full = f"{_ROOT}{self.files.digest}.{module_name}" if own and self.files else module_name
            module = importlib.import_module(full)
        except BaseException as error:  # noqa: BLE001 - whatever a module does while it is imported, SystemExit too
            return f"it cannot be imported: {_told(error, self.files)}"
        if not own:
            _INSTALLED.add(module_name)
        cls = getattr(module, name, None)
        if not isinstance(cls, type):
            return f"module {module_name} has no class {name}"
        return _flaw(cls) or cls


def made(cls: type[Any], options: Mapping[str, Any]) -> Any:
    """An instance with these options, which are plain data; ValueError where they do not fit."""
    try:
        hints = get_type_hints(cls, include_extras=True)
    except Exception as error:  # what a name in quotes stands for is anybody's code
        raise ValueError(f"the types of its fields are not known: {error}") from error
    known = [each.name for each in fields(cls) if each.init]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ValueError(f"there is no option {unknown[0]!r}; there is {', '.join(known) or 'none'}")
    try:
        values = {name: msgspec.convert(value, hints[name], strict=True) for name, value in options.items()}
        return cls(**values)
    except ValueError:
        raise
    except BaseException as error:  # its __post_init__ is anybody's code, which may call sys.exit
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"it cannot be made of its options: {why}") from error


def in_time(work: Callable[[], T], patience: float = PATIENCE) -> T:
    """What it returns or raises, from a thread; TimeoutError where it takes longer than `patience` (seconds).

    It is then asked to end, so that what runs for ever does not hold a processor for ever.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - for who waits
            done.set_exception(error)

    thread = threading.Thread(target=run, name="plug-ins", daemon=True)
    thread.start()
    try:
        return done.result(patience)
    finally:
        if not done.done():
            _end(thread)


def _end(thread: threading.Thread) -> None:
    """Raise SystemExit in it, which takes effect as soon as it runs Python's code."""
    import ctypes  # noqa: PLC0415 - 1 MiB for who never needs it

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))


def loaded_library(files: PluginFiles | None, uses: Iterable[str]) -> Library:
    """The library of one document, with what it uses, for a process that runs none of it; imports are waited for."""
    library = Library(files)
    library.load_in_time(uses)
    forget((library.digest,))
    return library


def _publish(sources: PluginFiles) -> None:
    """Let its modules be imported."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)
    _FINDER.versions[sources.digest] = sources


def forget(alive: Iterable[str]) -> None:
    """Drop the modules of all versions but these: what still runs keeps what it has."""
    for digest in _FINDER.versions.keys() - set(alive):
        del _FINDER.versions[digest]
        root = f"{_ROOT}{digest}"
        for name in [name for name in sys.modules if name == root or name.startswith(f"{root}.")]:
            del sys.modules[name]


def is_of_plugin(module: str) -> bool:
    """Is a module of this name a plug-in's?"""
    return module.startswith(_ROOT) or module in _INSTALLED


def _flaw(cls: type[Any]) -> str | None:
    """Why the class is no plug-in; None if it is one."""
    if not is_dataclass(cls):
        return "it is not a dataclass: its fields would be the options; put @dataclass above it"
    there = {name: getattr(cls, name) for name in _HOOKS if hasattr(cls, name)}
    if not there:
        return f"it has none of {', '.join(_HOOKS)}"
    for name, hook in there.items():
        try:
            inspect.signature(hook).bind(None, *[None] * _HOOKS[name])
        except (TypeError, ValueError):
            return f"{name} must take {_HOOKS[name]} argument{'s' if _HOOKS[name] > 1 else ''} beside self"
    return None


def _told(error: BaseException, sources: PluginFiles | None) -> str:
    """The error in one line, with the place in the plug-in's own file where there is one."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SyntaxError):
        return text
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        frames.append((traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    own = [frame for frame in frames if sources is not None and frame[0].startswith(f"{sources.path}/")]
    return f"{text} ({own[-1][0]}:{own[-1][1]})" if own else text
