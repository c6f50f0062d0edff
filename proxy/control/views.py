"""What is shown of a running proxy: plain values that the admin API encodes, and its schema is made of."""

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

PoolStateName: TypeAlias = Literal["active", "draining", "drained"]
EndpointStateName: TypeAlias = Literal["unproven", "up", "down", "ejected", "draining", "drained", "removed"]


class EndpointView(Struct, frozen=True, omit_defaults=False):
    """One endpoint. `why` is the last probe's outcome or what took it out, `name` what it was resolved from.

    `in_flight` and `tunnels` are summed over all workers. `sessions` is null: how many users are held is not counted.
    A `backup` takes requests only while no other endpoint of the pool is usable.
    """

    address: str
    state: EndpointStateName
    weight: float
    in_flight: int
    tunnels: int
    sessions: int | None = None
    name: str | None = None
    why: str | None = None
    backup: bool = False


class PoolView(Struct, frozen=True):
    """One pool; `weight` is its share of the split in per cent."""

    weight: float
    state: PoolStateName
    endpoints: tuple[EndpointView, ...]


class CutView(Struct, frozen=True):
    """What a drain has cut by the time it is answered."""

    tunnels: int
    exchanges: int


class ServiceView(Struct, frozen=True):
    """A service: its split in per cent, where that comes from, and its pools.

    `warnings` are of the verb that this answers: workers that did not follow, and are being replaced. `cut` stands in
    the answer to a drain whose deadline was over at once.
    """

    name: str
    split: dict[str, float]
    split_from: Literal["file", "override"]
    pools: dict[str, PoolView]
    generation: int
    warnings: tuple[str, ...] = ()
    cut: CutView | UnsetType = UNSET


class WorkerStatus(Struct, frozen=True):
    """One worker."""

    pid: int
    state: str
    generation: int
    slot: int


class OverrideView(Struct, frozen=True):
    """Something that differs from the file because somebody said so. `field` is split, endpoint, drain or flag.

    Or what a rollout has set up for its time: a route, whose `value` are the matches by their kind, and a mirror, whose
    `value` is the share that is copied; both lead to `pool`.

    An endpoint's `file` and `value` are weights; `backup` and `file_backup` are whether it is one.
    """

    service: str
    field: Literal["split", "endpoint", "drain", "flag", "route", "mirror"]
    file: Any
    value: Any
    pool: str | None = None
    address: str | None = None
    backup: bool = False
    file_backup: bool = False
    flag: str | None = None


class ReloadCounts(Struct, frozen=True):
    """Reloads of the configuration since the controller started, by what became of them."""

    applied: int = 0
    unchanged: int = 0
    rejected: int = 0


class PoolTraffic(Struct, frozen=True):
    """What a pool's workers have counted since they started, and what runs on it now.

    `requests` have ended, `errors` of them with 5xx or no response; `seconds` is what they took together.
    """

    service: str
    pool: str
    requests: int
    errors: int
    seconds: float
    retries: int
    in_flight: int
    tunnels: int


class MirrorSide(Struct, frozen=True):
    """One side of a mirror: how many by class of status (`5xx` where no answer came), and how long their heads took.

    `seconds` together; `median` and `slowest` (95 % were quicker) of one, null where there is none.
    """

    statuses: dict[str, int]
    seconds: float
    median: float | None
    slowest: float | None


class MirrorTraffic(Struct, frozen=True):
    """Requests of a service that were copied to one of its pools, beside the copies, since the workers started.

    Both sides are equally many; `skipped` were not copied, by reason.
    """

    service: str
    pool: str
    real: MirrorSide
    shadow: MirrorSide
    skipped: dict[str, int]


class Traffic(Struct, frozen=True):
    """Counters of the workers there are; a worker that is replaced takes its counters along."""

    pools: tuple[PoolTraffic, ...]
    unrouted: int
    connections: int
    mirrors: tuple[MirrorTraffic, ...] = ()


class StatusView(Struct, frozen=True):
    """The whole proxy at a glance. `problems` are what is wrong now, one sentence each."""

    version: str
    build: str
    generation: int
    workers: tuple[WorkerStatus, ...]
    uptime: float
    reloads: ReloadCounts
    problems: tuple[str, ...]
    overrides: tuple[OverrideView, ...]
    config: str
    traffic: Traffic


class ReloadView(Struct, frozen=True):
    """What became of a reload."""

    generation: int
    changed: bool
    warnings: tuple[str, ...] = ()


class CheckView(Struct, frozen=True):
    """What a check of the configuration on disk found."""

    valid: bool
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


class DiffView(Struct, frozen=True):
    """How what is in force differs from the file."""

    overrides: tuple[OverrideView, ...]


def per_cent(shares: dict[str, float]) -> dict[str, float]:
    """Shares of one as shares of a hundred; whole numbers where they are."""
    return {name: _plain(share * 100) for name, share in shares.items()}


def _plain(number: float) -> float:
    rounded = round(number, 9)
    return int(rounded) if rounded == int(rounded) else rounded
