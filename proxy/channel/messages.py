"""What the processes say to each other. Every message is one frozen struct; `type` tells them apart.

PROTOCOL changes whenever a message's meaning does: a restarted master then talks to old children only of their end.
"""

from typing import Final, Literal, TypeAlias

from msgspec import Struct

PROTOCOL: Final = 1

Parts: TypeAlias = dict[str, bytes]
"""Parts of a document by name, encoded (proxy.snapshot.parts)."""

Role: TypeAlias = Literal["controller", "worker"]
ChildState: TypeAlias = Literal["starting", "ready", "draining"]


class Child(Struct, frozen=True):
    """One child of the master as it sees it. `slot` is the place of a worker among the workers, 0 for a controller."""

    id: int
    role: Role
    slot: int
    pid: int
    state: ChildState
    generation: int = 0
    protocol: int = PROTOCOL


# -- master to child


class StartWorker(Struct, frozen=True, tag=True):
    """The first message to a worker: what to serve. One descriptor for each of `binds`, in this order.

    `shared` are those whose sockets go on without this worker and its successors: systemd's, and Unix sockets.
    """

    slot: int
    generation: int
    parts: Parts
    binds: tuple[str, ...]
    health: bytes = b""
    shared: tuple[str, ...] = ()


class StartController(Struct, frozen=True, tag=True):
    """The first message to a controller: what is in force; generation 0 with no parts where nothing is yet.

    `notes` are what an earlier controller wanted to be kept. One descriptor for each of `binds`, in this order.
    A passive one waits for `Activate` before it touches the store or the admin's sockets.
    """

    config: str
    generation: int
    parts: Parts
    notes: dict[str, bytes]
    children: tuple[Child, ...]
    binds: tuple[str, ...]
    passive: bool = False


class Activate(Struct, frozen=True, tag=True):
    """To a passive controller: the one before has handed over. `notes` and `generation` are as of now."""

    generation: int
    parts: Parts
    notes: dict[str, bytes]
    children: tuple[Child, ...]


class Serve(Struct, frozen=True, tag=True):
    """To a worker that is ready: take connections."""


class Sockets(Struct, frozen=True, tag=True):
    """Listening sockets for a document to come, one descriptor for each of `binds`, in order; `shared` as there."""

    binds: tuple[str, ...]
    shared: tuple[str, ...] = ()


class Drain(Struct, frozen=True, tag=True):
    """Finish and go. `restart`: a successor serves already, so nothing is said of readiness and tunnels get longer.

    `closes`: no successor has the listening sockets, but for those that are shared.
    """

    restart: bool = False
    closes: bool = False


class Children(Struct, frozen=True, tag=True):
    """To the controller: who there is now. `restarts` counts workers that were replaced since the start."""

    children: tuple[Child, ...]
    restarts: int


class Bound(Struct, frozen=True, tag=True):
    """What became of Bind: why there is no socket, by address. Descriptors: of `passed`, for the controller itself."""

    failed: dict[str, str]
    passed: tuple[str, ...] = ()


class Kept(Struct, frozen=True, tag=True):
    """What became of Keep: from now on every new child starts with it. These were there at that moment."""

    generation: int
    children: tuple[Child, ...]


class Signalled(Struct, frozen=True, tag=True):
    """To the controller: reload the configuration, or say that the proxy is ending."""

    what: Literal["reload", "reopen", "stop"]


# -- child to master


class Ready(Struct, frozen=True, tag=True):
    """From a child: everything is set up; for a worker, to serve this generation."""

    generation: int = 0
    protocol: int = PROTOCOL


class Failed(Struct, frozen=True, tag=True):
    """From a child that cannot start: to be shown as it stands; another try would not help."""

    problems: tuple[str, ...]


class Bind(Struct, frozen=True, tag=True):
    """From the controller: have listening sockets for these. `own` are shared ones, for the controller itself."""

    binds: tuple[str, ...]
    own: tuple[str, ...]
    workers: int


class Keep(Struct, frozen=True, tag=True):
    """From the controller: children started from now on get this. Only what has changed is said.

    `workers` is how many there are to be; sockets that are neither in `binds` nor in `own` are closed.
    """

    generation: int
    parts: Parts
    dropped: tuple[str, ...]
    notes: dict[str, bytes]
    binds: tuple[str, ...]
    own: tuple[str, ...]
    workers: int
    restart_grace: float
    shutdown: float


