"""Errors as RFC 9457 has them: one shape, whatever went wrong."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web
from msgspec import Struct

KIND = "application/problem+json"


class Problem(Struct, frozen=True):
    """A problem detail. `problems` says more, one sentence each, where there is more than one thing to say."""

    type: str
    title: str
    status: int
    detail: str
    problems: tuple[str, ...] = ()


class ProblemError(Exception):
    """What was asked cannot be answered; `headers` go with the response."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def response(
    status: int, detail: str, problems: tuple[str, ...] = (), headers: Mapping[str, str] | None = None
) -> web.Response:
    """The response that tells a problem. Its title is the status's own name, so the type is about:blank."""
    problem = Problem("about:blank", HTTPStatus(status).phrase, status, detail, problems)
    return web.Response(status=status, body=msgspec.json.encode(problem), content_type=KIND, headers=headers)
