"""However requests fail, a pool keeps an endpoint, and no more than the share is out."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from proxy.pools import ejection
from proxy.pools.balancers import BALANCERS
from proxy.pools.endpoint import Signal, State
from proxy.pools.pool import Pool, PoolSpec
from proxy.pools.registry import EndpointRegistry


@dataclass(frozen=True, slots=True)
class Settings:
    """Ejection's settings."""

    consecutive_errors: int
    base: float
    max: float
    max_share: float


settings_of_any_kind = st.builds(
    Settings, st.integers(1, 4), st.floats(0.0, 60.0), st.floats(0.0, 600.0), st.floats(0.0, 1.0)
)
events = st.lists(
    st.tuples(st.sampled_from(["fail", "fail", "fail", "pass", "readmit"]), st.integers(0, 9), st.floats(0.0, 40.0)),
    max_size=80,
)


def pool_of_size(size: int, *, even: bool) -> Pool:
    registry = EndpointRegistry()
    members = tuple((f"10.0.0.{number}:80", 1.0 if even else number % 3) for number in range(size))
    pool = registry.pool(PoolSpec("shop", "blue", members, BALANCERS.build("round_robin", {})), lambda: 0.5)
    registry.activate([pool])
    return pool


@given(st.integers(1, 10), st.booleans(), settings_of_any_kind, events)
def test_ejection_never_empties_a_pool_or_passes_the_share(
    size: int,
    even: bool,
    settings: Settings,
    happenings: list[tuple[str, int, float]],
) -> None:
    pool = pool_of_size(size, even=even)
    had_usable = bool(pool.usable)
    now = 0.0
    for kind, number, later in happenings:
        endpoint = pool.endpoints[number % size]
        now += later
        match kind:
            case "fail":
                before = endpoint.state
                ejected = ejection.failed(endpoint, pool, now, settings)
                assert ejected is (before is State.UP and endpoint.state is State.EJECTED)
            case "pass":
                ejection.passed(endpoint)
            case "readmit":
                was_out = endpoint.state is State.EJECTED
                assert ejection.readmit(endpoint, now) is (was_out and now >= endpoint.ejected_until)
        out = sum(endpoint.state is State.EJECTED for endpoint in pool.endpoints)
        assert out <= settings.max_share * size + 1e-6
        assert bool(pool.usable) is had_usable
        assert pool.usable == tuple(endpoint for endpoint in pool.endpoints if endpoint.is_usable)


@given(st.integers(2, 6), st.integers(0, 5), settings_of_any_kind)
def test_ejection_lasts_at_most_the_longer_of_base_and_max(size: int, times: int, settings: Settings) -> None:
    pool = pool_of_size(size, even=True)
    endpoint, now = pool.endpoints[0], 1_000.0
    for _ in range(times):
        for _ in range(settings.consecutive_errors):
            ejection.failed(endpoint, pool, now, settings)
        assert endpoint.ejected_until - now <= max(settings.base, settings.max) + 1e-6
        endpoint.signal(Signal.READMIT)
        now += 1.0
