"""The counters of a pool."""

from proxy.telemetry.counters import NO_RESPONSE, PoolCounters


def test_total_is_every_request_that_ended() -> None:
    counters = PoolCounters()
    counters.requests[2] += 3
    counters.requests[5] += 1
    counters.requests[NO_RESPONSE] += 1
    assert counters.total == 5


def test_counters_of_two_pools_are_apart() -> None:
    one, other = PoolCounters(), PoolCounters()
    one.requests[2] += 1
    one.duration.observe(0.1)
    assert (other.total, other.duration.count) == (0, 0)
