"""How often the judge of rollouts is wrong, and how soon it is right: simulated rollouts, judged by the very code.

    .venv/bin/python bench/judge.py [--runs 1000] [--svg docs/judge.svg]

Every table is of so many rollouts, each of its own seed, looked at after every event; `--runs 40` takes half a minute
on two cores. Beside it stands what many tools do: a z-test at 1 %, and twice the rate of stable as a limit, both looked
at every 200 requests.
"""

import argparse
import multiprocessing
import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import log, log1p, log10, sqrt
from pathlib import Path
from random import Random
from typing import Any

from proxy.rollouts.analysis import Judge
from proxy.rollouts.evidence import Epoch, Evidence, Tally
from proxy.rollouts.judging import Judging

JUDGE = Judge(Judging())
BASE = 0.01
RISKS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
SHARES = (0.05, 0.1, 0.25)
PLAN = (0.05, 0.1, 0.25, 0.5)
LOOK = 200


@dataclass(slots=True)
class Side:
    """What one pool has seen."""

    requests: int = 0
    bad: int = 0
    events: int = 0

    def tally(self) -> Tally:
        """As the judge takes it."""
        return Tally(self.requests, self.bad, (), (self.events,), self.requests)


def gap(random: Random, chance: float) -> int:
    """How many requests until the next event."""
    return int(log(1 - random.random()) / log1p(-chance)) + 1 if chance < 1 else 1


def epoch(number: int, share: float, stable: Side, candidate: Side) -> Epoch:
    """One of the judge's."""
    return Epoch(number, number, share, stable.tally(), candidate.tally())


# -- the judge


def unsticky(
    seed: int, *, risk: float, base: float = BASE, plan: tuple[float, ...] = (0.1,), each: int = 200_000,
    load: Callable[[int], float] = lambda _: 1.0,
) -> tuple[str, int]:  # fmt: skip
    """One rollout: what came of it, and after how many requests. `load` changes the error rate of both in time."""
    random = Random(seed)
    done: list[Epoch] = []
    total, kind = 0, "not_yet"
    for stage, share in enumerate(plan):
        stable, candidate = Side(), Side()
        spent = 0
        while spent < each:
            rate = base * load(total + spent)
            mine = rate * risk * share
            wanted = gap(random, mine + rate * (1 - share)) if rate else each
            step = min(wanted, each - spent, 2_000)  # and a look now and then without one
            is_event = bool(rate) and step == wanted
            spent += step
            candidate.requests += round(step * share)
            stable.requests += step - round(step * share)
            if is_event:
                side = candidate if random.random() < mine / (mine + rate * (1 - share)) else stable
                side.bad += 1
                side.events += 1
            verdict = JUDGE.verdict(Evidence((*done, epoch(stage, share, stable, candidate))), stage)
            kind = verdict.kind
            if kind == "harm":
                return kind, total + spent
            if kind == "safe" and len(plan) > 1:
                break
        total += spent
        done.append(epoch(stage, share, stable, candidate))
        if kind != "safe" and len(plan) > 1:
            return kind, total
    return kind, total


def sticky(seed: int, *, sessions: int, base: float = BASE) -> tuple[str, int]:
    """An equal candidate among 3,000 users, some of whom always fail; each counts once, as in the proxy."""
    random = Random(seed)
    homes = [random.random() for _ in range(3_000)]
    failing = set(random.sample(range(3_000), sessions))
    told: set[int] = set()
    done: list[Epoch] = []
    total = 0
    for stage, share in enumerate(PLAN):
        stable, candidate = Side(), Side()
        for _ in range(10_000):
            total += 1
            user = random.randrange(3_000)
            side = candidate if homes[user] < share else stable
            side.requests += 1
            if user in failing or random.random() < base:
                side.bad += 1
                if user not in told:
                    told.add(user)
                    side.events += 1
                    evidence = Evidence((*done, epoch(stage, share, stable, candidate)), sticky=True)
                    if JUDGE.verdict(evidence, stage).kind == "harm":
                        return "harm", total
        done.append(epoch(stage, share, stable, candidate))
    return "not_yet", total


# -- what others do


