"""What a request asks for beyond its URL: its body, read whole and no more than that, and its query."""

import asyncio
import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl

import msgspec
from aiohttp import ClientPayloadError, web
from msgspec import Meta, Struct

from proxy.admin.operation import Nothing, Operation, Parameter
from proxy.admin.problem import ProblemError
from proxy.core.units import format_size, parse_duration

MOST: Final = 1024 * 1024
_PATIENCE: Final = 30.0  # seconds for a body to arrive
_LONGEST_WAIT: Final = 365 * 86_400.0
_JSON: Final = re.compile(r"(?i)application/(?:json|[a-z0-9.+-]+\+json)(?:\s*;\s*charset=\"?utf-8\"?)?\s*")

Duration = (
    Annotated[str, Meta(pattern=r"^[0-9]{1,7}(\.[0-9]{1,6})?(ms|s|m|h)$", examples=["30s"])]
    | Annotated[float, Meta(ge=0, le=_LONGEST_WAIT)]
)
Part = Annotated[float, Meta(ge=0, le=1e12)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Split = Annotated[dict[Name, Part], Meta(min_length=1, description="Parts relative to each other, by pool.")]


class FlipOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """Give `to` everything; `move`: sessions that are held elsewhere move, too."""

    to: str
    sessions: Literal["move", "keep"] = "keep"


class DrainOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """When tunnels are closed and held sessions move; `cut`: and running exchanges are cut."""

    deadline: Duration | None = None
    cut: bool = False


class NewEndpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """An address, and how much it takes relative to the pool's others; a `backup`: while none of those is usable.

    Without `backup` an endpoint that is there stays what it is, and a new one is none.
    """

    address: Annotated[str, Meta(min_length=1, max_length=300)]
    weight: Annotated[float, Meta(gt=0, le=1_000_000)] = 1.0
    backup: bool | None = None


class CheckOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """A text to be checked; without one, the file on disk."""

    yaml: str | None = None


def seconds(duration: str | float | None) -> float | None:
    """A duration of a body in seconds; ProblemError where it is longer than anybody waits."""
    found = parse_duration(duration) if isinstance(duration, str) else duration
    if found is not None and not 0 <= found <= _LONGEST_WAIT:
        raise ProblemError(400, f"a deadline of {duration} is longer than a year - at `$.deadline`")
    return found


def check_split(split: dict[str, float]) -> None:
    """Refuse what cannot be meant."""
    total = sum(split.values())
    if not total or not math.isfinite(total):
        raise ProblemError(400, "the split gives nothing to any pool; give at least one more than 0")
    if len(split) == 1 and total != 100:
        (name, value) = next(iter(split.items()))
        hint = f'name the others too, or write {{"{name}": 100}}; on the command line: {name}={value:g} rest'
        raise ProblemError(400, f"the split names {name} alone, and gives it {value:g}; {hint}")


async def read_body(request: web.BaseRequest, operation: Operation) -> Any:
    """The body as the operation declares it; an empty one is `{}`."""
    if operation.takes is not None:
        return await _whole(request, operation.takes)
    data = await _whole(request, MOST)
    if not data:
        data = b"{}"
    elif not _JSON.fullmatch(request.headers.get("Content-Type", "")):
        raise ProblemError(415, "the body must be JSON: Content-Type: application/json")
    if operation.method == "GET":
        return Nothing()
    try:
        return msgspec.json.decode(data, type=operation.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(400, f"the body is not what is expected here: {error}") from error


async def _whole(request: web.BaseRequest, most: int) -> bytes:
    length = request.content_length
    too_large = f"the body is larger than {format_size(most)}"
    if length is not None and length > most:
        raise ProblemError(413, too_large)
    if length and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    data = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE):
            async for piece in request.content.iter_any():
                data += piece
                if len(data) > most:
                    raise ProblemError(413, too_large)
    except TimeoutError:
        raise ProblemError(408, "the body did not arrive in time") from None
    except (web.PayloadAccessError, web.RequestPayloadError, ClientPayloadError, ValueError) as error:
        raise ProblemError(400, "the body cannot be read: it is not framed as it should be") from error
    return bytes(data)


def read_query(text: str, parameters: Iterable[Parameter]) -> dict[str, Any]:
    """What stands in the query, by name; unknown keys and those that stand twice are refused."""
    known = {each.name: each for each in parameters}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=32)
    except ValueError as error:
        raise ProblemError(400, f"the query cannot be read: {error}") from error
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in known:
            there = f"; there is {', '.join(known)}" if known else ""
            raise ProblemError(400, f"unknown key {name[:100]!r} in the query{there}")
        if name in found:
            raise ProblemError(400, f"{name} stands twice in the query")
        try:
            found[name] = known[name].read(value)
        except ValueError:
            raise ProblemError(400, f"{value[:100]!r} is not what {name} may be: {known[name].says}") from None
    return found


def _read_flag(text: str) -> bool:
    return {"": True, "true": True, "1": True, "false": False, "0": False}[text]


def _flag(text: str) -> bool:
    try:
        return _read_flag(text)
    except KeyError:
        raise ValueError(text) from None


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,15}", text):
        raise ValueError(text)
    return int(text)


def _sessions(text: str) -> str:
    if text not in ("move", "keep"):
        raise ValueError(text)
    return text


def _line(text: str) -> str:
    if len(text) > 500:
        raise ValueError(text)
    return "".join(character if character.isprintable() else " " for character in text)


FORCE: Final = Parameter(
    "force",
    "Do it even where it leaves the service without a usable endpoint: true or false; alone, it is true.",
    {"type": "string", "enum": ["", "true", "false", "1", "0"]},
    _flag,
)
REASON: Final = Parameter("reason", "Why; goes into the journal.", {"type": "string", "maxLength": 500}, _line)
SESSIONS: Final = Parameter(
    "sessions",
    "`move`: sessions that are held in pools that shrink move, too; or `keep`.",
    {"type": "string", "enum": ["move", "keep"]},
    _sessions,
)
AFTER: Final = Parameter(
    "after",
    "Only events after the one with this id.",
    {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
    _number,
)
