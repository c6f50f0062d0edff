"""How single values are read: from the scalar as written to the type of the Document, with the schema for editors."""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from proxy.config.addresses import Address, parse_bind, parse_endpoint
from proxy.config.problems import WrongError
from proxy.config.tree import SECRET, Scalar, shown
from proxy.core.units import parse_duration, parse_share, parse_size

Parse = Callable[[Scalar], Any]
Schema = dict[str, Any]

_VARIABLE: Final[Schema] = {"type": "string", "pattern": r"\$\{"}
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # RFC 9110 §5.6.2
_PART: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(%?)")
_RANGE: Final = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_ON: Final = re.compile(r"connect|reset|timeout|5xx|[45][0-9]{2}")
_MOST_CONTENT: Final = 1024 * 1024  # bytes
_METHOD: Final = re.compile(r"[A-Z][A-Z0-9-]{0,31}")


@dataclass(frozen=True, eq=False)
class Written:
    """Annotates a field that is one scalar: `parse` makes its value or raises ValueError, `schema` is for editors."""

    parse: Parse
    schema: Schema

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> Schema:
        return dict(self.schema)

    def read(self, value: Any) -> Any:
        """The value of a scalar; WrongError where it has none, without telling what came from a variable."""
        if not isinstance(value, Scalar):
            raise WrongError(f"one value belongs here, not {shown(value)}")
        try:
            return self.parse(value)
        except ValueError as error:
            raise WrongError.of(self._discreet(value) if value.secret else error) from None

    def _discreet(self, value: Scalar) -> ValueError:
        """What would be said if a harmless text stood in the place of a secret one."""
        try:
            self.parse(Scalar.at(value.place, SECRET, plain=False))
        except ValueError as error:
            return error
        return WrongError("the value of the variable does not fit here")


def off(written: Written) -> Written:
    """The same, or `off`, which is None."""

    def parse(scalar: Scalar) -> Any:
        return None if scalar == "off" else written.parse(scalar)

    return Written(parse, {"anyOf": [{"const": "off"}, written.schema]})


def text(scalar: Scalar) -> str:
    """The text as written, whatever YAML takes it for."""
    return str(scalar)


def whole(least: int, most: int = 10**9) -> Written:
    """A whole number within bounds."""

    def parse(scalar: Scalar) -> int:
        value = scalar.value
        if isinstance(value, bool) or not isinstance(value, int):
            raise WrongError(f"{shown(scalar)} is not a whole number", "write it in digits, without quotes")
        if not least <= value <= most:
            raise WrongError(f"{shown(scalar)} is not between {least} and {most}")
        return value

    return Written(parse, {"anyOf": [{"type": "integer", "minimum": least, "maximum": most}, _VARIABLE]})


def number(scalar: Scalar) -> float:
    """Any number."""
    value = scalar.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WrongError(f"{shown(scalar)} is not a number", "write it in digits, without quotes")
    return float(value)


def _weight(scalar: Scalar) -> float:
    value = number(scalar)
    if not 0 < value <= 1_000_000:
        raise WrongError(
            f"{shown(scalar)} is no weight", "a weight is more than 0; drain or remove what shall take nothing"
        )
    return value


def flag(scalar: Scalar) -> bool:
    """true or false."""
    value = scalar.value
    if not isinstance(value, bool):
        raise WrongError(f"{shown(scalar)} is neither true nor false", "yes, no, on and off are texts in YAML 1.2")
    return value


def choice(*known: Any) -> Written:
    """One of the values, compared as written."""
    by_text = {str(value): value for value in known}

    def parse(scalar: Scalar) -> Any:
        if str(scalar) not in by_text:
            raise WrongError(f"{shown(scalar)} is not known here", f"write {' or '.join(by_text)}")
        return by_text[str(scalar)]

    return Written(parse, {"enum": list(known)})


def _positive_duration(scalar: Scalar) -> float:
    seconds = parse_duration(str(scalar))
    if not seconds:
        raise WrongError(f"{shown(scalar)} is no time at all", "write how long it may take, such as 5s")
    return seconds


def _duration(scalar: Scalar) -> float:
    return parse_duration(str(scalar))


def _size(scalar: Scalar) -> int:
    return parse_size(str(scalar))


def _positive_size(scalar: Scalar) -> int:
    size = _size(scalar)
    if not size:
        raise WrongError(f"{shown(scalar)} leaves nothing", "write a size such as 32KiB")
    return size


def _share(scalar: Scalar) -> float:
    return parse_share(str(scalar))


