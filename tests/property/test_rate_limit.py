"""One limit over several workers that tell each other late: never below the rate, and how far above it at most."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.filters.buckets import Buckets

INTERVAL = 0.25
KEY = b"client"

visits = st.lists(
    st.tuples(st.floats(0, 0.4), st.integers(0, 3), st.integers(1, 12)),  # pause before it, at which worker, how many
    min_size=1,
    max_size=60,
)


class Fleet:
    """Workers, the time, and what is on its way between them."""

    def __init__(self, count: int, rate: float, burst: int, delay: float) -> None:
        self.workers = [Buckets(rate, burst, 10) for _ in range(count)]
        self.rate, self.burst = rate, burst
        self.delay = delay
        self.late = INTERVAL + delay
        self.now = 0.0
        self.granted: list[float] = []
        self.full_at = [0.0] * count
        self._next = INTERVAL
        self._under_way: list[tuple[float, int, dict[bytes, int]]] = []

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            arrives = min((due for due, _, _ in self._under_way), default=until + 1)
            if min(arrives, self._next) > until:
                break
            self.now = min(arrives, self._next)
            self._look()
            if arrives <= self._next:
                self._deliver()
            else:
                self._tell()
        self.now = until
        self._look()

    def ask(self, number: int) -> bool:
        self._look()
        if self.workers[number].take(KEY, self.now):
            return False
        self.granted.append(self.now)
        return True

    def between(self, begin: float, end: float) -> int:
        return sum(begin <= at <= end for at in self.granted)

    def _look(self) -> None:
        for number, worker in enumerate(self.workers):
            if worker.left(KEY, self.now) >= self.burst:
                self.full_at[number] = self.now

    def _tell(self) -> None:
        self._next += INTERVAL
        for number, worker in enumerate(self.workers):
            told = worker.tell(10)
            if told:
                self._under_way.append((self.now + self.delay, number, told))

    def _deliver(self) -> None:
        due = min(due for due, _, _ in self._under_way)
        for arrived in [each for each in self._under_way if each[0] == due]:
            self._under_way.remove(arrived)
            for number, worker in enumerate(self.workers):
                if number != arrived[1]:
                    worker.hear(arrived[2], self.now)


@given(st.integers(1, 4), st.sampled_from([1, 4, 20]), st.integers(1, 10), st.floats(0, 0.3), visits)
@example(2, 1, 1, 0.0806500058522081, [(0.25, 1, 1), (0.25, 1, 1), (0.25, 0, 1)])  # told as late as can be
def test_rate_holds_over_all_workers(
    count: int, rate: int, burst: int, delay: float, taken: list[tuple[float, int, int]]
) -> None:
    fleet = Fleet(count, rate, burst, delay)
    for pause, worker, requests in taken:
        fleet.pass_time(pause)
        number = worker % count
        for _ in range(requests):
            if not fleet.ask(number):
                # Never below: whoever is turned away, the bucket has been given out since it was full here.
                since = fleet.full_at[number]
                got = fleet.between(since - fleet.late - 1e-6, fleet.now)
                assert got > burst - 1 + rate * (fleet.now - since) - 0.01
    # Never above, over any time: a burst a worker, and what each grants before it can hear of the others.
    times = fleet.granted
    for first in range(len(times)):
        for last in range(first, len(times)):
            elapsed = times[last] - times[first]
            most = rate * elapsed + burst * count + rate * fleet.late * (count - 1)
            assert last - first + 1 <= most + 0.01


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(2, 10), st.floats(0, 0.3))
def test_demand_without_end_gets_the_rate_and_no_more_in_the_long_run(count: int, burst: int, delay: float) -> None:
    rate, seconds, step = 20, 10, 0.02
    fleet = Fleet(count, rate, burst, delay)
    for _ in range(int(seconds / step)):
        for number in range(count):
            while fleet.ask(number):
                pass
        fleet.pass_time(step)
    granted = len(fleet.granted)
    assert burst - 1 + rate * (seconds - 2 * step) <= granted
    assert granted <= rate * seconds + burst * count + rate * fleet.late * (count - 1) + 1


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=80),
)
def test_the_bucket_that_makes_room_is_nearest_to_full(most: int, steps: list[tuple[float, int, int]]) -> None:
    buckets, known, now = Buckets(1.0, 4, most), set[bytes](), 0.0
    for pause, number, heard in steps:
        now += pause
        key = b"%d" % number
        before = {each: buckets.left(each, now) for each in known}
        if heard:
            buckets.hear({key: heard}, now)
        else:
            buckets.take(key, now)
        known = {each for each in known | {key} if each in buckets}
        assert len(buckets) == len(known) <= most
        for gone in before.keys() - known:
            assert before[gone] >= max(before[each] for each in before) - 1e-6
