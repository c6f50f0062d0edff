"""However workers report, a pool keeps an endpoint, no more than the share is out, and everyone comes back in time."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.control.ejections import Ejections
from proxy.pools.registry import EndpointKey
from proxy.snapshot.document import Ejection

settings_of_any_kind = st.builds(
    Ejection,
    base=st.floats(0.0, 60.0),
    max=st.floats(0.0, 600.0),
    max_share=st.floats(0.0, 1.0),
)
events = st.lists(
    st.tuples(st.sampled_from(["fail", "fail", "readmit", "down"]), st.integers(0, 9), st.floats(0.0, 40.0)),
    max_size=60,
)


@given(st.integers(1, 10), st.sets(st.integers(0, 9)), settings_of_any_kind, events)
def test_ejections_leave_a_usable_endpoint_and_the_share(
    size: int, never_usable: set[int], settings: Ejection, happenings: list[tuple[str, int, float]]
) -> None:
    keys: list[EndpointKey] = [("shop", "blue", f"10.0.0.{number}:80") for number in range(size)]
    ejections, now = Ejections(), 0.0

    def usable() -> dict[EndpointKey, bool]:
        return {key: number not in never_usable and key not in ejections for number, key in enumerate(keys)}

    had_usable = any(usable().values())
    for kind, number, later in happenings:
        key = keys[number % size]
        now += later
        match kind:
            case "fail":
                was_usable = usable()[key]
                ejected = ejections.failed(key, usable(), settings, now)
                assert not ejected or was_usable
                assert not ejected or now <= (ejections.until(key) or 0.0) <= now + max(settings.base, settings.max)
            case "readmit":
                ejections.readmit_due(now)
                due = ejections.next_due()
                assert due is None or due > now
            case "down":
                ejections.came_down([key])
        assert any(usable().values()) is had_usable
        assert sum(key in ejections for key in keys) <= settings.max_share * size + 1e-6
