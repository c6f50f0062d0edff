"""How often a guard kills an equal flag, and how soon it finds harm: simulated users, judged by the very code.

    .venv/bin/python bench/flag_guards.py [--runs 1000]

Users are drawn once and stay with their variant. Each run is 60,000 requests of 3,000 users over three weeks, in which
everybody's first failure counts again every week; it is looked at after every tenth failure.
"""

import argparse
import multiprocessing
import statistics
from functools import partial
from random import Random

from proxy.control.flag_guards import Asked, Watched
from proxy.telemetry.evidence import CellSeen

USERS = 3_000
REQUESTS = 60_000
BASE = 0.01
PARTS = 1_000_000
ALPHA = 0.01
LOOK = 10


def run(seed: int, *, share: float, failing: int = 0, risk: float = 1.0, per_user: bool = True) -> int | None:
    """After how many requests the guard kills; None where it does not. `failing` users always fail, in any variant."""
    random = Random(seed)
    asked = Asked("", "off", ALPHA)
    is_on = [random.random() < share for _ in range(USERS)]
    always = set(random.sample(range(USERS), failing))
    watched = Watched(asked, "on", 0, 1)
    failures = 0
    for number in range(REQUESTS):
        week, day = divmod(number * 21 // REQUESTS, 7)
        if week != watched.week:
            watched = Watched(asked, "on", week, watched.number + 1)
        user = random.randrange(USERS)
        rate = BASE * risk if is_on[user] else BASE
        is_bad = user in always or random.random() < rate
        if not is_bad:
            continue
        unit = user if per_user else number % 10_000
        watched.add(
            CellSeen("", 7 * week + day, "on" if is_on[user] else "off", requests=1, bad=1, buckets=((unit,),),
                     share=round(PARTS * share))
        )  # fmt: skip
        failures += 1
        if failures % LOOK:
            continue
        verdict = watched.judge()
        if verdict.kind == "harm" and not verdict.only_pauses:
            return number + 1
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args().runs
    with multiprocessing.Pool() as pool:
        print("| equal variants | killed |\n|---|---|")
        for share in (0.1, 0.5):
            for failing in (0, 1, 5, 20):
                found = pool.map(partial(run, share=share, failing=failing), range(runs), 10)
                print(f"| {share:.0%} drawn, {failing} of {USERS:,} users always fail | {_killed(found)} |", flush=True)
        found = pool.map(partial(run, share=0.1, failing=20, per_user=False), range(runs), 10)
        print(f"| 10% drawn, 20 always fail, were every failure to count | {_killed(found)} |")
        print("\n| fails so many times as often | 10% | 50% |\n|---|---|---|")
        for risk in (2.0, 3.0, 5.0, 10.0):
            cells = []
            for share in (0.1, 0.5):
                found = pool.map(partial(run, share=share, risk=risk), range(runs // 5), 10)
                soon = [each for each in found if each is not None]
                cells.append(f"{_killed(found)}, {statistics.median(soon):,.0f}" if soon else _killed(found))
            print(f"| {risk:g} | {' | '.join(cells)} |", flush=True)


def _killed(found: list[int | None]) -> str:
    return f"{100 * sum(each is not None for each in found) / len(found):.1f} %"


if __name__ == "__main__":
    main()
