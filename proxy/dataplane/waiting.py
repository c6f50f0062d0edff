"""An exchange that a filter holds back: for a time, for a word, for a coroutine, or for work in a thread.

The client is held back meanwhile, and its leaving ends the wait. Then the exchange goes on behind that filter, by the
routing table, the split and the endpoints that are in force by then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from proxy.dataplane.aside import aside
from proxy.filters.effects import Compute, Effect, Run, Wait

if TYPE_CHECKING:
    from proxy.dataplane.exchange import Exchange

log = logging.getLogger("sluice")

Then = Callable[["Effect | None"], None]

_FAILED: Final = "a request that had waited failed: %r"


class Waiting:
    """One wait. `then` is told how it went, unless the exchange has left before."""

    __slots__ = ("_exchange", "_is_over", "_leave", "_task", "_then", "_timer")

    def __init__(self, exchange: "Exchange", then: Then) -> None:
        self._exchange = exchange
        self._then = then
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._leave: Callable[[], None] | None = None

    def leave(self) -> None:
        """The exchange has ended: nothing is waited for any more."""
        if not self._is_over:
            self._end()

    def for_word(self, wait: Wait) -> None:
        """Until woken, or for so long."""
        self._timer = self._exchange.plane.loop.call_later(wait.seconds, self._late, wait.otherwise)
        if wait.join is not None:
            leave = wait.join(self._wake)
            if self._is_over:
                return
            self._leave = leave

    def for_work(self, run: Run) -> None:
        """Until the coroutine has ended, or its time is over: whether it then ends or not."""
        loop = self._exchange.plane.loop
        self._timer = loop.call_later(run.timeout, self._work_is_late, run)
        self._task = loop.create_task(self._await(lambda: self._outcome(run)))
        self._task.add_done_callback(lambda _: run.work.close())  # left before it has begun, it would never end

    def for_thread(self, compute: Compute) -> None:
        """Until a thread has done it."""
        future = self._exchange.plane.workshop.take(compute.work)
        if future is None:
            self._wake(compute.full)
            return
        self._task = self._exchange.plane.loop.create_task(self._await(lambda: future))

    async def _await(self, work: "Callable[[], Awaitable[Effect | None]]") -> None:
        try:
            effect = await work()
        except Exception as error:  # noqa: BLE001 - the outermost guard of a task of ours: the client must hear of it
            self._fail(error)
        else:
            self._task = None
            self._wake(effect)

    async def _outcome(self, run: Run) -> "Effect | None":
        try:
            return await run.work
        except asyncio.CancelledError:
            if self._is_over:
                raise
            return run.failed(RuntimeError("it was cancelled from within"))
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a plug-in raises: `failed` says what becomes of it
            told = error if isinstance(error, Exception) else RuntimeError(f"it raised {error!r}")
            return None if self._is_over else run.failed(told)

    def _fail(self, error: Exception) -> None:
        """What was waited for has raised."""
        self._task = None
        if not self._is_over:
            self._end()
            aside(self._exchange).waiting = None
            log.error(_FAILED, self._exchange, exc_info=error)
            self._exchange.spoil("internal_error")

    def _work_is_late(self, run: Run) -> None:
        self._timer = None
        if not self._is_over:
            try:
                effect = run.failed(TimeoutError())
            except Exception as error:  # noqa: BLE001 - the outermost guard of a callback of ours
                self._fail(error)
            else:
                self._go_on(effect)

    def _late(self, otherwise: "Effect | None") -> None:
        self._timer = None
        if not self._is_over:
            self._go_on(otherwise)

    def _wake(self, effect: "Effect | None") -> None:
        if not self._is_over:
            self._leave = None  # whoever wakes has let go of it
            self._go_on(effect)

    def _go_on(self, effect: "Effect | None") -> None:
        self._end()
        exchange = self._exchange
        aside(exchange).waiting = None
        try:
            self._then(effect)
        except Exception:
            # The outermost guard: called from the loop, or from another exchange's end.
            log.exception(_FAILED, exchange)
            exchange.spoil("internal_error")

    def _end(self) -> None:
        self._is_over = True
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            self._task = None


def wait(exchange: "Exchange", effect: Wait | Run | Compute, then: Then) -> None:
    """Hold the exchange back until what the effect waits for has come; `then` may be called at once."""
    waiting = aside(exchange).waiting = Waiting(exchange, then)
    timeouts = getattr(exchange, "timeouts", None)  # known once the route is
    if timeouts is not None and timeouts.total is not None:
        exchange.plane.wheel.watch(exchange, exchange.total_deadline())
    match effect:
        case Wait():
            waiting.for_word(effect)
        case Run():
            waiting.for_work(effect)
        case Compute():
            waiting.for_thread(effect)
