"""Ejections: who is taken out on a worker's report, for how long, who never is, and how they come back."""

from itertools import product

import pytest

from proxy.control.ejections import Ejections
from proxy.pools.registry import EndpointKey
from proxy.snapshot.document import Ejection

DEFAULTS = Ejection()


def key(number: int) -> EndpointKey:
    return "shop", "blue", f"10.0.0.{number}:80"


def members(ejections: Ejections, size: int, *, unusable: tuple[int, ...] = ()) -> dict[EndpointKey, bool]:
    """What the controller says of a pool of that size."""
    return {key(number): number not in unusable and key(number) not in ejections for number in range(size)}


def fail(ejections: Ejections, number: int, size: int = 2, now: float = 0.0, settings: Ejection = DEFAULTS) -> bool:
    return ejections.failed(key(number), members(ejections, size), settings, now)


def test_report_ejects() -> None:
    ejections = Ejections()
    assert fail(ejections, 0, now=10.0)
    assert key(0) in ejections
    assert key(1) not in ejections
    assert ejections.until(key(0)) == ejections.next_due() == 40.0
    assert ejections.until(key(1)) is None


@pytest.mark.parametrize("size", [1, 2, 3, 4, 10])
def test_several_workers_reports_count_once(size: int) -> None:
    ejections, asked = Ejections(), members(Ejections(), size)
    settings = Ejection(max_share=1.0)
    # The second worker's report may have been sent before the table told of the ejection: then `asked` is old.
    reports = [ejections.failed(key(0), asked, settings, now) for now in (0.0, 0.1, 29.9)]
    assert reports == [size > 1, False, False]
    ejections.readmit_due(30.0)
    fail(ejections, 0, size, now=30.0, settings=settings)
    assert ejections.until(key(0)) == (None if size == 1 else 90.0)


@pytest.mark.parametrize(
    ("size", "share", "out"),
    [
        (1, 1.0, 0),
        (2, 0.5, 1),
        (2, 0.49, 0),
        (2, 1.0, 1),
        (3, 0.5, 1),
        (3, 1.0, 2),
        (4, 0.5, 2),
        (10, 0.29, 2),
        (10, 0.3, 3),
        (100, 0.29, 29),
        (100, 0.0, 0),
    ],
)
def test_ejection_leaves_a_share_and_one(size: int, share: float, out: int) -> None:
    ejections = Ejections()
    ejected = [fail(ejections, number, size, settings=Ejection(max_share=share)) for number in range(size)]
    assert sum(ejected) == out


@pytest.mark.parametrize(
    ("unusable", "ejected"),
    [((), True), ((1,), True), ((1, 2), False), ((0,), False), ((0, 1, 2), False)],
)
def test_ejection_leaves_one_that_is_usable(unusable: tuple[int, ...], ejected: bool) -> None:
    ejections = Ejections()
    asked = members(ejections, 3, unusable=unusable)
    assert ejections.failed(key(0), asked, Ejection(max_share=1.0), 0.0) is ejected
    assert (key(0) in ejections) is ejected


@pytest.mark.parametrize("size", [2, 3, 10])
def test_reports_that_come_at_once_leave_one_too(size: int) -> None:
    ejections, asked = Ejections(), members(Ejections(), size)  # nobody was told of the first when the others come
    settings = Ejection(max_share=1.0)
    assert [ejections.failed(key(number), asked, settings, 0.0) for number in range(size)] == [
        *[True] * (size - 1),
        False,
    ]


def test_endpoint_that_the_pool_does_not_have_is_not_ejected() -> None:
    ejections = Ejections()
    assert not ejections.failed(key(7), members(ejections, 3), Ejection(), 0.0)
    assert ejections.next_due() is None


def test_other_pools_do_not_use_up_the_share() -> None:
    ejections = Ejections()
    green = {("shop", "green", f"10.0.0.{number}:80"): True for number in range(2)}
    assert fail(ejections, 0)
    assert ejections.failed(("shop", "green", "10.0.0.0:80"), green, Ejection(), 0.0)


def test_endpoint_at_the_limit_is_ejected_once_there_is_room() -> None:
    ejections = Ejections()
    assert fail(ejections, 0)
    assert not fail(ejections, 1)
    ejections.readmit_due(30.0)
    assert fail(ejections, 1, now=30.0)


def test_each_ejection_is_longer_up_to_a_maximum() -> None:
    ejections, now, times = Ejections(), 100.0, []
    for _ in range(12):
        assert fail(ejections, 0, now=now)
        until = ejections.until(key(0)) or 0.0
        times.append(until - now)
        now = until
        assert ejections.readmit_due(now) == (key(0),)
    assert times == [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]


@pytest.mark.parametrize(
    ("quiet", "lasts"), [(0.0, 120.0), (29.0, 120.0), (30.0, 90.0), (60.0, 60.0), (90.0, 30.0), (1e6, 30.0)]
)
def test_good_time_is_forgiven(quiet: float, lasts: float) -> None:
    ejections, now = Ejections(), 0.0
    for _ in range(3):
        fail(ejections, 0, now=now)
        now = ejections.until(key(0)) or 0.0
        ejections.readmit_due(now)
    now += quiet
    fail(ejections, 0, now=now)
    assert ejections.until(key(0)) == now + lasts


@pytest.mark.parametrize(("base", "most", "lasts"), [(30.0, 1.0, 30.0), (0.0, 300.0, 0.0), (7.0, 300.0, 7.0)])
def test_first_ejection_lasts_base(base: float, most: float, lasts: float) -> None:
    ejections = Ejections()
    assert fail(ejections, 0, now=5.0, settings=Ejection(base=base, max=most))
    assert ejections.next_due() == 5.0 + lasts


def test_readmission_waits_for_the_time_of_each() -> None:
    ejections = Ejections()
    for number, now in ((0, 10.0), (1, 12.0)):
        assert fail(ejections, number, 4, now=now)
    assert ejections.next_due() == 40.0
    assert [ejections.readmit_due(now) for now in (39.9, 40.0, 40.0)] == [(), (key(0),), ()]
    assert ejections.next_due() == 42.0
    assert ejections.readmit_due(99.0) == (key(1),)
    assert ejections.next_due() is None


def test_readmission_gives_all_that_are_due() -> None:
    ejections = Ejections()
    for number in (2, 0):
        fail(ejections, number, 4)
    assert set(ejections.readmit_due(30.0)) == {key(0), key(2)}


def test_coming_down_ends_an_ejection_that_still_counts() -> None:
    ejections = Ejections()
    fail(ejections, 0)
    assert ejections.came_down([key(1), key(0), key(7)]) == (key(0),)
    assert key(0) not in ejections
    assert ejections.next_due() is None
    assert fail(ejections, 0, now=20.0)
    assert ejections.until(key(0)) == 80.0


def test_forgotten_endpoint_begins_anew() -> None:
    ejections = Ejections()
    fail(ejections, 0)
    ejections.forget([key(0), key(1)])
    assert key(0) not in ejections
    assert fail(ejections, 0, now=1.0)
    assert ejections.until(key(0)) == 31.0


@pytest.mark.parametrize(("size", "out"), list(product((2, 5), (0, 1))))
def test_ejections_show_themselves_in_one_line(size: int, out: int) -> None:
    ejections = Ejections()
    for number in range(out):
        fail(ejections, number, size)
    assert repr(ejections) == f"<Ejections {out} out>"
