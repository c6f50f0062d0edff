"""How often a guard kills an equal flag, and how soon it finds harm: simulated users, through the proxy's own code.

    .venv/bin/python bench/flag_guards.py --quick     # about a minute on one core
    .venv/bin/python bench/flag_guards.py             # half an hour, on a busy machine

Users and their requests are made up, and the clock: a flag that draws, the guard of two workers who count
(filters.flag_guards), what they tell, encoded, and the trials of the controller that judge it (control.flag_trials) are
the proxy's. Each run is 60,000 requests of 3,000 users over three weeks, looked at after every tenth failure. Requests
that go well are not passed on: they add to what a sentence tells, and to no test. It ends with 1 if equal variants were
killed more often than `alpha` lets chance do in one of 1,000 such rows.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

from judge import Many, likely, middle, of, row
from simulated import Ended

from proxy.control.flag_trials import Asked, Trials
from proxy.filters.flag_guards import DAY, Guarding, version
from proxy.flags.definitions import read
from proxy.flags.draws import Drawer
from proxy.flags.spec import FlagGuard
from proxy.telemetry.evidence import Seeing, decode

USERS: Final = 3_000
REQUESTS: Final = 60_000
DAYS: Final = 21
BASE: Final = 0.01
LOOK: Final = 10
RISKS: Final = (2.0, 3.0, 5.0, 10.0, 30.0)
GUARD: Final = FlagGuard()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a guarded flag meets.

    `weights` are those of `on` in per cent, by week, as `sluice flag percent` sets them. `failing` users always fail,
    in any variant; `risk` is how many times as often `on` fails as the others. `changing`: outages that hit everybody.
    With `third` there is another variant as heavy as `on`.
    """

    weights: tuple[int, ...] = (10,)
    failing: int = 0
    risk: float = 1.0
    changing: bool = False
    third: bool = False


class World:
    """A flag and its guard in two workers, and in a controller."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self._seed = seed
        self._scene = scene
        self._seeing = Seeing(), Seeing()
        self._trials = Trials()
        others = ("on", "blue") if scene.third else ("on",)
        self._set = read({"flags": {"f": self._definition(scene.weights[0])}}, "v3")
        self._of = version(self._set, "f", GUARD)
        asked = Asked(self._of, "off", GUARD.errors.alpha / len(others))
        self._asked = {("f", other): asked for other in others}
        self.weigh(scene.weights[0])

    def _definition(self, weight: int) -> dict[str, Any]:
        weights = {"on": weight, "off": 100 - weight}
        if self._scene.third:
            weights = {"on": weight, "blue": weight, "off": 100 - 2 * weight}
        arms = [[name, share] for name, share in weights.items()]
        variants = dict(zip(weights, range(3), strict=False))
        return {"state": "ENABLED", "variants": variants, "defaultVariant": "off", "targeting": {"fractional": arms}}

    def weigh(self, weight: int) -> None:
        """Another weight for `on`."""
        made = read({"flags": {"f": self._definition(weight)}}, "v3")
        self._drawer = Drawer.of(made.flags["f"], made.generation, made.shared)
        self._workers = [Guarding(self._drawer, "off", GUARD, self._of, each) for each in self._seeing]

    def is_on(self, user: int) -> bool:
        """Has chance given them `on`?"""
        draw = self._drawer.draw(self._person(user), 0.0)
        return draw is not None and draw.variant == "on"

    def fails(self, user: int, worker: int, now: float) -> None:
        """A request of theirs fails in this worker; `now` is wall time."""
        self._workers[worker].count(self._person(user), now, 500)

    def is_harmful(self) -> bool:
        """As the controller looks at it."""
        for seeing in self._seeing:
            if seeing.has_news:
                for cell in decode(seeing.tell()):
                    self._trials.add(cell, self._asked)
        return any(True for _ in self._trials.harmful(self._asked))

    def _person(self, user: int) -> dict[str, Any]:
        return {"targetingKey": f"{self._seed}-{user}"}


def run(seed: int, scene: Scene) -> Ended:
    """Three weeks, or until the flag is killed."""
    random = Random(seed)
    world = World(scene, seed)
    always = set(random.sample(range(USERS), scene.failing))
    is_on: dict[int, bool] = {}
    failures, weight = 0, scene.weights[0]
    for number in range(REQUESTS):
        now = number * DAYS / REQUESTS
        rate = BASE * (10.0 if scene.changing and now % 2 < 0.2 else 1.0)
        user = int(random.random() * USERS)
        if scene.risk != 1:
            if user not in is_on:
                is_on[user] = world.is_on(user)
            rate *= scene.risk if is_on[user] else 1.0
        if random.random() >= rate and user not in always:
            continue
        wanted = scene.weights[min(int(now / 7), len(scene.weights) - 1)]
        if wanted != weight:
            weight = wanted
            world.weigh(weight)
        world.fails(user, number & 1, now * DAY)
        failures += 1
        if failures % LOOK == 0 and world.is_harmful():
            return Ended("harm", number + 1)
    return Ended("neither", REQUESTS)


def equal_variants() -> Iterator[tuple[str, Scene]]:
    """What equal variants meet."""
    for weight in (10, 50):
        for failing in (0, 1, 5, 20):
            yield f"{weight} % drawn, {failing} always fail", Scene(weights=(weight,), failing=failing)
    yield "10, 25, 50 %, outages, 20 always fail", Scene(weights=(10, 25, 50), failing=20, changing=True)
    yield "two variants of 25 % beside the default, 5 always fail", Scene(weights=(25,), failing=5, third=True)


def aa_table(many: Many, runs: int) -> bool:
    """Equal variants: how often they are killed all the same. Is it as seldom as it has to be?"""
    print(f"Equal variants, of {runs} runs each (alpha is {GUARD.errors.alpha:.0%}):\n")
    row("", "killed")
    row("---", "---")
    wrong = 0
    for name, scene in equal_variants():
        found = many(partial(run, scene=scene), runs)
        row(name, of("harm", found))
        wrong = max(wrong, sum(each.kind == "harm" for each in found))
    print(f"\nBy chance up to {likely(runs)} of {runs}; the most was {wrong}.")
    return wrong <= likely(runs)


def detection_table(many: Many, runs: int) -> None:
    """How many are killed that do harm, and after how many requests."""
    print(f"\nKilled, and after how many requests in the median, of {runs} runs each:\n")
    row("fails so many times as often", "10 % drawn", "50 % drawn")
    row(*["---"] * 3)
    for risk in RISKS:
        cells = []
        for weight in (10, 50):
            found = many(partial(run, scene=Scene(weights=(weight,), risk=risk)), runs)
            cells.append(f"{of('harm', found)}, {middle(each for each in found if each.kind == 'harm'):,.0f}")
        row(f"{risk:g}", *cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--quick", action="store_true", help="50 runs")
    args = parser.parse_args()
    runs = 50 if args.quick else args.runs
    began = time.monotonic()
    many = Many(None)
    is_right = aa_table(many, runs)
    detection_table(many, max(runs // 10, 10))
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes")
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    main()
