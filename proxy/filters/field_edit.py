"""Fields to set, add and remove: compiled once, and applied to a block of field lines in one pass."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxy.filters.field_checks import field_lines
from proxy.filters.template import Make, template
from proxy.http1 import fields
from proxy.http1.facts import Facts


@dataclass(frozen=True, slots=True)
class FieldEdit:
    """A change of field lines: all fields of the lower-case names in `gone` leave, `lines` come at the end.

    Where a value is a template, `made` has all lines instead, in order: plain ones, and (`name: `, value) pairs.
    """

    gone: frozenset[bytes]
    lines: bytes
    made: tuple[bytes | tuple[bytes, Make], ...] = ()

    def apply(self, block: bytes, facts: Facts) -> bytes:
        """The changed block."""
        kept = fields.without(block, self.gone) if self.gone else block
        return kept + (self._lines(facts) if self.made else self.lines)

    def _lines(self, facts: Facts) -> bytes:
        lines = []
        for line in self.made:
            if isinstance(line, bytes):
                lines.append(line)
            elif value := line[1](facts):  # what comes out empty is left out
                lines += (line[0], value, b"\r\n")
        return b"".join(lines)


def field_edit(setting: Mapping[str, str], adding: Mapping[str, str], removing: Iterable[str]) -> FieldEdit:
    """The edit that first removes, then sets, then adds.

    ValueError where a field could break the message, or braces hold the name of no template.
    """
    _require_once(setting)
    gone = frozenset(name.lower().encode() for name in (*setting, *removing))
    lines = [_line(name, value) for name, value in (*setting.items(), *adding.items())]
    if all(isinstance(line, bytes) for line in lines):
        return FieldEdit(gone, b"".join(line for line in lines if isinstance(line, bytes)))
    return FieldEdit(gone, b"", tuple(lines))


def _require_once(setting: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in setting:
        if name.lower() in seen:
            raise ValueError(f"header {name!r} is set twice, and its case does not count; keep one of them")
        seen.add(name.lower())


def _line(name: str, text: str) -> bytes | tuple[bytes, Make]:
    plain = field_lines({name: text})
    value = template(text)
    if value == text:
        return plain
    if isinstance(value, str):
        return field_lines({name: value})
    return name.encode() + b": ", value.make
