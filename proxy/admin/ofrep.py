"""OFREP 0.3.0 on the admin's listener: all flags, for servers of the user's own.

The caller answers for whom it asks, so the body's context counts but for what is configured for everybody.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from proxy.admin.operation import Call, Parameter
from proxy.admin.problem import ProblemError

PATH: Final = "/ofrep/v1/evaluate/flags"
LARGEST: Final = 64 << 10  # bytes of a body; proxy.flags.context has the same, and the engine with it
_BELOW: Final = "/ofrep/v1/"


def _text(text: str) -> str:
    if len(text) > 100:
        raise ValueError(text)
    return text


KNOWN: Final = tuple(
    Parameter(name, "What the client was told of the flags by an event.", {"type": "string", "maxLength": 100}, _text)
    for name in ("flagConfigEtag", "flagConfigLastModified")
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


class Bulk(Struct, frozen=True):
    """Every flag, as single ones are, or why there is no outcome."""

    flags: list[dict[str, Any]]
    metadata: dict[str, Any] | UnsetType = UNSET


async def evaluate(call: Call) -> web.Response:
    """What the protocol says to this request."""
    control = call.control
    board = control.flag_board.board(control.document)
    if board is None:
        raise ProblemError(404, "no flags are configured; define some under flags or flag_rules")
    from proxy.flags.ofrep import Asked, Service  # noqa: PLC0415 - the engine: for who has flags

    explicit = board.settings.code_default == "explicit"
    service = Service(board.flags, board.version, static=board.static, explicit=explicit)
    path = call.request.raw_path.partition("?")[0]
    fields = {"if-none-match": ", ".join(call.request.headers.getall("If-None-Match", ()))}
    answer = service.answer(Asked("POST", path, fields, call.body), {}, control.world.wall())
    return web.Response(status=answer.status, body=answer.body or None, headers=answer.fields)


def is_meant(path: str) -> bool:
    """Is it a request of the protocol?"""
    return path.startswith(_BELOW)


def refusal(status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> web.Response:
    """What goes wrong before flags are asked, in the protocol's words: clients read errorDetails."""
    code = "FLAG_NOT_FOUND" if status == 404 else "GENERAL"
    body = msgspec.json.encode(Failure(error_details=detail, error_code=code))
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
