"""Taking turns: every round asks each proxy once, every other round in the opposite order; medians are kept."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from beside.cases import CASES, Case, script
from beside.load import Held, at_rate, sessions, websockets, wrk
from beside.machine import cpu, cpu_of, end, family, pss_kib, pss_of_each
from beside.proxies import OURS, Running, Stage
from beside.setting import Setting
from beside.upstream import echoing

Ask = Callable[[int, float], Any]
"""Ask a port for some seconds."""
Found = dict[str, Any]
"""By case, then by proxy: medians, and the rounds they are of."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How often and how long."""

    rounds: int
    seconds: float
    warm: float = 1.0
    latency_rounds: int = 9
    starts: int = 5
    idle: int = 10_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn: CPU microseconds per request of the whole family, requests per second, MiB."""

    cpu: float
    user: float
    system: float
    rate: float
    memory: float
    trouble: str


def settings(cases: Sequence[Case]) -> dict[Setting, list[Case]]:
    """Cases that can share running proxies."""
    grouped: dict[Setting, list[Case]] = {}
    for case in cases:
        grouped.setdefault(case.setting, []).append(case)
    return grouped


def compare(names: Sequence[str], cases: Sequence[Case], effort: Effort, stage: Stage) -> Found:
    """Every case that wrk or the echo can ask."""
    found: Found = {}
    for setting, together in settings(cases).items():
        some = [name for name in names if any(not case.only or name in case.only for case in together)]
        behind = echoing(stage) if setting.echo else contextlib.nullcontext(stage)
        with behind as place, place.all(some, setting, together[0].path) as running:
            for case in together:
                found[case.name] = turns(running, case, effort, place)
    return found


def turns(running: Sequence[Running], case: Case, effort: Effort, stage: Stage) -> Found:
    """All rounds of one case, by proxy."""
    some = [one for one in running if not case.only or one.name in case.only]
    load = loader(case, some, stage)
    samples: dict[str, list[Sample]] = {one.name: [] for one in some}
    for number in range(effort.rounds):
        for one in some[:: -1 if number % 2 else 1]:
            try:
                samples[one.name].append(turn(one, load, effort))
            except RuntimeError as problem:
                print(f"{case.name}, {one.name}: {problem}", flush=True)
    return {name: middle([asdict(each) for each in taken]) for name, taken in samples.items() if taken}


def loader(case: Case, running: Sequence[Running], stage: Stage) -> Ask:
    """How the case asks a port for some seconds."""
    if case.setting.echo:
        return lambda port, seconds: websockets(port, case.connections, seconds, stage.cores)
    made: list[str] = []
    if case.setting.sticky:
        made = next((sessions(one.port, 200) for one in running if one.name in OURS), made)
    text = script(case, made)
    path = stage.folder / f"{case.name}.lua" if text else None
    if path is not None:
        path.write_text(text)
    return lambda port, seconds: wrk(port, case, seconds, path, stage.cores)


def turn(one: Running, load: Ask, effort: Effort) -> Sample:
    """A warm-up, then what counts."""
    load(one.port, effort.warm)
    before = cpu(one.pid)
    counted = load(one.port, effort.seconds)
    after = cpu(one.pid)
    if not counted.requests:
        raise RuntimeError("nothing was answered")
    user, system = ((b - a) / counted.requests * 1e6 for a, b in zip(before, after, strict=True))
    return Sample(user + system, user, system, counted.rate, pss_kib(one.pid) / 1024, counted.trouble)


def middle(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median of each number; complaints are gathered."""
    result: dict[str, Any] = {}
    for key, value in rounds[0].items():
        if isinstance(value, str):
            result[key] = "; ".join(sorted({each[key] for each in rounds if each[key]}))
        else:
            result[key] = median(each[key] for each in rounds)
    return {**result, "rounds": list(rounds)}


