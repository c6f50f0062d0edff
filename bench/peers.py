#!/usr/bin/env python3
"""What a request costs here and in other proxies, side by side in one run.

    make bench                                                       # all of it, about an hour
    .venv/bin/python bench/peers.py --quick                          # a minute: does it work?
    .venv/bin/python bench/peers.py --case varied --case 1m --peer compiled --peer nginx

The proxy has one core, the load generator and the upstream have another; all take turns, and medians are told. The main
figure is CPU time per request: user and system time of all the proxy's processes, divided by the requests that were
answered; it holds on a machine that others use too, rates and latencies do not. What is not here is left out with one
line. Everything happens on loopback, and what was started is ended. Results go to bench/results, with --quick only
where --output says.
"""

import argparse
import datetime as dt
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from beside import cases as table
from beside import report
from beside.load import tools
from beside.machine import cores, describe, said, short_name
from beside.measure import Effort, Found, compare, flat, idle, latency, starts
from beside.proxies import ALL, taking_part
from beside.upstream import stage

RESULTS = Path(__file__).parent / "results"
QUICK = Effort(rounds=1, seconds=1, latency_rounds=1, starts=1, idle=1_000)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    names = [case.name for case in table.CASES] + list(table.SPECIAL)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"one short round of {', '.join(table.QUICK)}")
    parser.add_argument("--case", action="append", choices=names, metavar="CASE", help=", ".join(names))
    parser.add_argument("--peer", action="append", choices=[peer.name for peer in ALL])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each turn")
    parser.add_argument("--machine", default=short_name(), help="its name in the results")
    parser.add_argument("--output", type=Path, help="a folder; default: bench/results")
    return parser.parse_args()


def chosen(args: argparse.Namespace) -> list[str]:
    """The cases to measure, without those whose generator is missing."""
    every = [*(case.name for case in table.CASES), *table.SPECIAL]
    wanted = args.case or (list(table.QUICK) if args.quick else every)
    for tool, remedy in tools().items():
        ours = ("websocket", "idle", "start")
        needing = [name for name in wanted if name not in ours and (tool == "wrk" or name == "latency")]
        if needing:
            print(f"{tool} is not here, and without it {', '.join(needing)} can't be measured; {remedy}")
            wanted = [name for name in wanted if name not in needing]
    return wanted


def measure(names: list[str], wanted: list[str], effort: Effort) -> Found:
    """All that is wanted, case by case."""
    special: dict[str, Callable[..., Found]] = {"flat": flat, "latency": latency, "idle": idle, "start": starts}
    with stage(cores()) as behind:
        found = compare(names, [case for case in table.CASES if case.name in wanted], effort, behind)
        for name, work in special.items():
            if name in wanted:
                found[name] = work(names, effort, behind)
    return found


def main() -> int:
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    versions, missing = taking_part(args.peer or [])
    for line in missing:
        print(line)
    wanted = chosen(args)
    if not versions or not wanted:
        print("nothing is left to measure")
        return 1
    effort = QUICK if args.quick else Effort(args.rounds, args.seconds)
    result: report.Result = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": describe(),
        "versions": versions,
        "tools": {"wrk": said(["wrk", "-v"]), "h2load": said(["h2load", "--version"])},
        "effort": f"{effort.rounds} rounds of {effort.seconds:g} s each, in which all take turns; medians",
    }
    result["cases"] = measure(list(versions), wanted, effort)
    result["must_show"] = report.must_show(result)
    print(report.markdown(result))
    folder = args.output or (None if args.quick else RESULTS)
    if folder is not None:
        for path in report.write(result, folder, f"{result['date']}-{args.machine}"):
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
