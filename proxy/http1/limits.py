"""How much of a message's head is read before it is refused."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Bounds of one message head, and of the trailer section of one chunked body.

    `size` is bytes of the whole head with its empty line (431 above it), `fields` the number of field lines (431),
    `target` bytes of the request target (414). Field names of requests with an underscore are dropped unless
    `underscores`: CGI-like servers read `X_Forwarded_For` and `X-Forwarded-For` as the same name.
    """

    size: int = 32 * 1024
    fields: int = 100
    target: int = 8 * 1024
    underscores: bool = False
