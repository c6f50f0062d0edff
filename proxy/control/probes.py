"""Active probes: asks every endpoint on its turn whether it is well, and tells when what they show has changed.

A probe is one GET on a connection of its own. What it decides is counted in standing.py, whose turn it is in
rota.py; here is the I/O.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from os import strerror
from typing import Final

import aiohttp
from yarl import URL

from proxy.control.rota import Rota, next_turn, place
from proxy.control.standing import Standing
from proxy.core.address import UnixAddress, parse_address
from proxy.core.clock import Clock
from proxy.pools.endpoint import Signal, State
from proxy.pools.registry import EndpointKey
from proxy.snapshot.document import Health

log = logging.getLogger("sluice")

MOST_AT_ONCE: Final = 64
_MOST_BODY: Final = 64 * 1024  # bytes of a body that are read, to see that it comes
_LEVEL: Final = {State.UP: logging.INFO, State.DOWN: logging.WARNING}


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked, and how: an endpoint's address, the Host it is asked as, the service's settings."""

    address: str
    host: str
    health: Health


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one probe showed, in one sentence. `is_unforeseen`: an error that is probably ours, not the endpoint's."""

    signal: Signal
    sentence: str
    is_unforeseen: bool = False


@dataclass(frozen=True, slots=True)
class Last:
    """What is known of a target: its state, what its last probe showed, and when (wall; None: not probed yet)."""

    state: State
    sentence: str
    at: float | None


@dataclass(slots=True, eq=False)
class _Watched:
    """One target with its count. `first` is the turn that all others follow, None before it is probed."""

    target: Target
    standing: Standing = field(default_factory=Standing)
    sentence: str = "not probed yet"
    at: float | None = None
    first: float | None = None
    task: asyncio.Task[None] | None = None


