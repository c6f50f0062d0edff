#!/usr/bin/env python3
"""Two checkouts' costs of filters, plug-ins and logs, measured in turns: only ratios of one run hold.

    .venv/bin/python bench/alternate.py BEFORE [AFTER] [--rounds 5]

Runs `bench/filters.py` of both, one after the other, with this interpreter; prints medians, and how much is left.
"""

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

Costs = dict[str, list[float]]


def measure(checkout: Path, costs: Costs) -> None:
    """One run: what each line says goes to the others of its name."""
    done = subprocess.run(
        [sys.executable, "bench/filters.py"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines()[1:]:
        costs[line[:34].strip()].append(float(line[34:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path, nargs="?", default=Path(__file__).parents[1])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    before, after = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for _ in range(args.rounds):
        measure(args.before.resolve(), before)
        measure(args.after.resolve(), after)
    print(f"{'microseconds, medians of ' + str(args.rounds):34} {'before':>7} {'after':>7}  left")
    for name, found in after.items():
        old, new = median(before[name]), median(found)
        print(f"{name:34} {old:7.2f} {new:7.2f}  {new / old:4.0%}")


if __name__ == "__main__":
    main()
