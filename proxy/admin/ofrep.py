"""OFREP 0.3.0 on the admin's listener: all flags, for servers of the user's own, and word of their changes.

The caller answers for whom it asks, so the body's context counts but for what is configured for everybody.
"""

from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from proxy.admin import guard
from proxy.admin.events import Pieces
from proxy.admin.operation import Call, Parameter
from proxy.admin.problem import ProblemError

if TYPE_CHECKING:
    from proxy.filters.flagging import FlagBoard

PATH: Final = "/ofrep/v1/evaluate/flags"
LARGEST: Final = 64 << 10  # bytes of a body; proxy.flags.context has the same, and the engine with it
EVENTS: Final = "/ofrep/v1/events"
_BELOW: Final = "/ofrep/v1/"


def _text(text: str) -> str:
    if len(text) > 100:
        raise ValueError(text)
    return text


KNOWN: Final = tuple(
    Parameter(name, "What the client was told of the flags by an event.", {"type": "string", "maxLength": 100}, _text)
    for name in ("flagConfigEtag", "flagConfigLastModified")
)
FOLLOWING: Final = tuple(
    Parameter(name, says, {"type": "string", "maxLength": 100}, _text)
    for name, says in (
        ("since", "The last event that is known of; as Last-Event-ID."),
        ("ticket", "Instead of a token."),
    )
)


class Asking(Struct, frozen=True):
    """For whom: `{"context": {"targetingKey": "ann", "region": "eu"}}`."""

    context: dict[str, Any] | None = None


class Single(Struct, frozen=True):
    """One flag. Without `value` the caller's own default applies."""

    key: str
    reason: str
    variant: str
    metadata: dict[str, Any]
    value: Any = None


class Failure(Struct, frozen=True, rename="camel"):
    """Why there is no outcome."""

    error_details: str
    error_code: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class Bulk(Struct, frozen=True, rename={"event_streams": "eventStreams"}):
    """Every flag, as single ones are, or why there is no outcome; and where to hear of changes."""

    flags: list[dict[str, Any]]
    metadata: dict[str, Any] | UnsetType = UNSET
    event_streams: list[dict[str, Any]] | UnsetType = UNSET


async def evaluate(call: Call) -> web.Response:
    """What the protocol says to this request."""
    control = call.control
    board = _board(call)
    from proxy.flags.ofrep import Asked, Service  # noqa: PLC0415 - the engine: for who has flags

    service = Service(
        board.flags,
        board.version,
        static=board.static,
        explicit=board.settings.code_default == "explicit",
        ticket=lambda now: guard.ticket_for(control.document.admin, call.who.name, now),
        note=board.noting(call.proxy.fleet.ledger.told),
    )
    path = call.request.raw_path.partition("?")[0]
    fields = {"if-none-match": ", ".join(call.request.headers.getall("If-None-Match", ()))}
    answer = service.answer(Asked("POST", path, fields, call.body), {}, control.world.wall())
    return web.Response(status=answer.status, body=answer.body or None, headers=answer.fields)


def changes(call: Call) -> Pieces:
    """An event when the flags are others than the client knows, and then whenever they change."""
    last = call.request.headers.get("Last-Event-ID") or call.query.get("since")
    return _changes(call, last or _board(call).version)


async def _changes(call: Call, seen: str) -> Pieces:
    from proxy.filters.flag_news import event  # noqa: PLC0415 - the engine, again

    journal = call.proxy.journal
    async with aclosing(journal.follow(journal.last)) as events:  # it has every change, from when all workers have it
        while True:
            board = call.control.flag_board.board(call.control.document)
            if board is not None and board.version != seen:
                seen = board.version
                yield event(seen)
            await anext(events)


def _board(call: Call) -> "FlagBoard":
    board = call.control.flag_board.board(call.control.document)
    if board is None:
        raise ProblemError(404, "no flags are configured; define some under flags or flag_rules")
    return board


def is_meant(path: str) -> bool:
    """Is it a request of the protocol?"""
    return path.startswith(_BELOW)


def refusal(status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> web.Response:
    """What goes wrong before flags are asked, in the protocol's words: clients read errorDetails."""
    code = "FLAG_NOT_FOUND" if status == 404 else "GENERAL"
    body = msgspec.json.encode(Failure(error_details=detail, error_code=code))
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
