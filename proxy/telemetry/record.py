"""One exchange that has ended, as logs and plug-ins see it."""

from msgspec import Struct


class Record(Struct, frozen=True, gc=False):
    """What came of one request.

    `time` is when it began, in seconds since 1970. `target` and `host` are what the client asked for, before any
    filter. `status` is what the client was sent (499: it left before), `reason` the token of a reply of our own or of
    what went wrong. Names are "" where there is none: of the route, service, pool and endpoint that had it last.
    Of what was no request, `minor` is -1, and all that is not known is empty. `bucket` is the user's where the service
    is sticky. Durations are seconds: `connect` until a new connection was there (None: one was at hand), `first_byte`
    from the last attempt's beginning to its response (None: none came), `total` from the request's head to the end of
    the response. `received` and `sent` are bytes of bodies.
    """

    time: float
    client: str
    scheme: bytes
    method: bytes
    target: bytes
    host: bytes
    minor: int
    status: int
    reason: str | None
    route: str
    service: str
    pool: str
    endpoint: str
    attempts: int
    bucket: int | None
    connect: float | None
    first_byte: float | None
    total: float
    received: int
    sent: int
    request_id: bytes
    trace_id: bytes
    user_agent: bytes
    referer: bytes