def _chance(scalar: Scalar) -> float:
    share = _share(scalar)
    if not 0 < share <= 0.5:
        raise WrongError(f"{shown(scalar)} is no chance to be wrong by", "write more than 0% and at most 50%, like 1%")
    return share


def _multiple(scalar: Scalar) -> float:
    value = number(scalar)
    if not 1 < value <= 1_000:
        raise WrongError(f"{shown(scalar)} times as often is nothing to rule out", "write more than 1, like 2")
    return value


def _name(scalar: Scalar) -> str:
    if not _NAME.fullmatch(scalar):
        hint = "a name is letters, digits and . _ - and begins with a letter, a digit or _; at most 64 of them"
        raise WrongError(f"{shown(scalar)} is not a name", hint)
    return str(scalar)


def _token(scalar: Scalar) -> str:
    if not _TOKEN.fullmatch(scalar):
        raise WrongError(f"{shown(scalar)} cannot be the name of a cookie or header", "write letters, digits, - and _")
    return str(scalar)


def _secret(scalar: Scalar) -> str:
    if not scalar or not scalar.isascii() or not scalar.isprintable() or " " in scalar:
        raise WrongError("the secret is empty, or holds more than printable ASCII", "make one: openssl rand -hex 32")
    return str(scalar)


def _network(scalar: Scalar) -> str:
    try:
        return str(ip_network(scalar))
    except ValueError:
        raise WrongError(f"{shown(scalar)} is not a network", _network_hint(scalar)) from None


def _network_hint(scalar: Scalar) -> str:
    try:
        return f"did you mean {ip_network(scalar, strict=False)}?"
    except ValueError:
        return "write it like 10.0.0.0/8, 10.1.2.3 or 2001:db8::/32"


def _admin_host(scalar: Scalar) -> str:
    name = scalar.lower().removesuffix(".")
    if not re.fullmatch(r"\[[0-9a-f:.]+\]|[a-z0-9_.-]{1,253}", name):
        raise WrongError(f"{shown(scalar)} is not a host", "write it without scheme, port and path")
    return name


def read_part(scalar: Scalar) -> "Part":
    """One pool's part of a split; ValueError where it is none."""
    found = _PART.fullmatch(scalar)
    if found is None:
        raise WrongError(f"{shown(scalar)} is not a part of a split", "write it like 90, 0.5 or 90%")
    return Part(Fraction(found[1]), percent=bool(found[2]))


@dataclass(frozen=True, slots=True)
class Part:
    """What one pool has of a split: a per cent of all, or its weight relative to the others'."""

    value: Fraction
    percent: bool


def _range(scalar: Scalar) -> tuple[int, int]:
    found = _RANGE.fullmatch(scalar)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if low > high:
        raise WrongError(f"{shown(scalar)} is not a range of statuses", "write it like 200 or 200-399")
    return low, high


def _condition(scalar: Scalar) -> str:
    if not _ON.fullmatch(scalar):
        hint = "write connect, reset, timeout, 5xx or a status from 400 to 599"
        raise WrongError(f"{shown(scalar)} is not something to retry on", hint)
    return str(scalar)


def _method(scalar: Scalar) -> str:
    if not _METHOD.fullmatch(scalar):
        raise WrongError(f"{shown(scalar)} is not a method", "methods are upper case, such as GET or POST")
    return str(scalar)


def _path(scalar: Scalar) -> str:
    if not re.fullmatch(r"/[!-~]*", scalar) or "#" in scalar:
        raise WrongError(f"{shown(scalar)} is not a path", "it begins with a slash and is ASCII without blanks")
    return str(scalar)


def _directory(scalar: Scalar) -> Path:
    return Path(scalar.place.file).parent


def _file(scalar: Scalar) -> str:
    if not scalar or "\0" in scalar:
        raise WrongError("no path stands here")
    return str(Path(_directory(scalar), scalar).absolute())


def _content(scalar: Scalar) -> str:
    """The text of a file. What is wrong with it is told without what is in it."""
    path = Path(_file(scalar))
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_CONTENT + 1)
        text = data.decode()
    except UnicodeDecodeError:
        raise WrongError(f"{shown(scalar)} is not a text in UTF-8") from None
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise WrongError(f"{shown(scalar)} cannot be read: {why}", f"it was looked for at {path}") from None
    if len(data) > _MOST_CONTENT:
        raise WrongError(f"{shown(scalar)} is larger than 1 MiB")
    return text


