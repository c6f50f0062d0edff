"""How often the judge of rollouts is wrong, and how soon it is right: simulated rollouts through the proxy's own code.

    .venv/bin/python bench/judge.py --quick                     # about a minute on one core
    .venv/bin/python bench/judge.py --svg docs/judge.svg        # an hour of one core

What is simulated, and what is not, is in bench/simulated.py. Every row is of so many rollouts, each of its own seed.
Beside it stands what many tools do: a z-test at 1 %, and twice the rate of stable as a limit, both looked at every 200
requests. It ends with 1 if equal candidates were called harmful more often than `alpha` lets chance do in one of 1,000
such rows.
"""

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import comb, log, log10, sqrt
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from simulated import LOOK, Ended, Scene, changing, rollout, stages

from proxy.rollouts.judging import Judging

ALPHA = Judging().errors.alpha
BASE = 0.01
RISKS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
SHARES = (0.05, 0.1, 0.25)
PLAN = (0.05, 0.1, 0.25, 0.5)
UP_AND_DOWN = (0.05, 0.25, 0.1, 0.5, 0.2)
EACH = 12.0  # seconds for each share, so 2,400 requests where the load is steady
USERS = 3_000

Study: TypeAlias = Callable[[int], Ended]


def equal_candidates() -> Iterator[tuple[str, Scene]]:
    """What equal candidates meet, each with twice the errors of the other tables, for more chances to be wrong."""
    plan, turns = stages(*PLAN, each=EACH), stages(*UP_AND_DOWN, each=EACH * 0.8)
    base = 2 * BASE
    yield "10 % of 9,600", Scene(base=base, steps=stages(0.1, each=4 * EACH))
    yield "the plan, steady load", Scene(base=base, steps=plan)
    yield "the plan, changing load", Scene(base=BASE, steps=plan, load=changing)
    yield "the plan, errors and two thresholds", Scene(base=base, steps=plan, thresholds=(0.25, 1.0))
    for failing in (0, 1, 5, 20):
        yield f"sticky, {failing} always fail", Scene(base=base, steps=plan, users=USERS, failing=failing)
    for failing in (1, 5, 20):
        scene = Scene(base=BASE, steps=turns, users=USERS, failing=failing, load=changing)
        yield f"sticky, {failing} always fail, changing load, the split up and down", scene
    scene = Scene(base=base, steps=plan, users=USERS, failing=20, come_and_go=True, load=changing)
    yield "sticky, 20 always fail, changing load, users come and go", scene


# -- what others do


def naive(seed: int, *, risk: float, rule: str, share: float = 0.1, each: int = 20_000) -> Ended:
    """A z-test of two rates, or twice stable's rate as a limit, looked at every so many requests."""
    random = Random(seed)
    requests, bad = [0, 0], [0, 0]  # of stable, of the candidate
    for number in range(1, each + 1):
        side = random.random() < share
        requests[side] += 1
        bad[side] += random.random() < BASE * (risk if side else 1.0)
        if number % LOOK == 0 and min(requests) >= 30:
            other, one = bad[0] / requests[0], bad[1] / requests[1]
            pooled = sum(bad) / number
            spread = sqrt(pooled * (1 - pooled) * (1 / requests[0] + 1 / requests[1]))
            if rule == "z" and spread and (one - other) / spread > 2.326:
                return Ended("harm", number)
            if rule == "limit" and one > 2 * other:
                return Ended("harm", number)
    return Ended("neither", each)


# -- tables