class Note(Struct, frozen=True, tag=True):
    """From the controller: keep this for children that start later."""

    notes: dict[str, bytes]


class Reloaded(Struct, frozen=True, tag=True):
    """From the controller: the reload that was asked for by a signal is over, well or not."""


class Replace(Struct, frozen=True, tag=True):
    """From the controller: this child does not answer; put another in its place."""

    id: int


class Echo(Struct, frozen=True, tag=True):
    """From the controller, and back: the master is there, and passes on what is said."""

    number: int


class Restart(Struct, frozen=True, tag=True):
    """From the controller: restart everything with the code that is on disk now."""


class Restarting(Struct, frozen=True, tag=True):
    """To the controller: what became of Restart; a problem where it was refused."""

    problem: str = ""


# -- controller to worker, and back


class Prepare(Struct, frozen=True, tag=True):
    """Compile this generation: parts that changed since `base`, and names of parts that are gone."""

    generation: int
    base: int
    parts: Parts
    dropped: tuple[str, ...] = ()


class Prepared(Struct, frozen=True, tag=True):
    """It is compiled and waits for Commit."""

    generation: int


class Refused(Struct, frozen=True, tag=True):
    """It does not compile here, or its base is not what is in force here."""

    generation: int
    problems: tuple[str, ...]


class Commit(Struct, frozen=True, tag=True):
    """Bring what was prepared into force."""

    generation: int


class Abandon(Struct, frozen=True, tag=True):
    """Forget what was prepared."""

    generation: int


class Apply(Struct, frozen=True, tag=True):
    """Prepare and commit in one: for weights and drains, which nobody can refuse, and to catch up (`base` -1: all)."""

    generation: int
    base: int
    parts: Parts
    dropped: tuple[str, ...] = ()


class Applied(Struct, frozen=True, tag=True):
    """This generation is in force here."""

    generation: int


class Settled(Struct, frozen=True, tag=True):
    """To a worker: this generation is in force in every worker. Nobody answers."""

    generation: int


class Health(Struct, frozen=True, tag=True):
    """What is known of all endpoints, encoded (proxy.pools.report); replaces what was said before."""

    number: int
    report: bytes


class Informed(Struct, frozen=True, tag=True):
    """A worker goes by that Health now."""

    number: int


class Ask(Struct, frozen=True, tag=True):
    """Tell what you have counted."""

    number: int


class Counted(Struct, frozen=True, tag=True):
    """A worker's counters, encoded (proxy.telemetry.report)."""

    number: int
    report: bytes


class CutDrained(Struct, frozen=True, tag=True):
    """A drain's deadline is over: close tunnels of this endpoint or, without an address, pool; `cut`: exchanges too."""

    number: int
    service: str
    pool: str
    address: str | None
    cut: bool


class Cut(Struct, frozen=True, tag=True):
    """How many were cut."""

    number: int
    tunnels: int
    exchanges: int


class Ejected(Struct, frozen=True, tag=True):
    """From a worker: an endpoint has failed so often in a row that it asks for it to be taken out."""

    service: str
    pool: str
    address: str


class Spent(Struct, frozen=True, tag=True):
    """From a worker, and passed on to the others: tokens its rate limits granted since it told last.

    By what keeps them (proxy.filters.site), then by the hash of the key. Nobody answers.
    """

    tokens: dict[bytes, dict[bytes, int]]


class Seen(Struct, frozen=True, tag=True):
    """From a worker: what it has seen for rollouts since it told last (proxy.telemetry.evidence). Nobody answers."""

    report: bytes


Message: TypeAlias = (
    StartWorker
    | StartController
    | Activate
    | Serve
    | Sockets
    | Drain
    | Children
    | Bound
    | Kept
    | Signalled
    | Ready
    | Failed
    | Bind
    | Keep
    | Note
    | Reloaded
    | Replace
    | Echo
    | Restart
    | Restarting
    | Prepare
    | Prepared
    | Refused
    | Commit
    | Abandon
    | Apply
    | Applied
    | Settled
    | Health
    | Informed
    | Ask
    | Counted
    | CutDrained
    | Cut
    | Ejected
    | Spent
    | Seen
)
