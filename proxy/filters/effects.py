"""What a filter may ask for: a closed set that only the data plane performs, with the client held back meanwhile."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Union

if TYPE_CHECKING:
    from proxy.filters.flagging import FlagBoard


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the client with this and go no further.

    `block` is field lines that each end in CRLF, without framing. `reason` is the token of x-sluice-reason where the
    reply is a refusal, None where it is what the configuration asks for.
    """

    status: int
    block: bytes = b""
    body: bytes = b""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ChoosePool:
    """Send the request to this pool of its service, whatever the split says."""

    name: str


@dataclass(frozen=True, slots=True)
class LimitBody:
    """Refuse the request with 413 once its body is longer than `most` bytes."""

    most: int


Wake = Callable[["Effect | None"], None]
"""Goes on with an effect, or without one; at most the first call counts."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until woken or for `seconds`, whichever is first; then, if nobody has woken it, `otherwise`.

    `join` is told how to wake, and returns how to leave: called once when the wait ends in any other way. It may wake
    at once.
    """

    seconds: float
    otherwise: "Effect | None" = None
    join: Callable[[Wake], Callable[[], None]] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Wait for a coroutine, up to `timeout` seconds, and go on with the effect it returns.

    `failed` says what to do where it raised; TimeoutError where its time was over.
    """

    work: Coroutine[Any, Any, "Effect | None"]
    timeout: float
    failed: Callable[[Exception], "Effect | None"]


@dataclass(frozen=True, slots=True)
class Compute:
    """Wait for `work`, which is done in a thread, and go on with what it returns.

    Few are done at once; `full` is what to do where too many wait already.
    """

    work: Callable[[], "Effect | None"]
    full: Reply


@dataclass(frozen=True, slots=True)
class ReadBody:
    """What an action may ask for: the whole body of the request first, up to `most` bytes; `answer` makes the reply.

    A longer one is answered with `too_large`.
    """

    most: int
    answer: Callable[[bytes], Reply]
    too_large: Reply


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event as it goes over the wire, and its id."""

    id: bytes
    data: bytes


class Feed(Protocol):
    """What many streams are told alike; equal feeds are one, and are asked once for all."""

    def latest(self, flags: "FlagBoard") -> Event:
        """What is to be known while these flags are in force."""
        ...


@dataclass(frozen=True, slots=True)
class Stream:
    """What an action may ask for: server-sent events (WHATWG HTML 9.2) until the client leaves, or reads too slowly.

    `block` is the field lines of the response, `opening` what it begins with. `seen` is the id of the event that the
    client has seen last, b"" where it needs none that was before. Where `most` streams are open already, `full` is
    the answer.
    """

    feed: Feed
    seen: bytes
    block: bytes
    opening: bytes
    most: int
    full: Reply


Outcome = tuple[int, float]
"""What came of a request or of its copy: the status, and seconds until the response's head, or until the end."""


class Comparison(Protocol):
    """Who is told what came of requests that were to be copied; each of them once."""

    def compared(self, real: Outcome, shadow: Outcome) -> None:
        """Both have ended."""

    def skipped(self, reason: str) -> None:
        """There was no copy, or it was broken off by us."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """Send a copy to a pool of the same service, whose answer nobody sees.

    A request whose body is longer than `most` bytes is not copied. `with_credentials` leaves Cookie and Authorization
    in. `host_suffix` is put behind the first label of the Host.
    """

    pool: str
    most: int
    with_credentials: bool
    host_suffix: bytes
    comparison: Comparison


Effect = Union[Reply, ChoosePool, LimitBody, Wait, Run, Compute, Shadow]  # noqa: UP007 - `Wait` is quoted above


def refusal(status: int, reason: str, message: str, block: bytes = b"") -> Reply:
    """A refusal as all of the proxy's own are: one line of text, with its reason."""
    head = f"Content-Type: text/plain; charset=utf-8\r\nx-sluice-reason: {reason}\r\n".encode()
    return Reply(status, head + block, f"{status} {message}\n".encode(), reason)
