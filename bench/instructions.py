#!/usr/bin/env python3
"""Machine instructions of our own code per request, under valgrind: a guard against regressions that noise can't trip.

    python bench/instructions.py            # count, and compare with instructions.json beside this file
    python bench/instructions.py --record   # write what was counted there

The exchange is that of hot_path.py, between transports in memory. Each case runs twice in a process of its own, with
fewer and with more requests; the difference is what the requests cost, and starting up is not in it. Counts depend on
what runs them, so the records are kept by Python, libc, machine and build: an unknown one is printed and fails nothing.
Exit status: 0 within 3 % of the record, or nothing to compare with; 1 more than that, either way (record it anew when
it got better, so that the next loss shows).
"""

import argparse
import asyncio
import json
import os
import platform
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

from hot_path import SMALL, rig, run, varied

from proxy.http1.parser import BUILD

RECORDS = Path(__file__).with_suffix(".json")
TOLERANCE = 0.03
FEWER, MORE = 500, 2500
CASES = ("small", "varied")


def work(case: str, count: int) -> None:
    """What is counted: the same every time, the hashes of strings and the draws included."""
    random.seed(1)
    loop = asyncio.new_event_loop()
    requests = [SMALL] * MORE if case == "small" else [varied(number) for number in range(MORE)]
    run(*rig(loop), requests[:count])
    loop.close()


def total(case: str, count: int) -> int:
    """Instructions of a whole process."""
    # -P as cachegrind changes nothing about paths; the seed as sets and dicts of strings are laid out by it.
    done = subprocess.run(
        ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null",
         sys.executable, __file__, "--work", case, str(count)],
        env=os.environ | {"PYTHONHASHSEED": "1", "PYTHONMALLOC": "pymalloc"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode or found is None:
        sys.exit(f"valgrind gave no count:\n{done.stderr}")
    return int(found[1].replace(",", ""))


def per_request(case: str) -> int:
    """Instructions that one more request costs."""
    return round((total(case, MORE) - total(case, FEWER)) / (MORE - FEWER))


def key() -> str:
    """What the counts depend on besides our code."""
    return f"{platform.python_version()} {' '.join(platform.libc_ver())} {platform.machine()} {BUILD}"


def main() -> int:
    """Count, compare, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--work", nargs=2, metavar=("CASE", "COUNT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work[0], int(args.work[1]))
        return 0
    if shutil.which("valgrind") is None:
        print("valgrind is not installed, so nothing was counted; e.g. apt-get install valgrind")
        return 0
    records = json.loads(RECORDS.read_text()) if RECORDS.exists() else {}
    known, counted, failed = records.get(key(), {}), {}, False
    for case in CASES:
        counted[case] = count = per_request(case)
        change = count / known[case] - 1 if case in known else 0.0
        failed |= abs(change) > TOLERANCE
        compared = f"{change:+.1%} against {known[case]:,}" if case in known else "no record for this Python"
        print(f"{case:8} {count:8,} instructions per request  {compared}  ({key()})")
    if args.record:
        records[key()] = counted
        RECORDS.write_text(json.dumps(dict(sorted(records.items())), indent=1) + "\n")
        return 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