def naive(seed: int, *, risk: float, rule: str, share: float = 0.1, each: int = 20_000) -> tuple[str, int]:
    """A z-test of two rates, or twice stable's rate as a limit, looked at every so many requests."""
    random = Random(seed)
    stable, candidate = Side(), Side()
    for number in range(1, each + 1):
        side, rate = (candidate, BASE * risk) if random.random() < share else (stable, BASE)
        side.requests += 1
        side.bad += random.random() < rate
        if number % LOOK == 0 and min(stable.requests, candidate.requests) >= 30:
            one, other = candidate.bad / candidate.requests, stable.bad / stable.requests
            pooled = (candidate.bad + stable.bad) / number
            spread = sqrt(pooled * (1 - pooled) * (1 / candidate.requests + 1 / stable.requests))
            if rule == "z" and spread and (one - other) / spread > 2.326:
                return "harm", number
            if rule == "limit" and one > 2 * other:
                return "harm", number
    return "not_yet", each


# -- tables


def many(pool: Any, what: Callable[[int], tuple[str, int]], runs: int) -> list[tuple[str, int]]:
    """So many rollouts."""
    return list(pool.imap_unordered(what, range(runs), chunksize=max(1, runs // 40)))


def harmful(found: Iterable[tuple[str, int]]) -> str:
    """The share that was called harmful."""
    kinds = Counter(kind for kind, _ in found)
    return f"{100 * kinds['harm'] / kinds.total():.1f} %"


def aa_table(pool: Any, runs: int) -> None:
    """Equal candidates: how often harm is found all the same."""

    def row(name: str, what: Callable[[int], tuple[str, int]]) -> None:
        print(f"| {name} | {harmful(many(pool, what, runs))} |", flush=True)

    print(f"Equal candidates called harmful, of {runs} rollouts each (alpha is 1 %):\n\n| | |\n|---|---|")
    for share in SHARES:
        row(f"{share:.0%} of 40,000 requests", partial(unsticky, risk=1.0, plan=(share,), each=40_000))
    changing = partial(unsticky, risk=1.0, plan=PLAN, each=20_000, load=waves)
    row("the plan 5, 10, 25, 50 %, with outages that hit both", changing)
    for sessions in (1, 5, 20):
        row(f"sticky, {sessions} of 3,000 users always fail", partial(sticky, sessions=sessions))
    row(f"a z-test at 1 %, every {LOOK}, 10 % of 20,000", partial(naive, risk=1.0, rule="z"))
    row(f"more than twice stable's rate, every {LOOK}, 10 % of 20,000", partial(naive, risk=1.0, rule="limit"))


def waves(number: int) -> float:
    """Errors of both pools, ten times as many for a while."""
    return 10.0 if number // 3_000 % 4 == 3 else 1.0


def detection_table(pool: Any, runs: int) -> dict[float, list[float]]:
    """Median requests until harm is found, by risk and share."""
    print(f"\nMedian requests until harm is found, base error rate {BASE:.0%}, {runs} rollouts each:\n")
    print("| risk |" + "".join(f" {share:.0%} |" for share in SHARES) + "\n|---|" + "---|" * len(SHARES))
    medians: dict[float, list[float]] = {share: [] for share in SHARES}
    for risk in RISKS:
        row = []
        for share in SHARES:
            found = many(pool, partial(unsticky, risk=risk, plan=(share,)), runs)
            medians[share].append(statistics.median(number for _, number in found))
            row.append(f"{medians[share][-1]:,.0f}")
        print(f"| {risk:g} | " + " | ".join(row) + " |")
    return medians


def plan_table(pool: Any, runs: int) -> None:
    """The two-sided plan."""
    print(f"\nThe plan 5, 10, 25, 50 %, at most 60,000 requests each, base error rate 0.5 %, {runs} rollouts each:\n")
    print("| risk | safe | harm | neither | median requests |\n|---|---|---|---|---|")
    for risk in (1.0, 1.25, 2.0, 3.0, 10.0):
        found = many(pool, partial(unsticky, risk=risk, base=0.005, plan=PLAN, each=60_000), runs)
        kinds = Counter(kind for kind, _ in found)
        parts = " | ".join(f"{100 * kinds[kind] / runs:.1f} %" for kind in ("safe", "harm", "not_yet"))
        print(f"| {risk:g} | {parts} | {statistics.median(number for _, number in found):,.0f} |")
    found = many(pool, partial(unsticky, risk=1.0, base=0.0, plan=PLAN, each=60_000), min(runs, 20))
    safe = 100 * sum(kind == "safe" for kind, _ in found) / len(found)
    print(f"| no errors at all | {safe:.1f} % | 0.0 % | {100 - safe:.1f} % | {found[0][1]:,.0f} |")


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
    parser.add_argument("--svg", type=Path)
    args = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        aa_table(pool, args.runs)
        medians = detection_table(pool, max(args.runs // 5, 10))
        plan_table(pool, max(args.runs // 5, 10))
    if args.svg:
        plot(medians, args.svg)


if __name__ == "__main__":
    main()
