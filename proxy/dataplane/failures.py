"""What goes wrong with an attempt upstream; each failure is born knowing whose fault it is and what may be done."""

import errno
from typing import ClassVar, Final

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""Error numbers of a system that has run out of something."""


class UpstreamFailure(Exception):  # noqa: N818 - a failed attempt is an outcome, and is seldom raised
    """An attempt that gave no response head.

    `status` and `reason` make the reply when nothing else is tried. `condition` is the word of `retry.on` that allows
    another attempt. `blames_endpoint` says whether passive ejection counts it.
    """

    status: ClassVar[int] = 502
    reason: ClassVar[str] = "upstream_failed"
    condition: ClassVar[str | None] = None
    blames_endpoint: ClassVar[bool] = True


class ConnectFailed(UpstreamFailure):
    """No connection: refused, unreachable, or a name that does not resolve."""

    reason = "connect_failed"
    condition = "connect"


class ConnectTimeout(UpstreamFailure):
    """No connection within `timeouts.connect`."""

    status = 504
    reason = "connect_timeout"
    condition = "connect"


class Exhausted(UpstreamFailure):
    """We have no descriptor or memory left for a connection: nobody's fault but ours."""

    status = 503
    reason = "overloaded"
    blames_endpoint = False


class UpstreamReset(UpstreamFailure):
    """The connection ended before the response head was complete.

    `unsent` is true where the kernel took no byte of the request, `unanswered` where no byte of a response came.
    """

    reason = "upstream_reset"
    condition = "reset"

    def __init__(self, *, unsent: bool = False, unanswered: bool = True) -> None:
        super().__init__()
        self.unsent = unsent
        self.unanswered = unanswered


class ResponseTimeout(UpstreamFailure):
    """No response head within `timeouts.response`."""

    status = 504
    reason = "response_timeout"
    condition = "timeout"


class TryTimeout(ResponseTimeout):
    """No response head within `retry.per_try`."""

    reason = "try_timeout"


class SendTimeout(UpstreamFailure):
    """The upstream took nothing of the request's body for `timeouts.body_idle`."""

    status = 504
    reason = "send_timeout"


class UpstreamMalformed(UpstreamFailure):
    """The upstream's response is not HTTP/1.1 as we take it. Never tried again: the answer would be the same."""

    reason = "upstream_malformed"
