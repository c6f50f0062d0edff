"""A service: who goes to which pool, who stays there, and which endpoint takes them."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from proxy.http1.facts import Facts
from proxy.pools.endpoint import Endpoint, Signal, State
from proxy.routing.service import Service
from proxy.snapshot.compile import Snapshot
from proxy.snapshot.document import Pool, Sticky, StickyKey
from proxy.telemetry.evidence import Watch

RequestOf = Callable[..., Facts]
ServiceOf = Callable[..., Any]
SnapshotOf = Callable[..., Snapshot]
DAY = 86_400.0
NOW = 1_700_000_000.0
SPLIT = {"blue": 0.9, "canary": 0.1}
HALVES = {"blue": 0.5, "canary": 0.5}
BY_COOKIE = Sticky(cookie="sid", ttl=30 * DAY)
HOLDING = Sticky(cookie="sid", ttl=30 * DAY, on_change="hold", hold_for=3600.0)


@dataclass
class Visitor:
    """A browser with one cookie jar."""

    request_of: RequestOf
    cookie: str | None = None
    writes: int = 0

    def visit(self, service: Service, now: float) -> str:
        pool, line, _ = service.stick(self.request_of(cookie=self.cookie), now)
        if line is not None:
            self.cookie = line.partition(b";")[0].decode()
            self.writes += 1
        return pool.name

    def id(self, service: Service) -> bytes | None:
        return service.identity(self.request_of(cookie=self.cookie))


def crowd(request_of: RequestOf, service: Service, size: int = 400) -> list[Visitor]:
    visitors = [Visitor(request_of) for _ in range(size)]
    for visitor in visitors:
        visitor.visit(service, NOW)
    return visitors


def test_service_that_is_not_sticky_draws_and_writes_no_cookie(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf
) -> None:
    numbers = iter([0.0, 0.89, 0.9, 0.999])
    service = snapshot_of((service_of(SPLIT),), chance=numbers.__next__).services["shop"]
    drawn = [service.stick(request_of(cookie="sid=x"), NOW) for _ in range(4)]
    assert [pool.name for pool, *_ in drawn] == ["blue", "blue", "canary", "canary"]
    assert {line for _, line, _ in drawn} == {None}
    assert (service.is_sticky, service.sticky_cookie, service.identity(request_of())) == (False, None, None)


def test_service_with_one_pool_asks_no_chance(snapshot_of: SnapshotOf, service_of: ServiceOf) -> None:
    service = snapshot_of((service_of({"blue": 1.0, "canary": 0.0}),), chance=iter(()).__next__).services["shop"]
    assert service.draw().name == "blue"


def test_sessions_keep_their_pool_and_their_cookie(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf
) -> None:
    service = snapshot_of((service_of(SPLIT, sticky=BY_COOKIE),), chance=iter(()).__next__).services["shop"]
    assert service.sticky_cookie == b"sid"
    visitors = crowd(request_of, service)
    pools = [visitor.visit(service, NOW + 60) for visitor in visitors]
    assert [visitor.visit(service, NOW + 14 * DAY) for visitor in visitors] == pools
    assert {visitor.writes for visitor in visitors} == {1}
    assert abs(pools.count("canary") - 40) < 5 * (400 * 0.1 * 0.9) ** 0.5


def test_renewal_past_half_of_ttl_keeps_the_id(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf
) -> None:
    service = snapshot_of((service_of(HALVES, sticky=BY_COOKIE),)).services["shop"]
    visitor = Visitor(request_of)
    pool, first = visitor.visit(service, NOW), visitor.id(service)
    assert [visitor.visit(service, NOW + days * DAY) for days in (15.0, 15.1, 16, 400)] == [pool] * 4
    assert visitor.writes == 3  # new; past half of it; long after it was over
    assert visitor.id(service) == first


def test_forged_cookie_is_replaced(snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf) -> None:
    service = snapshot_of((service_of(HALVES, sticky=BY_COOKIE),)).services["shop"]
    visitor = Visitor(request_of, "sid=forged.value")
    visitor.visit(service, NOW)
    assert visitor.writes == 1
    assert visitor.id(service) is not None


def test_change_moves_only_whom_it_must(snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf) -> None:
    before = snapshot_of((service_of(SPLIT, sticky=BY_COOKIE),))
    after = snapshot_of((service_of(HALVES, sticky=BY_COOKIE),), previous=before)
    visitors = crowd(request_of, before.services["shop"])
    old = [visitor.visit(before.services["shop"], NOW) for visitor in visitors]
    new = [visitor.visit(after.services["shop"], NOW) for visitor in visitors]
    moves = Counter(zip(old, new, strict=True))
    assert moves["canary", "blue"] == 0
    assert abs(moves["blue", "canary"] - 160) < 5 * (400 * 0.4 * 0.6) ** 0.5
    back = snapshot_of((service_of(SPLIT, sticky=BY_COOKIE),), previous=after)
    assert [visitor.visit(back.services["shop"], NOW) for visitor in visitors] == old


def test_held_session_stays_while_new_ones_follow(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf
) -> None:
    blue = snapshot_of((service_of({"blue": 1.0, "canary": 0.0}, sticky=HOLDING),))
    canary = snapshot_of((service_of({"blue": 0.0, "canary": 1.0}, sticky=HOLDING),), previous=blue)
    held, late = Visitor(request_of), Visitor(request_of)
    assert held.visit(blue.services["shop"], NOW) == "blue"
    service = canary.services["shop"]
    assert late.visit(service, NOW + 1) == "canary"
    assert [held.visit(service, NOW + age) for age in (1, 1800, 3599)] == ["blue"] * 3
    assert held.writes == 1
    assert [held.visit(service, NOW + age) for age in (3600, 3601)] == ["canary"] * 2
    assert held.writes == 2


def test_renewal_of_a_held_session_does_not_prolong_its_binding(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf
) -> None:
    sticky = replace_struct(HOLDING, ttl=2000.0)
    blue = snapshot_of((service_of({"blue": 1.0, "canary": 0.0}, sticky=sticky),))
    canary = snapshot_of((service_of({"blue": 0.0, "canary": 1.0}, sticky=sticky),), previous=blue)
    held = Visitor(request_of)
    held.visit(blue.services["shop"], NOW)
    first, service = held.id(blue.services["shop"]), canary.services["shop"]
    assert [held.visit(service, NOW + age) for age in (1500, 3000, 3600)] == ["blue", "blue", "canary"]
    assert held.id(service) == first


def test_raised_epoch_voids_bindings_at_once(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf
) -> None:
    blue = snapshot_of((service_of({"blue": 1.0, "canary": 0.0}, sticky=HOLDING),))
    moved = service_of({"blue": 0.0, "canary": 1.0}, sticky=HOLDING)
    pools = tuple(Pool(pool.name, pool.endpoints, epoch=1) for pool in moved.pools)
    flipped = snapshot_of((replace_struct(moved, pools=pools),), previous=blue)
    held = Visitor(request_of)
    held.visit(blue.services["shop"], NOW)
    first = held.id(blue.services["shop"])
    assert held.visit(flipped.services["shop"], NOW + 1) == "canary"
    assert (held.writes, held.id(flipped.services["shop"])) == (2, first)


def test_session_bound_to_a_pool_that_is_gone_follows_the_table(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf
) -> None:
    both = snapshot_of((service_of({"blue": 1.0, "canary": 0.0}, sticky=HOLDING),))
    one = snapshot_of((service_of({"canary": 1.0}, sticky=HOLDING),), previous=both)
    held = Visitor(request_of)
    held.visit(both.services["shop"], NOW)
    assert held.visit(one.services["shop"], NOW + 1) == "canary"


def test_session_goes_on_in_a_pool_that_drains_until_it_is_empty_or_the_epoch_ends(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf
) -> None:
    snapshot = snapshot_of((service_of(HALVES, sticky=HOLDING),))
    service = snapshot.services["shop"]
    (endpoint,) = service.pools["blue"].endpoints
    old = next(each for each in crowd(request_of, service, 40) if each.visit(service, NOW) == "blue")
    new = next(each for each in crowd(request_of, service, 40) if each.visit(service, NOW) == "blue")
    new.cookie = None

    def goes_to(visitor: Visitor) -> str | None:
        facts = request_of(cookie=visitor.cookie)
        pool, *_ = service.stick(facts, NOW + 1)
        found = service.endpoint(pool, facts)
        return found and found[1].address

    endpoint.in_flight = 1
    endpoint.signal(Signal.DRAIN)
    endpoint.shared.refresh()
    assert goes_to(old) == endpoint.address
    assert goes_to(new) != endpoint.address
    endpoint.signal(Signal.EMPTY)
    endpoint.shared.refresh()
    assert goes_to(old) != endpoint.address
    endpoint.signal(Signal.RESTORE)
    endpoint.signal(Signal.PASS)
    endpoint.shared.refresh()
    assert goes_to(old) == endpoint.address


@pytest.mark.parametrize(
    "sticky", [Sticky(cookie="sid", endpoint=True), Sticky(key=StickyKey("cookie", "uid"), endpoint=True)]
)
def test_session_keeps_its_endpoint_while_it_is_usable(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf, sticky: Sticky
) -> None:
    sizes = {"blue": 3, "canary": 3}
    service = snapshot_of((service_of(HALVES, sizes, sticky=sticky),), chance=seeded()).services["shop"]

    def endpoint_of(cookie: str) -> Endpoint:
        facts = request_of(cookie=cookie)
        found = service.endpoint(service.stick(facts, NOW)[0], facts)
        assert found is not None
        return found[1]

    users = [f"{each.cookie}; uid={number}" for number, each in enumerate(crowd(request_of, service, 60))]
    first = [endpoint_of(user) for user in users]
    assert [endpoint_of(user) for user in users] == first
    assert len(set(first)) == 6
    ill = first[0]
    ill.signal(Signal.FAIL)
    ill.shared.refresh()
    moved = [endpoint_of(user) for user in users]
    assert ill not in moved
    assert [now for now, was in zip(moved, first, strict=True) if was is not ill] == [w for w in first if w is not ill]
    assert {now.shared for now, was in zip(moved, first, strict=True) if was is ill} == {ill.shared}
    ill.signal(Signal.PASS)
    ill.shared.refresh()
    assert [endpoint_of(user) for user in users] == first


def test_first_visit_goes_to_the_endpoint_that_the_session_keeps(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf
) -> None:
    sticky = Sticky(cookie="sid", endpoint=True)
    service = snapshot_of((service_of({"blue": 1.0}, {"blue": 5}, sticky=sticky),), chance=seeded()).services["shop"]
    for _ in range(20):
        facts = request_of()
        pool, cookie, _ = service.stick(facts, NOW)
        assert cookie is not None
        again = request_of(cookie=cookie.decode().partition(";")[0])
        first, second = pool.pick(facts), service.stick(again, NOW)[0].pick(again)
        assert first is second is not None


def test_switch_between_move_and_hold_keeps_ids(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf
) -> None:
    moving = snapshot_of((service_of(HALVES, sticky=BY_COOKIE),)).services["shop"]
    holding = snapshot_of((service_of(HALVES, sticky=HOLDING),)).services["shop"]
    visitor = Visitor(request_of)
    pool, first = visitor.visit(moving, NOW), visitor.id(moving)
    assert [visitor.visit(holding, NOW + 1), visitor.visit(moving, NOW + 2)] == [pool, pool]
    assert (visitor.writes, visitor.id(moving)) == (2, first)


@pytest.mark.parametrize(
    ("key", "shown", "hidden"),
    [
        (StickyKey("header", "x-user-id"), {"headers": "X-User-Id: 42"}, {"headers": "X-User-Id:"}),
        (StickyKey("cookie", "uid"), {"cookie": "uid=42"}, {"cookie": "uid="}),
    ],
)
def test_key_decides_the_pool_and_without_one_chance_does(
    snapshot_of: SnapshotOf,
    service_of: ServiceOf,
    request_of: RequestOf,
    key: StickyKey,
    shown: dict[str, str],
    hidden: dict[str, str],
) -> None:
    numbers = iter([0.0, 0.9])
    sticky = Sticky(key=key)
    service = snapshot_of((service_of(HALVES, sticky=sticky),), chance=numbers.__next__).services["shop"]
    home = service.home(b"42")
    assert [service.stick(request_of(**shown), NOW)[:2] for _ in range(3)] == [(home, None)] * 3
    assert [service.stick(request_of(**hidden), NOW)[0].name for _ in range(2)] == ["blue", "canary"]
    assert service.sticky_cookie is None


def test_bucket_is_the_same_in_every_process(snapshot_of: SnapshotOf, service_of: ServiceOf) -> None:
    service = snapshot_of((service_of(HALVES, sticky=BY_COOKIE),)).services["shop"]
    assert [service.bucket(b"42"), service.bucket(b"")] == [7559, 475]


def seeded() -> Callable[[], float]:
    return random.Random(3).random  # noqa: S311 - seeded, so that tests repeat


def replace_struct(struct: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(struct, **changes)


STATES = {"+": State.UP, "-": State.DOWN, "d": State.DRAINING, "u": State.UNPROVEN}


def set_states(service: Service, states: dict[str, str]) -> None:
    for name, marks in states.items():
        for endpoint, mark in zip(service.pools[name].endpoints, marks, strict=True):
            endpoint.state = STATES[mark]
        service.pools[name].refresh()


@pytest.mark.parametrize(
    ("states", "found", "counted"),
    [
        ({"blue": "+-", "green": "+", "canary": "+"}, {"blue-0"}, (0, 0)),
        ({"blue": "--", "green": "+", "canary": "+"}, {"green-0", "canary-0"}, (400, 0)),
        ({"blue": "dd", "green": "-", "canary": "+"}, {"canary-0"}, (400, 0)),
        ({"blue": "-d", "green": "-", "canary": "u"}, {"blue-0"}, (0, 400)),
        ({"blue": "du", "green": "-", "canary": "u"}, {"green-0"}, (0, 400)),
        ({"blue": "du", "green": "d", "canary": "u"}, {None}, (0, 0)),
    ],
)
def test_endpoint_is_own_then_spilled_then_panic_then_none(
    snapshot_of: SnapshotOf,
    service_of: ServiceOf,
    request_of: RequestOf,
    states: dict[str, str],
    found: set[str | None],
    counted: tuple[int, int],
) -> None:
    shares = {"blue": 0.6, "green": 0.3, "canary": 0.1}
    document = service_of(shares, {"blue": 2, "dark": 1})
    service = snapshot_of((document,), chance=seeded()).services["shop"]
    set_states(service, states)
    got = [service.endpoint(service.pools["blue"], request_of()) for _ in range(400)]
    assert {each and each[1].address for each in got} == found
    counters = [pool.shared.counters for pool in service.pools.values()]
    assert (sum(each.spilled for each in counters), sum(each.panicked for each in counters)) == counted
    assert service.pools["blue"].shared.counters.spilled == counted[0]


@pytest.mark.parametrize(
    ("states", "chosen", "found"),
    [
        ({"blue": "-", "green": "+", "canary": "+"}, "blue", {"green-0"}),
        ({"blue": "-", "green": "-", "canary": "+"}, "blue", {"blue-0"}),
        ({"blue": "d", "green": "-", "canary": "+"}, "blue", {"green-0", "canary-0"}),
        ({"blue": "+", "green": "-", "canary": "-"}, "canary", {"blue-0"}),
    ],
)
def test_nothing_of_stable_spills_to_the_candidate_of_a_rollout(
    snapshot_of: SnapshotOf,
    service_of: ServiceOf,
    request_of: RequestOf,
    states: dict[str, str],
    chosen: str,
    found: set[str],
) -> None:
    watch = Watch("r#1", 1, 0, "blue", "canary")
    document = replace_struct(service_of({"blue": 0.6, "green": 0.3, "canary": 0.1}), watch=watch)
    service = snapshot_of((document,), chance=seeded()).services["shop"]
    set_states(service, states)
    got = [service.endpoint(service.pools[chosen], request_of()) for _ in range(100)]
    assert {each and each[1].address for each in got} <= found


def test_spill_goes_by_the_proportions_of_the_others(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf
) -> None:
    document = service_of({"blue": 0.6, "green": 0.3, "canary": 0.1})
    service = snapshot_of((document,), chance=seeded()).services["shop"]
    set_states(service, {"blue": "-"})
    got = Counter()
    for _ in range(2000):
        found = service.endpoint(service.pools["blue"], request_of())
        got[found and found[0].name] += 1
    assert abs(got["canary"] - 500) < 5 * (2000 * 0.25 * 0.75) ** 0.5
    assert got["green"] + got["canary"] == 2000


def test_retry_prefers_another_endpoint_of_the_same_pool(
    snapshot_of: SnapshotOf, service_of: ServiceOf, request_of: RequestOf
) -> None:
    service = snapshot_of((service_of({"blue": 1.0}, {"blue": 2}),)).services["shop"]
    first, second = service.pools["blue"].endpoints
    assert service.endpoint(service.pools["blue"], request_of(), (first,)) == (service.pools["blue"], second)


@pytest.mark.parametrize(
    ("states", "otherwise", "address"),
    [
        ({"blue": "+", "canary": "+"}, True, "canary-0"),
        ({"blue": "+", "canary": "-"}, True, "canary-0"),
        ({"blue": "+", "canary": "-"}, False, "canary-0"),
        ({"blue": "+", "canary": "d"}, False, None),
        ({"blue": "+", "canary": "d"}, True, "blue-0"),
        ({"blue": "-", "canary": "d"}, True, "blue-0"),
        ({"blue": "u", "canary": "d"}, True, None),
    ],
)
def test_named_pool_has_its_own_endpoints_then_otherwise(
    snapshot_of: SnapshotOf,
    service_of: ServiceOf,
    request_of: RequestOf,
    states: dict[str, str],
    otherwise: bool,
    address: str | None,
) -> None:
    service = snapshot_of((service_of({"blue": 1.0, "canary": 0.0}),)).services["shop"]
    set_states(service, states)
    found = service.named(service.pools["canary"], request_of(), (), otherwise=otherwise)
    assert (found and found[1].address) == address
