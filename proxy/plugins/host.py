"""One plug-in at one place: runs its hooks, and keeps what goes wrong in them away from everybody else."""

import inspect
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from proxy.http1.facts import Facts as Known
from proxy.http1.message import ResponseHead
from proxy.http1.owned import FRAMING
from proxy.plugins.exchange import Facts, Reply, Request, Response
from proxy.plugins.headers import lines
from proxy.plugins.watch import WATCH
from proxy.telemetry.record import Record

log = logging.getLogger("sluice")

_SAYS_OFTEN: Final = 10  # errors of one place that are logged with their place in the code; later every 1,000th

OnError = Literal["fail", "skip"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request hook came to: an answer, a pool, or neither."""

    reply: Reply | None = None
    pool: str | None = None


NOTHING: Final = Outcome()


class PluginError(Exception):
    """A hook failed, and the request is to fail with it. `reason` is the token of the reply."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Host:
    """The instance of a plug-in class at one place in the document: `use` is the class, `at` the place.

    `counters` are the plug-in's own. `raised` and `timed_out` count hooks that failed. `uses` are exchanges that have
    passed here and not ended: it is closed when it is retired and they have.
    """

    def __init__(self, use: str, at: str, plugin: Any, on_error: OnError, timeout: float) -> None:
        self.use = use
        self.at = at
        self.name = f"{use} at {at}"
        self.plugin = plugin
        self.on_error = on_error
        self.timeout = timeout
        self.counters: Counter[str] = Counter()
        self.raised = 0
        self.timed_out = 0
        self.uses = 0
        self.is_open = False
        self.is_retired = False
        self.on_empty: Callable[[], None] | None = None
        counters = getattr(plugin, "counters", None)
        if counters is None:
            with suppress(AttributeError):  # of a frozen one, or one with slots: it has none, then
                plugin.counters = self.counters
        elif isinstance(counters, Counter):
            self.counters = counters
        else:
            raise ValueError(f"plug-in {use}: its `counters` must be a collections.Counter")
        self.sees_request = hasattr(plugin, "on_request")
        self.sees_response = hasattr(plugin, "on_response")
        self.sees_end = hasattr(plugin, "on_end")

    # -- who uses it

    def begin(self) -> None:
        """The generation in force has it."""
        self.is_retired = False

    def end(self) -> None:
        """The generation in force has it no more."""
        if not self.is_retired:
            self.is_retired = True
            self._look_empty()

    def passed(self) -> None:
        """An exchange has come by."""
        self.uses += 1

    def ended(self) -> None:
        """It has ended."""
        self.uses -= 1
        self._look_empty()

    def _look_empty(self) -> None:
        if self.is_retired and not self.uses and self.on_empty is not None:
            self.on_empty()

    # -- its hooks

    def request(self, known: Known) -> Outcome | Coroutine[Any, Any, Outcome]:
        """What it says to a request; PluginError where it fails and requests are to fail with it."""
        request = Request(known)
        done = self._called(self.plugin.on_request, request, Facts(known, self))
        if done is None and request.pool is None:
            return NOTHING
        if inspect.iscoroutine(done):
            return self._later(done, request)
        return self._judged(done, request)

    def response(self, known: Known, head: ResponseHead) -> Coroutine[Any, Any, None] | None:
        """Let it change a response; what is still to be waited for, if anything."""
        done = self._called(self.plugin.on_response, Response(head), Facts(known, self))
        return _contained(done) if inspect.iscoroutine(done) else None

    def ending(self, record: Record) -> Coroutine[Any, Any, None] | None:
        """Let it see the end."""
        try:
            done = self._called(self.plugin.on_end, record)
        except PluginError:
            return None
        return _contained(done) if inspect.iscoroutine(done) else None

    async def _later(self, work: Coroutine[Any, Any, Any], request: Request) -> Outcome:
        return self._judged(await _contained(work), request)

    def _judged(self, said: Any, request: Request) -> Outcome:
        if said is None and request.pool is None:
            return NOTHING
        if said is None and isinstance(request.pool, str):
            return Outcome(pool=request.pool)
        if isinstance(said, Reply):
            return Outcome(said)
        what = f"on_request returned {type(said).__name__}; return None or a Reply"
        if said is None:
            what = f"request.pool is {type(request.pool).__name__}; name a pool"
        self.failed(TypeError(what))
        return NOTHING

    def _called(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        WATCH.calls += 1
        WATCH.at_work = self.name
        try:
            return hook(*arguments)
        except BaseException as error:  # noqa: BLE001 - whatever users write: one request's fault at most
            self.failed(error if isinstance(error, Exception) else RuntimeError(f"it raised {error!r}"))
            return None
        finally:
            WATCH.at_work = None

    def failed(self, error: Exception) -> None:
        """Count and tell a failure; PluginError where the request is to fail, too."""
        late = isinstance(error, TimeoutError)
        if late:
            self.timed_out += 1
        else:
            self.raised += 1
        times = self.timed_out + self.raised
        if times <= _SAYS_OFTEN or times % 1000 == 0:
            what = f"took longer than {self.timeout:g} s" if late else "failed"
            log.error("plug-in %s %s (%d times so far)", self.name, what, times, exc_info=None if late else error)
        if self.on_error == "fail":
            raise PluginError("plugin_timeout" if late else "plugin_failed") from error


async def _contained(work: Coroutine[Any, Any, Any]) -> Any:
    """The same; what would end the whole process is an error like any other."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"it raised {error!r}") from error


def reply_parts(reply: Reply) -> tuple[int, bytes, bytes]:
    """(status, field lines, body) of a plug-in's reply; ValueError where its headers are none."""
    if type(reply.status) is not int or not isinstance(reply.body, str | bytes | bytearray):
        raise ValueError(f"a reply of status {reply.status!r} and a body that is {type(reply.body).__name__} is none")
    body = reply.body.encode() if isinstance(reply.body, str) else bytes(reply.body)
    block = lines(reply.headers, FRAMING)
    if body and not any(name.lower() == "content-type" for name in reply.headers):
        block = b"content-type: text/plain; charset=utf-8\r\n" + block
    return reply.status, block, body
