"""OFREP on a data listener: who asks, what they may see, whom they ask for, and who wants to hear of changes.

The answers are those of the board that routes the request, with the same context: what the edge knows over what is
configured over what the body says.
"""

import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Final, cast

from proxy.filters.cors import Cors, is_preflight
from proxy.filters.effects import ReadBody, Reply, Stream
from proxy.filters.flag_news import FlagNews, version_of
from proxy.filters.flagging import KEY, FlagBoard, Flagged, parameter
from proxy.flags.context import LARGEST
from proxy.flags.ofrep import EVENTS, Answer, Asked, Service, busy, key_of, refused, too_large, wrong_method
from proxy.flags.tickets import is_good, ticket
from proxy.http1.facts import Facts
from proxy.http1.message import RequestHead

BASE: Final = b"/ofrep/v1/"
RETRY: Final = 1_000  # milliseconds after which a client whose stream has ended comes again, more or less
LONGEST: Final = 128  # bytes of an event's id that a client may claim to have seen
REASON: Final = "streams_full"
REASON_LINE: Final = f"x-sluice-reason: {REASON}\r\n".encode()
# The last of them is for nginx, which would hold events back.
STREAM_FIELDS: Final = b"Content-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"


class FlagDesk:
    """Answers the requests of one route. With the `token` all flags are seen, without it the public ones.

    `streams` is how many clients may hear of changes, `chance` spreads when they come again.
    """

    def __init__(self, token: str | None, cors: Cors | None, streams: int, chance: Callable[[], float]) -> None:
        self._token = None if token is None else token.encode()
        self._grant = None if cors is None else _granting(cors)
        self._streams = streams
        self._chance = chance
        self._board: FlagBoard | None = None
        self._services: dict[bool, Service] = {}

    def act(self, facts: Facts) -> Reply | ReadBody | Stream:
        """The answer, or the wish for the body that asks, or for a stream."""
        head = facts.head
        if self._grant is not None and is_preflight(head):
            return self._reply(head, Answer(204))
        flagged = cast("Flagged", facts.flagged)
        base, path = _split(facts.path)
        follows = bool(self._streams) and path == EVENTS
        is_known = self._is_known(facts, flagged.now if follows else None)
        if is_known is None or not (is_known or flagged.board.settings.public or self._token is None):
            return self._reply(head, refused(401, "a token is needed: Authorization: Bearer, or X-API-Key"))
        if follows:
            return self._follow(facts, sees_all=is_known)
        service = self._service(flagged.board, sees_all=is_known)
        if head.method != b"POST" or key_of(path) is None:
            return self._reply(head, service.answer(_asked(facts, base, path, b""), {}, flagged.now))
        return ReadBody(
            LARGEST,
            lambda body: self._answer(facts, flagged, service, _asked(facts, base, path, body)),
            self._reply(head, too_large()),
        )

    def _follow(self, facts: Facts, *, sees_all: bool) -> Reply | Stream:
        head = facts.head
        if head.method != b"GET":
            return self._reply(head, wrong_method("GET"))
        last = head.get(b"last-event-id")
        seen = parameter(facts.query, b"since") if last is None else last
        block = STREAM_FIELDS if self._grant is None else self._grant(head, STREAM_FIELDS)
        opening = b"retry: %d\n\n" % (RETRY * (0.5 + self._chance()))
        full = replace(self._reply(head, busy(self._streams), REASON_LINE), reason=REASON)
        return Stream(FlagNews(sees_all), (seen or b"")[:LONGEST], block, opening, self._streams, full)

    def _answer(self, facts: Facts, flagged: Flagged, service: Service, asked: Asked) -> Reply:
        def identify() -> str:
            return cast("str", flagged.context(facts)[KEY])  # whose cookie goes with whatever is answered

        maker = identify if flagged.board.makes_keys else None
        return self._reply(facts.head, service.answer(asked, flagged.shown(facts), flagged.now, maker))

    def _is_known(self, facts: Facts, now: float | None) -> bool | None:
        """Does it show the token, or a ticket that is good `now`? None where it shows another one."""
        if self._token is None:
            return False
        head = facts.head
        shown = [*_bearers(head), *head.get_all(b"x-api-key")]
        given = None if now is None else parameter(facts.query, b"ticket")
        if now is not None and given is not None and not shown:
            return is_good(given.decode("latin-1"), self._token, now) or None
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
                version_of(board, sees_all=sees_all),
                public=None if sees_all else frozenset(board.settings.public),
                explicit=board.settings.code_default == "explicit",
                ticket=self._ticketing(sees_all=sees_all) if self._streams else None,
                note=board.noting(board.counted),
            )
        return found

    def _ticketing(self, *, sees_all: bool) -> Callable[[float], str]:
        key = self._token
        return (lambda _now: "") if key is None or not sees_all else lambda now: ticket(key, now)

    def _reply(self, head: RequestHead, answer: Answer, more: bytes = b"") -> Reply:
        fields = "".join(f"{name}: {value}\r\n" for name, value in answer.fields.items()).encode()
        block = fields + more
        return Reply(answer.status, block if self._grant is None else self._grant(head, block), answer.body)


def _granting(cors: Cors) -> Callable[[RequestHead, bytes], bytes]:
    grants, varying = cors.grants(), cors.varying()
    return lambda head, block: varying(block) + grants(head)


def _split(path: bytes) -> tuple[str, str]:
    """What the route has put in front, and the path as the protocol has it."""
    start = max(path.find(BASE), 0)
    return path[:start].decode("utf-8", "replace"), path[start:].decode("utf-8", "replace")


def _asked(facts: Facts, base: str, path: str, body: bytes) -> Asked:
    tag = facts.head.get(b"if-none-match")
    fields = {} if tag is None else {"if-none-match": tag.decode("latin-1")}
    return Asked(facts.head.method.decode("latin-1"), path, fields, body, base)


def _bearers(head: RequestHead) -> list[bytes]:
    pairs = [value.partition(b" ") for value in head.get_all(b"authorization")]
    return [token.strip(b" ") for scheme, _, token in pairs if scheme.lower() == b"bearer"]
