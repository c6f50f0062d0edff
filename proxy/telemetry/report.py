"""What a worker tells of itself when the controller asks: plain numbers that can be added up over workers."""

from msgspec import Struct, msgpack

from proxy.telemetry.histogram import Histogram


class Durations(Struct, frozen=True):
    """A histogram as it travels: only buckets that are not empty, and the sum in seconds."""

    counts: dict[int, int]
    total: float

    @classmethod
    def of(cls, histogram: Histogram) -> "Durations":
        """What a histogram holds now."""
        return cls({index: count for index, count in enumerate(histogram.counts) if count}, histogram.total)


class PoolReport(Struct, frozen=True):
    """One pool's counters since the worker started (proxy.telemetry.counters), and what it holds now."""

    service: str
    pool: str
    requests: tuple[int, ...]
    duration: Durations
    upstream: Durations
    failures: dict[str, int] = {}
    retries: int = 0
    spilled: int = 0
    panicked: int = 0
    ejections: int = 0
    overflowed: int = 0
    connections: int = 0
    pending: int = 0


class MirrorSide(Struct, frozen=True):
    """One side of a comparison: how many, by class of the status, and how long they took."""

    requests: tuple[int, ...]
    duration: Durations


class MirrorReport(Struct, frozen=True):
    """Requests of a service that were copied to one of its pools, beside the copies; `skipped` were not, by reason."""

    service: str
    pool: str
    real: MirrorSide
    shadow: MirrorSide
    skipped: dict[str, int] = {}


class EndpointReport(Struct, frozen=True):
    """One endpoint as this worker sees it now."""

    service: str
    pool: str
    address: str
    state: str
    weight: float
    in_flight: int
    tunnels: int
    idle: int


class PluginReport(Struct, frozen=True):
    """A plug-in at one place: its own counters, and how many of its hooks failed, by how."""

    plugin: str
    at: str
    counters: dict[str, float] = {}
    failures: dict[str, int] = {}


class FlagReport(Struct, frozen=True):
    """One variant of a flag since the worker started (proxy.telemetry.flag_outcomes); "" where it had none."""

    flag: str
    variant: str
    evaluations: int
    requests: tuple[int, ...]
    duration: Durations


class WorkerReport(Struct, frozen=True):
    """Everything. `refusals` are replies of our own by reason, `connections` those of clients by listener.

    `log_dropped` are lines of the access log that were lost, `streams` clients that follow the flags."""

    pools: tuple[PoolReport, ...]
    endpoints: tuple[EndpointReport, ...]
    unrouted: tuple[int, ...]
    refusals: dict[str, int]
    connections: dict[str, int]
    tunnels: int
    mirrors: tuple[MirrorReport, ...] = ()
    plugins: tuple[PluginReport, ...] = ()
    log_dropped: int = 0
    flags: tuple[FlagReport, ...] = ()
    streams: int = 0


def encode(report: WorkerReport) -> bytes:
    """As bytes."""
    return msgpack.encode(report)


def decode(data: bytes) -> WorkerReport:
    """From bytes; msgspec.DecodeError for anything else."""
    return msgpack.decode(data, type=WorkerReport)