class Prober:
    """Probes what it is told to watch.

    `changed` is called with the key of an endpoint whose probe state is another, `settled` whenever every
    target has been probed at least once, be it with no target at all. `watch` is called with a running loop.
    """

    def __init__(self, clock: Clock, changed: Callable[[EndpointKey], None], settled: Callable[[], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._on_settled = settled
        self._watched: dict[EndpointKey, _Watched] = {}
        self._unprobed: set[EndpointKey] = set()
        self._settled = False
        self._rota = Rota()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Prober of {len(self._watched)}, {len(self._tasks)} being probed>"

    @property
    def is_settled(self) -> bool:
        """Whether every target has been probed at least once; not before the first `watch`."""
        return self._settled

    @property
    def states(self) -> dict[EndpointKey, State]:
        """What the probes of each target show: unproven, up or down."""
        return {key: watched.standing.state for key, watched in self._watched.items()}

    def last(self, key: EndpointKey) -> Last | None:
        """What is known of a target; None for what is not watched."""
        watched = self._watched.get(key)
        return None if watched is None else Last(watched.standing.state, watched.sentence, watched.at)

    def watch(self, targets: Mapping[EndpointKey, Target], known: Mapping[EndpointKey, State] | None = None) -> None:
        """Probe these from now on. Unchanged ones keep state and turn, new ones are probed at once.

        A new one is unproven, unless it is `known` to serve or to be down already. One that is asked in another way
        than before keeps its state, as it serves, and is probed at once.
        """
        for key in self._watched.keys() - targets.keys():
            self._forget(key)
        for key, target in targets.items():
            watched = self._watched.get(key)
            if watched is None:
                self._watched[key] = _Watched(target, Standing((known or {}).get(key, State.UNPROVEN)))
                self._unprobed.add(key)
                self._rota.put(key, self._clock.monotonic())
            elif watched.target != target:
                self._ask_differently(key, watched, target)
        self._settled = self._settled and not self._unprobed
        self._settle()
        self._turn()

    async def close(self) -> None:
        """End everything; nothing is called back any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, key: EndpointKey) -> None:
        self._stop(self._watched.pop(key))
        self._unprobed.discard(key)
        self._rota.drop(key)

    def _ask_differently(self, key: EndpointKey, watched: _Watched, target: Target) -> None:
        self._stop(watched)
        watched.target = target
        watched.first = None
        watched.standing.recount()
        self._rota.put(key, self._clock.monotonic())

    def _stop(self, watched: _Watched) -> None:
        if watched.task is not None:
            watched.task.cancel()
            watched.task = None

    def _turn(self) -> None:
        """Begin the probes that are due, as many as may be under way, and come back when the next one is due."""
        if self._closed:
            return
        now = self._clock.monotonic()
        for key in self._rota.take(now, MOST_AT_ONCE - len(self._tasks)):
            self._begin(key, now)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._rota.next_due()
        if due is not None and len(self._tasks) < MOST_AT_ONCE:  # else the next one to end comes back
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._turn)

    def _begin(self, key: EndpointKey, now: float) -> None:
        watched = self._watched[key]
        if watched.first is None:
            watched.first = now + place(key) * watched.target.health.interval
        watched.task = asyncio.get_running_loop().create_task(self._probe(key, watched, watched.first))
        self._tasks.add(watched.task)
        watched.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("what a probe showed was not taken in", exc_info=task.exception())
        self._turn()

    async def _probe(self, key: EndpointKey, watched: _Watched, first: float) -> None:
        outcome = await ask(watched.target)
        # No await from here on: whoever is no longer watched was cancelled above.
        watched.task = None
        self._rota.put(key, next_turn(first, watched.target.health.interval, self._clock.monotonic()))
        self._note(key, watched, outcome)

    def _note(self, key: EndpointKey, watched: _Watched, outcome: Outcome) -> None:
        if outcome.is_unforeseen and outcome.sentence != watched.sentence:
            log.error("the probe of %s fails by itself: %s", "/".join(key), outcome.sentence)
        watched.sentence = outcome.sentence
        watched.at = self._clock.wall()
        self._unprobed.discard(key)
        if watched.standing.note(outcome.signal, watched.target.health):
            state = watched.standing.state
            log.log(_LEVEL[state], "%s is %s: %s", "/".join(key), state.value, outcome.sentence)
            self._changed(key)
        self._settle()

    def _settle(self) -> None:
        if not self._settled and not self._unprobed:
            self._settled = True
            self._on_settled()


async def ask(target: Target) -> Outcome:
    """One probe. It raises nothing, and takes no longer than its timeout."""
    try:
        async with asyncio.timeout(target.health.timeout):
            return await _get(target)
    except Exception as error:  # noqa: BLE001 - nothing that goes wrong with one endpoint may end the probing of all
        return _failure(error, target.health)


async def _get(target: Target) -> Outcome:
    connector, url = _way(target)
    async with (
        aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding",),
            timeout=aiohttp.ClientTimeout(),  # none of its own: one deadline is around all of it
        ) as session,
        session.get(url, headers={"Host": target.host, **_AGENT}, allow_redirects=False) as response,
    ):
        sentence = f"GET {target.health.path}: {response.status}"
        if not any(low <= response.status <= high for low, high in target.health.expect):
            return Outcome(Signal.FAIL, sentence)
        await _drop_body(response.content)
        return Outcome(Signal.PASS, sentence)


def _way(target: Target) -> tuple[aiohttp.BaseConnector, URL]:
    address = parse_address(target.address)
    if isinstance(address, UnixAddress):
        return aiohttp.UnixConnector(address.path, force_close=True), _url("localhost", target)
    return aiohttp.TCPConnector(force_close=True, use_dns_cache=False), _url(target.address, target)


def _url(authority: str, target: Target) -> URL:
    return URL(f"http://{authority}{target.health.path}", encoded=True)  # the path goes out as it is written


async def _drop_body(body: aiohttp.StreamReader) -> None:
    left = _MOST_BODY
    while left > 0 and (piece := await body.read(left)):
        left -= len(piece)


def _failure(error: Exception, health: Health) -> Outcome:
    for kind, tell in _FAILURES:
        if isinstance(error, kind):
            return Outcome(Signal.FAIL, tell(error, health))
    return Outcome(Signal.FAIL, f"{type(error).__name__}: {error}", is_unforeseen=True)


def _system_error(error: Exception, _: Health) -> str:
    number = getattr(error, "errno", None)
    return strerror(number).lower() if isinstance(number, int) and number > 0 else "the connection failed"


def _constant(sentence: str, *_: object) -> str:
    return sentence


def _late(_: Exception, health: Health) -> str:
    return f"no answer within {health.timeout:g} s"


_FAILURES: Final[tuple[tuple[type[Exception], Callable[[Exception, Health], str]], ...]] = (
    # The first that fits: many of these are kinds of those further down.
    (TimeoutError, _late),
    (aiohttp.ClientConnectorDNSError, partial(_constant, "its name does not resolve")),
    (aiohttp.ServerDisconnectedError, partial(_constant, "closed without an answer")),
    (aiohttp.ClientPayloadError, partial(_constant, "the body broke off")),
    (aiohttp.ClientResponseError, partial(_constant, "the answer is not HTTP")),
    (OSError, _system_error),
    (aiohttp.ClientConnectionError, partial(_constant, "the connection failed")),
)


def _version() -> str:
    try:
        return version("sluicegate")
    except PackageNotFoundError:
        return "0"


_AGENT: Final = {"User-Agent": f"sluice-probe/{_version()}"}
