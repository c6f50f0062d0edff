"""`${NAME}` and `${NAME:-default}` in scalars; `$${` is a literal `${`.

Variables are put in after parsing, so that a value can never add structure. A plain scalar gets its meaning from what
it is then; a quoted one stays a text. As in a shell, the default also stands in for an empty variable.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxy.config.problems import WrongError

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_INSIDE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:-)(.*))?", re.DOTALL)

# `[${KEY}]` is no YAML: in a flow collection the brace ends the scalar. While the parser reads, special characters
# inside a reference are moved to a private plane of Unicode, one for one, so that places stay right.
_SHIELD: Final = {ord(char): 0xF0000 + ord(char) for char in "{}[],:#&*!|>%@`?-"}
_UNSHIELD: Final = {moved: char for char, moved in _SHIELD.items()}
_FLAT: Final = re.compile(r"\$\{[^}\"'\n\r]*\}")
_TAKEN: Final = re.compile("[\U000f0000-\U000f007f]")


@dataclass(frozen=True, slots=True)
class Substituted:
    """A text with its variables put in. `used`: there were some. `wrong`: those that cannot be had."""

    text: str
    used: bool
    wrong: tuple[WrongError, ...]


def shield(source: str) -> str:
    """The source, of the same length, with its references safe from the parser."""
    if "${" not in source or _TAKEN.search(source):
        return source
    return _FLAT.sub(lambda found: "$" + found[0][1:].translate(_SHIELD), source)


def unshield(text: str) -> str:
    """What was written, of a text that the parser made of a shielded source."""
    return text.translate(_UNSHIELD) if _TAKEN.search(text) else text


def substitute(text: str, environ: Mapping[str, str]) -> Substituted:
    """The text with its variables put in."""
    if "${" not in text:
        return Substituted(text, used=False, wrong=())
    wrong: list[WrongError] = []
    used = False

    def value(found: re.Match[str]) -> str:
        nonlocal used
        if found[0] == "$${":
            return "${"
        used = True
        try:
            return _value(found[1], environ)
        except WrongError as error:
            wrong.append(error)
            return ""

    replaced = _REFERENCE.sub(value, text)
    return Substituted(replaced, used, tuple(wrong))


def _value(inside: str | None, environ: Mapping[str, str]) -> str:
    parts = _INSIDE.fullmatch(inside or "")
    if parts is None or "${" in (parts[3] or ""):
        raise WrongError("not a variable", "write ${NAME} or ${NAME:-default}, and $${ for a literal ${")
    name, default = parts[1], parts[3]
    if name not in environ and default is None:
        raise WrongError(f"the variable {name} is not set", f"set it, or write ${{{name}:-default}}")
    value = environ.get(name, "")
    return default if default is not None and not value else value