class Many:
    """So many rollouts at a time."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._used = 0

    def __call__(self, study: Study, runs: int) -> list[Ended]:
        seeds = range(self._used, self._used + runs)  # each but once, or rows would be wrong together
        self._used += runs
        if self._pool is None:
            return [study(seed) for seed in seeds]
        return list(self._pool.imap_unordered(study, seeds, chunksize=max(1, runs // 40)))


def likely(runs: int) -> int:
    """How many wrong verdicts of so many chance explains: more come less often than 1 in 1,000 times, at `alpha`."""
    left, count = 1.0, -1
    while left > 0.001:
        count += 1
        left -= comb(runs, count) * ALPHA**count * (1 - ALPHA) ** (runs - count)
    return count


def row(*cells: object) -> None:
    """One line of a table."""
    print("| " + " | ".join(str(each) for each in cells) + " |", flush=True)


def of(kind: str, found: Sequence[Ended]) -> str:
    """The share of them that ended so."""
    return f"{100 * sum(each.kind == kind for each in found) / len(found):.1f} %"


def aa_table(many: Many, runs: int) -> bool:
    """Equal candidates: how often harm is found all the same. Is it as seldom as it has to be?"""
    print(f"Equal candidates called harmful, of {runs} rollouts each (alpha is {ALPHA:.0%}):\n")
    row("", "called harmful", "split called wrong", "requests")
    row(*["---"] * 4)
    wrong = 0
    for name, scene in equal_candidates():
        found = many(partial(rollout, scene=scene), runs)
        alarms = f"{100 * sum(each.alarmed for each in found) / runs:.1f} %"
        row(name, of("harm", found), alarms, f"{statistics.median(each.requests for each in found):,.0f}")
        wrong = max(wrong, sum(each.kind == "harm" for each in found))
    for name, rule in (("a z-test at 1 %", "z"), ("more than twice stable's rate", "limit")):
        found = many(partial(naive, risk=1.0, rule=rule), runs)
        row(f"{name}, every {LOOK}, 10 % of 20,000", of("harm", found), "", "20,000")
    print(f"\nBy chance up to {likely(runs)} of {runs}; the most was {wrong}.")
    return wrong <= likely(runs)


def detection_table(many: Many, runs: int) -> dict[float, list[float]]:
    """Median requests until harm is found, by risk and share."""
    print(f"\nMedian requests until harm is found, base error rate {BASE:.0%}, {runs} rollouts each:\n")
    row("risk", *(f"{share:.0%}" for share in SHARES), "10%, z-test", "10%, twice stable's")
    row(*["---"] * (len(SHARES) + 3))
    medians: dict[float, list[float]] = {share: [] for share in SHARES}
    for risk in RISKS:
        for share in SHARES:
            scene = Scene(steps=stages(share, each=1e9), base=BASE, risk=risk)
            medians[share].append(middle(many(partial(rollout, scene=scene), runs)))
        others = [middle(many(partial(naive, risk=risk, rule=rule), runs)) for rule in ("z", "limit")]
        row(f"{risk:g}", *(f"{each:,.0f}" for each in (*(medians[share][-1] for share in SHARES), *others)))
    return medians


def middle(found: Iterable[Ended]) -> float:
    """The median of requests."""
    numbers = [each.requests for each in found]
    return statistics.median(numbers) if numbers else float("nan")


def plan_table(many: Many, runs: int) -> None:
    """The two-sided plan."""
    print(f"\nThe plan 5, 10, 25, 50 %, at most 60,000 requests each, base error rate 0.5 %, {runs} rollouts each:\n")
    row("risk", "safe", "harm", "neither", "median requests")
    row(*["---"] * 5)
    steps = stages(*PLAN, each=300.0, until_safe=True)
    for name, risk, base in (*((f"{risk:g}", risk, BASE / 2) for risk in (1.0, 1.25, 2.0, 3.0, 10.0)), NO_ERRORS):
        found = many(partial(rollout, scene=Scene(steps=steps, base=base, risk=risk)), runs)
        row(name, *(of(kind, found) for kind in ("safe", "harm", "neither")), f"{middle(found):,.0f}")


NO_ERRORS = ("no errors at all", 1.0, 0.0)


def plot(medians: dict[float, list[float]], path: Path) -> None:
    """Requests until harm is found, by risk; both axes logarithmic."""
    width, height, left, bottom = 640, 360, 70, 50
    lowest, highest = 1, 6  # powers of ten

    def point(risk: float, requests: float) -> tuple[float, float]:
        x = left + (width - left - 20) * log(risk / RISKS[0]) / log(RISKS[-1] / RISKS[0])
        y = height - bottom - (height - bottom - 20) * (log10(requests) - lowest) / (highest - lowest)
        return round(x, 1), round(y, 1)

    def text(x: float, y: float, what: str, more: str = 'text-anchor="middle"') -> str:
        return f'<text x="{x}" y="{y}" {more}>{what}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"',
        f' font-size="12"><rect width="{width}" height="{height}" fill="white"/>',
    ]
    for power in range(lowest, highest + 1):
        _, y = point(RISKS[0], 10.0**power)
        parts.append(f'<path d="M{left} {y}H{width - 20}" stroke="#ddd"/>')
        parts.append(text(left - 8, y + 4, f"{10**power:,}", 'text-anchor="end"'))
    parts.extend(text(point(risk, 10.0)[0], height - bottom + 18, f"{risk:g}") for risk in RISKS)
    for (share, values), colour in zip(medians.items(), ("#1f77b4", "#d62728", "#2ca02c"), strict=True):
        points = [point(risk, max(value, 10.0)) for risk, value in zip(RISKS, values, strict=True)]
        line = " ".join(f"{x},{y}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(text(points[0][0] + 6, points[0][1] - 6, f"{share:.0%}", f'fill="{colour}"'))
    parts.append(text(width / 2, height - 10, "how many times as often the candidate fails"))
    turned = f'text-anchor="middle" transform="rotate(-90 16 {height / 2})"'
    parts.append(text(16, height / 2, "requests until harm is found", turned) + "</svg>")
    path.write_text("\n".join(parts) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--quick", action="store_true", help="30 runs")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--svg", type=Path)
    args = parser.parse_args()
    runs = 30 if args.quick else args.runs
    began = time.monotonic()
    pool = multiprocessing.get_context("spawn").Pool(args.processes) if args.processes > 1 else None
    many = Many(pool)
    is_right = aa_table(many, runs)
    medians = detection_table(many, max(runs // 10, 10))
    plan_table(many, max(runs // 10, 10))
    if args.svg:
        plot(medians, args.svg)
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes")
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    main()
