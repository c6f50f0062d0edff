"""The client's side as an exchange sees it: any codec that can frame responses and hold its client back."""

from typing import TYPE_CHECKING, Protocol

from proxy.http1.message import ResponseHead

if TYPE_CHECKING:
    from proxy.dataplane.streaming import Streaming
    from proxy.dataplane.upstream import Upstream


class ClientSide(Protocol):
    """HTTP/1.1's is `Downstream`; a test's lives in memory."""

    def respond(self, head: ResponseHead, body: bytes, done: bool) -> None:
        """Send the response's head and the first of its body; `done` if that is all of it."""

    def send_data(self, data: bytes) -> None:
        """Send another piece of the response's body."""

    def send_end(self, trailers: bytes) -> None:
        """The response is complete."""

    def inform(self, head: ResponseHead) -> None:
        """Pass an informational response on."""

    def finished(self) -> None:
        """The exchange is over on all sides: the connection may go on to the next request."""

    def pause(self) -> None:
        """Take no more of the request's body from the client for now."""

    def resume(self) -> None:
        """Go on taking the request's body."""

    def can_drain(self) -> bool:
        """Is what is missing of the request's body little enough to be waited for?"""
        ...

    def break_off(self) -> None:
        """The response cannot be completed: let the client see that it is not whole."""

    def join(self, upstream: "Upstream", head: ResponseHead, early: bytes) -> None:
        """The upstream has switched protocols: from here on bytes pass both ways as they are."""

    def stream(self, head: ResponseHead, opening: bytes, streaming: "Streaming") -> None:
        """Begin a response without an end: the rest of it, and its end, is the stream's business."""