def flat(names: Sequence[str], effort: Effort, stage: Stage) -> Found:
    """Ours with one route and with 10,000, turn by turn: the median of each round's ratio."""
    ours = [name for name in names if name in OURS]
    few, many = (next(case for case in CASES if case.name == name) for name in ("routes-1", "routes-10000"))
    found: Found = {}
    with stage.all(ours, few.setting, few.path) as one, stage.all(ours, many.setting, many.path) as other:
        loads = loader(few, one, stage), loader(many, other, stage)
        for pair in zip(one, other, strict=True):
            with complaints(f"flat, {pair[0].name}"):
                found[pair[0].name] = middle([ratio(pair, loads, effort) for _ in range(effort.rounds)])
    return found


def ratio(pair: Sequence[Running], loads: Sequence[Ask], effort: Effort) -> dict[str, Any]:
    """One round of both."""
    few, many = (turn(one, load, effort).cpu for one, load in zip(pair, loads, strict=True))
    return {"few": few, "many": many, "ratio": many / few}


def latency(names: Sequence[str], effort: Effort, stage: Stage) -> Found:
    """Quantiles of all at the same rate: half of what the slower of ours reaches."""
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    (varied,) = (case for case in CASES if case.name == "varied")
    with stage.all(names, Setting(), "/") as running:
        load = loader(varied, running, stage)
        ours = [load(one.port, 2.0).rate for one in running if one.name in OURS]
        if not ours:
            print("latency: none of ours runs, so there is no rate to take half of", flush=True)
            return {}
        rate = min(ours) / 2
        for number in range(effort.latency_rounds):
            for one in running[:: -1 if number % 2 else 1]:
                with complaints(f"latency, {one.name}"):
                    quantiles = at_rate(one.port, rate, effort.seconds, stage.folder, stage.cores)
                    samples[one.name].append({**asdict(quantiles), "wanted": rate})
    return {name: middle(taken) for name, taken in samples.items() if taken}


@contextlib.contextmanager
def complaints(what: str) -> Iterator[None]:
    """A turn that fails is said, and the others go on."""
    try:
        yield
    except (RuntimeError, OSError) as problem:
        print(f"{what}: {type(problem).__name__} {problem}", flush=True)


def idle(names: Sequence[str], effort: Effort, stage: Stage) -> Found:
    """KiB for each idle connection, one proxy after the other, each fresh."""
    count = min(effort.idle, stage.files // 2 - 500)
    found: Found = {}
    for name in names:
        with complaints(f"idle, {name}"), stage.all([name], Setting(), "/") as running:
            for one in running:
                each = asyncio.run(kib_for_each(one, count))
                found[name] = {"kib": each, "connections": count}
    return found


SETTLED = 6.0
"""Seconds in which connections to the upstream grow old and go."""


async def kib_for_each(one: Running, count: int) -> float:
    """The growth from what it is after some connections: of those that grew, or a controller that settles hides it."""
    first, held = Held(), Held()
    await first.open(one.port, 100)
    await first.close()
    await asyncio.sleep(SETTLED)
    before = pss_of_each(one.pid)
    try:
        await held.open(one.port, count)
        await asyncio.sleep(SETTLED)
        after = pss_of_each(one.pid)
        return sum(max(0.0, size - before.get(pid, 0.0)) for pid, size in after.items()) / count
    finally:
        await held.close()


def starts(names: Sequence[str], effort: Effort, stage: Stage) -> Found:
    """Seconds from the start to the first answer, not pinned; of ours also the CPU seconds of the worker till then."""
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(effort.starts):
        for name in names:
            one = stage.start(name, Setting(), pin=False)
            try:
                if not one.answers("/", pause=0.005):
                    print(f"start, {name}: no answer", flush=True)
                    continue
                took = time.monotonic() - one.began
                samples[name].append({"seconds": took, "worker": sum(cpu_of(worker(one)))})
            finally:
                end([one.process])
    return {name: middle(taken) for name, taken in samples.items() if taken}


def worker(one: Running) -> int:
    """The pid of our worker; of others the process itself."""
    if one.name not in OURS:
        return one.pid
    with contextlib.suppress(OSError):
        for pid in family(one.pid):
            if b"proxy.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return one.pid
