"""Plug-ins of a configuration: the files, and, where their classes are loaded, the options that each class takes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace
from pydantic import ValidationError

from proxy.config.diagnosis import diagnose
from proxy.config.plugins import options_type
from proxy.config.problems import Place, Problem
from proxy.config.tree import Mapping
from proxy.filters.site import Classes
from proxy.plugins.files import PluginFiles
from proxy.plugins.library import PATIENCE, in_time, made
from proxy.snapshot.document import PLUGIN, Document, Plugin

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MAX_BYTES: Final = 4 * 1024 * 1024  # of all files together

LATER: Final = "do in open() what takes long"

Loader = Callable[[PluginFiles | None, tuple[str, ...]], Classes]
"""Loads classes, and so runs what users wrote."""


def read_files(tree: Mapping, path: str) -> tuple[PluginFiles | None, list[Problem]]:
    """Every Python file below the path, by module name; and what keeps them from being that."""
    place = (tree.section("plugins").scalar("path") or tree).place
    folder = Path(path)
    if not folder.is_dir():
        return None, [place.problem(f"{path} is not a directory", "plugins: {path: …} is where the Python files are")]
    modules: dict[str, str] = {}
    problems: list[Problem] = []
    size = 0
    for file in sorted(folder.rglob("*.py")):
        name = ".".join(file.relative_to(folder).with_suffix("").parts)
        if not all(part.isidentifier() for part in name.split(".")):
            continue  # not a module's name: nobody can mean it
        try:
            text = file.read_bytes()
            modules[name.removesuffix(".__init__")] = text.decode()
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Place(str(file)).problem(f"cannot be read: {error}"))
            continue
        size += len(text)
        problems += _not_python(modules[name.removesuffix(".__init__")], file)
        if size > MAX_BYTES:
            return None, [place.problem(f"the Python files below {path} are larger than 4 MiB", "keep data elsewhere")]
    return PluginFiles(path, modules), problems


def _not_python(text: str, file: Path) -> Iterator[Problem]:
    try:
        compile(text, str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line, column = getattr(error, "lineno", None) or 0, getattr(error, "offset", None) or 1
        yield Place(str(file), line, max(column, 1)).problem(f"not Python: {getattr(error, 'msg', error)}")


@dataclass(slots=True)
class _Check:
    """The plug-ins of one document, with the options that their classes make of what is written."""

    classes: Classes
    problems: list[Problem] = field(default_factory=list)

    def filters(self, plugins: tuple[Plugin, ...], section: Mapping) -> tuple[Plugin, ...]:
        written = section.sequence("filters").mappings()
        return tuple(self._filter(*pair) for pair in zip(plugins, written, strict=True))

    def _filter(self, plugin: Plugin, written: Mapping) -> Plugin:
        if plugin.kind != PLUGIN:
            return plugin
        tree = written.section(PLUGIN)
        use = tree.scalar("use") or written
        from pydantic import TypeAdapter  # noqa: PLC0415 - 0.2 MiB for who has plug-ins

        try:
            cls = self.classes.get(plugin.options["use"])
            adapter = TypeAdapter(options_type(cls, made))
        except (ValueError, TypeError, NameError) as error:
            self.problems.append(use.place.problem(str(error)))
            return plugin
        options = self._options(adapter, cls, tree)
        return plugin if options is None else replace(plugin, options={**plugin.options, "options": options})

    def _options(self, adapter: "TypeAdapter[Any]", cls: type[Any], tree: Mapping) -> dict[str, Any] | None:
        options = tree.get("options", Mapping((tree.scalar("use") or tree).place))
        try:
            found: dict[str, Any] = in_time(partial(adapter.validate_python, options))
        except TimeoutError:
            place = (tree.scalar("use") or tree).place
            self.problems.append(place.problem(f"it was still being made of its options after {PATIENCE:g} s", LATER))
            return None
        except ValidationError as error:
            names = [each.name for each in fields(cls) if each.init]
            self.problems += diagnose(error, options, lambda _loc: names)
            return None
        except (NameError, TypeError, AttributeError) as error:  # what a type in quotes names is not there
            place = (tree.scalar("use") or tree).place
            self.problems.append(place.problem(f"the types of its fields are not known: {error}"))
            return None
        return found


def with_options(document: Document, tree: Mapping, classes: Classes) -> tuple[Document, list[Problem]]:
    """The document with every plug-in's options as its class takes them, and what keeps them from it."""
    check = _Check(classes)
    services = tree.section("services")
    everywhere = check.filters(document.filters, tree)
    of_services = tuple(
        replace(service, filters=check.filters(service.filters, services.section(service.name)))
        for service in document.services
    )
    sections = tree.sequence("routes").mappings()
    of_routes = tuple(
        replace(route, filters=check.filters(route.filters, section))
        for route, section in zip(document.routes, sections, strict=True)
    )
    return replace(document, filters=everywhere, services=of_services, routes=of_routes), check.problems
