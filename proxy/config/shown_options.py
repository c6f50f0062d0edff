"""Options of plug-ins as the YAML would say them: with their units, and without what is secret."""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any, Final, get_args, get_origin, get_type_hints

from msgspec import to_builtins

from proxy.config.tree import SECRET
from proxy.core.markers import Marker
from proxy.core.units import Unit, format_duration, format_share, format_size

_FORMATS: Final[Mapping[Unit, Callable[[Any], str]]] = {
    Unit.DURATION: format_duration,
    Unit.SIZE: format_size,
    Unit.SHARE: format_share,
}


def shown_options(cls: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given to the plug-in of this class."""
    hints = get_type_hints(cls, include_extras=True)
    return {name: _shown(hints.get(name), value) for name, value in options.items()}


def _shown(hint: Any, value: Any) -> Any:
    extras = getattr(hint, "__metadata__", ())
    if Marker.SECRET in extras:
        return dict.fromkeys(value, SECRET) if isinstance(value, dict) else SECRET
    unit = next((extra for extra in extras if isinstance(extra, Unit)), None)
    if unit is not None and isinstance(value, int | float):
        return _FORMATS[unit](value)
    if is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return shown_options(hint, value)
    if isinstance(value, list | tuple) and get_origin(hint) in (list, tuple):
        return [_shown(get_args(hint)[0], each) for each in value]
    # A union, or what an annotation is about: by the first member that has something to say.
    told = (_shown(inner, value) for inner in get_args(hint) if inner not in extras)
    return next((each for each in told if each != value), to_builtins(value))
