"""OFREP on a data listener: who asks, what they may see, and whom they ask for.

The answers are those of the board that routes the request, with the same context: what the edge knows over what is
configured over what the body says.
"""

import hmac
from collections.abc import Callable
from typing import Final, cast

from proxy.filters.cors import Cors, is_preflight
from proxy.filters.effects import ReadBody, Reply
from proxy.filters.flagging import KEY, FlagBoard, Flagged
from proxy.flags.context import LARGEST
from proxy.flags.evaluation import Evaluation
from proxy.flags.ofrep import Answer, Asked, Service, key_of, refused, too_large
from proxy.http1.facts import Facts
from proxy.http1.message import RequestHead

BASE: Final = b"/ofrep/v1/"


class FlagDesk:
    """Answers the requests of one route. With the `token` all flags are seen, without it the public ones."""

    def __init__(self, token: str | None, cors: Cors | None) -> None:
        self._token = None if token is None else token.encode()
        self._grant = None if cors is None else _granting(cors)
        self._board: FlagBoard | None = None
        self._services: dict[bool, Service] = {}

    def act(self, facts: Facts) -> Reply | ReadBody:
        """The answer, or the wish for the body that asks."""
        head = facts.head
        if self._grant is not None and is_preflight(head):
            return self._reply(head, Answer(204))
        flagged = cast("Flagged", facts.flagged)
        is_known = self._is_known(head)
        if is_known is None or not (is_known or flagged.board.settings.public or self._token is None):
            return self._reply(head, refused(401, "a token is needed: Authorization: Bearer, or X-API-Key"))
        service = self._service(flagged.board, sees_all=is_known)
        path = _inner(facts.path)
        if head.method != b"POST" or key_of(path) is None:
            return self._reply(head, service.answer(_asked(facts, path, b""), {}, flagged.now))
        return ReadBody(
            LARGEST,
            lambda body: self._answer(facts, flagged, service, _asked(facts, path, body)),
            self._reply(head, too_large()),
        )

    def _answer(self, facts: Facts, flagged: Flagged, service: Service, asked: Asked) -> Reply:
        made = False

        def identify() -> str:
            nonlocal made
            made = True
            return cast("str", flagged.context(facts)[KEY])

        maker = identify if flagged.board.makes_keys else None
        answer = service.answer(asked, flagged.shown(facts), flagged.now, maker)
        cookie = flagged.cookie if made else None
        more = b"" if cookie is None else b"Set-Cookie: %b\r\nCache-Control: private\r\n" % cookie
        return self._reply(facts.head, answer, more)

    def _is_known(self, head: RequestHead) -> bool | None:
        """Does it show the token? None where it shows another one."""
        if self._token is None:
            return False
        shown = [*_bearers(head), *head.get_all(b"x-api-key")]
        if any([hmac.compare_digest(self._token, each) for each in shown]):  # noqa: C419 - each, whichever is right
            return True
        return None if shown else False

    def _service(self, board: FlagBoard, *, sees_all: bool) -> Service:
        if board is not self._board:
            self._board = board
            self._services.clear()
        found = self._services.get(sees_all)
        if found is None:
            found = self._services[sees_all] = Service(
                board.flags,
                board.version,
                public=None if sees_all else frozenset(board.settings.public),
                explicit=board.settings.code_default == "explicit",
                note=_noting(board),
            )
        return found

    def _reply(self, head: RequestHead, answer: Answer, more: bytes = b"") -> Reply:
        fields = "".join(f"{name}: {value}\r\n" for name, value in answer.fields.items()).encode()
        block = fields + more
        return Reply(answer.status, block if self._grant is None else self._grant(head, block), answer.body)


def _granting(cors: Cors) -> Callable[[RequestHead, bytes], bytes]:
    grants, varying = cors.grants(), cors.varying()
    return lambda head, block: varying(block) + grants(head)


def _noting(board: FlagBoard) -> Callable[[str, Evaluation], None]:
    observed, counted = board.observed, board.counted

    def note(key: str, found: Evaluation) -> None:
        if key in observed:
            counted[key, found.variant or ""].evaluations += 1

    return note


def _inner(path: bytes) -> str:
    """The path as the protocol has it, without what the route has put in front."""
    start = path.find(BASE)
    return path[max(start, 0) :].decode("utf-8", "replace")


def _asked(facts: Facts, path: str, body: bytes) -> Asked:
    tag = facts.head.get(b"if-none-match")
    fields = {} if tag is None else {"if-none-match": tag.decode("latin-1")}
    return Asked(facts.head.method.decode("latin-1"), path, fields, body)


def _bearers(head: RequestHead) -> list[bytes]:
    pairs = [value.partition(b" ") for value in head.get_all(b"authorization")]
    return [token.strip(b" ") for scheme, _, token in pairs if scheme.lower() == b"bearer"]
