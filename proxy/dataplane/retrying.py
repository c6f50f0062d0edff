"""Whether a failed attempt may be made again: RFC 9110 §9.2.2, the route's `retry`, and the pool's budget."""

from typing import TYPE_CHECKING

from proxy.dataplane.failures import UpstreamFailure, UpstreamReset

if TYPE_CHECKING:
    from proxy.dataplane.exchange import Exchange
    from proxy.snapshot.document import Retry

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


def is_stale(exchange: "Exchange", failure: UpstreamFailure, reused: bool) -> bool:
    """Was this a kept-alive connection that the endpoint had already given up, with nothing lost?

    Then the request is sent once more on a fresh connection, whatever `retry` says: the endpoint never answered it.
    What is not idempotent goes again only if not a byte of it was taken: the endpoint may have acted on it.
    """
    return (
        reused
        and isinstance(failure, UpstreamReset)
        and failure.unanswered
        and not exchange.stale_retried
        and exchange.is_whole
        and (failure.unsent or exchange.head.method in IDEMPOTENT)
    )


def may_repeat(exchange: "Exchange", condition: str | None, now: float) -> bool:
    """Does `retry` allow another attempt after this outcome?"""
    retry = exchange.retry
    return (
        condition in retry.on
        and exchange.attempts <= retry.retries
        and exchange.is_whole
        and (condition == "connect" or exchange.head.method in exchange.route.retry_methods)
        and (_is_detour(exchange, condition) or exchange.pool.shared.may_retry(now))
    )


def _is_detour(exchange: "Exchange", condition: str | None) -> bool:
    """Has no endpoint seen anything of this request, and is there one in the pool that is not failing itself?

    Going there is what the balancer would have done had it known: the pool gets one request for one. So the budget,
    which keeps an outage from being multiplied, has nothing to say. Where every endpoint fails, it has.
    """
    pool = exchange.pool
    return condition == "connect" and any(not each.consecutive_errors for each in (*pool.usable, *pool.reserve))


def status_condition(retry: "Retry", status: int) -> str | None:
    """The word of `retry.on` that names this status, if one does."""
    conditions = retry.on
    if str(status) in conditions:
        return str(status)
    return "5xx" if "5xx" in conditions and status >= 500 else None