def read_bind(scalar: Scalar) -> Address:
    """An address to listen at; ValueError where it is none."""
    return parse_bind(str(scalar), _directory(scalar))


def read_endpoint(scalar: Scalar) -> Address:
    """An endpoint's address; ValueError where it is none."""
    return parse_endpoint(str(scalar), _directory(scalar))


def _like(pattern: str, unit: str, example: str, *, numbers: bool = False) -> Schema:
    """A text of this pattern. `unit` tells the schema's writer how to show defaults."""
    texts: list[Schema] = [{"type": "string", "pattern": rf"^({pattern})$|\$\{{", "examples": [example]}]
    return {"anyOf": [*texts, {"type": "number", "minimum": 0}] if numbers else texts, "x-unit": unit}


_DURATIONS: Final = _like(r"[0-9]+(\.[0-9]+)?(ms|s|m|h|d)", "duration", "5s")
_SIZES: Final = _like(r"[0-9]+(B|KiB|MiB|GiB)?", "size", "64KiB", numbers=True)
_SHARES: Final = _like(r"[0-9]+(\.[0-9]+)?%|0|[01]\.[0-9]+", "share", "10%", numbers=True)
_PARTS: Final = _like(r"[0-9]+(\.[0-9]+)?%?", "part", "90%", numbers=True)
_TEXTS: Final[Schema] = {"type": "string", "minLength": 1}
_SCALARS: Final[Schema] = {"type": ["string", "number", "boolean", "null"]}
_ADDRESSES: Final[Schema] = _TEXTS | {"examples": ["127.0.0.1:8080", "[::1]:8080", "unix:/run/sluice.sock"]}

TEXT: Final = Written(text, _SCALARS)
NUMBER: Final = Written(number, {"anyOf": [{"type": "number"}, _VARIABLE]})
FLAG: Final = Written(flag, {"anyOf": [{"type": "boolean"}, _VARIABLE]})
DURATION: Final = Written(_duration, _DURATIONS)
TIME: Final = Written(_positive_duration, _DURATIONS)
SIZE: Final = Written(_size, _SIZES)
SHARE: Final = Written(_share, _SHARES)
CONTENT: Final = Written(_content, _TEXTS)
FILE_PATH: Final = Written(_file, _TEXTS)

Text = Annotated[str, TEXT]
Name = Annotated[str, Written(_name, _SCALARS)]
Token = Annotated[str, Written(_token, _TEXTS)]
MaybeText = Annotated[str | None, off(TEXT)]
MaybeName = Annotated[str | None, Written(_name, _SCALARS)]
MaybeToken = Annotated[str | None, Written(_token, _TEXTS)]
MaybeSecret = Annotated[str | None, Written(_secret, _TEXTS)]
Secret = Annotated[str, Written(_secret, _TEXTS)]
Flag = Annotated[bool, FLAG]
Whole = Annotated[int, whole(0)]
Positive = Annotated[int, whole(1)]
MaybePositive = Annotated[int | None, off(whole(1))]
Weight = Annotated[float, Written(_weight, {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, _VARIABLE]})]
Duration = Annotated[float, DURATION]
Time = Annotated[float, TIME]
MaybeTime = Annotated[float | None, off(TIME)]
MaybeShare = Annotated[float | None, off(SHARE)]
Size = Annotated[int, SIZE]
MaybeSize = Annotated[int | None, off(SIZE)]
PositiveSize = Annotated[int, Written(_positive_size, _SIZES)]
Share = Annotated[float, SHARE]
Chance = Annotated[float, Written(_chance, _SHARES)]
Multiple = Annotated[float, Written(_multiple, {"anyOf": [{"type": "number", "exclusiveMinimum": 1}, _VARIABLE]})]
Network = Annotated[str, Written(_network, _TEXTS)]
AdminHost = Annotated[str, Written(_admin_host, _TEXTS)]
SplitPart = Annotated[Part, Written(read_part, _PARTS)]
StatusRange = Annotated[tuple[int, int], Written(_range, {"type": ["string", "integer"]})]
RetryOn = Annotated[str, Written(_condition, {"type": ["string", "integer"]})]
Method = Annotated[str, Written(_method, _TEXTS)]
UrlPath = Annotated[str, Written(_path, _TEXTS)]
FilePath = Annotated[str, FILE_PATH]
Bind = Annotated[Address, Written(read_bind, _ADDRESSES)]
EndpointAddress = Annotated[Address, Written(read_endpoint, _ADDRESSES)]
