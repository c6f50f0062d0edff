"""The machine and its processes: processors, what a family of processes has used, and how to end it."""

import contextlib
import os
import platform
import re
import resource
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
FILES = 65_536
"""Descriptors that 10,000 connections through a proxy need, with some to spare."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Processor lists as `taskset -c` takes them."""

    load: str
    proxy: str
    proxies: str
    """Where two workers run: the same one on a machine with two."""


def cores() -> Cores:
    """The load on the first processor that we may use, the proxy on the second; ValueError with only one."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise ValueError(
            "one processor is usable and two are needed: one for the proxy, one for the load; widen taskset"
        )
    pair = usable[1:3] if len(usable) > 2 else usable[1:]
    return Cores(str(usable[0]), str(usable[1]), ",".join(map(str, pair)))


def pinned(processors: str, command: Iterable[str]) -> list[str]:
    """The command, on these processors only."""
    return ["taskset", "-c", processors, *command]


def allow_files() -> int:
    """Raise the limit of open files for us and what we start as far as we may; what it is then."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (max(hard, FILES), hard):
        with contextlib.suppress(ValueError, PermissionError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    pids = [pid]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                pids += family(int(child))
    return pids


def cpu_of(pid: int) -> tuple[float, float]:
    """User and system seconds of one process, ended threads included; zeros when it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) / TICK, int(fields[12]) / TICK
    return 0.0, 0.0


def cpu(pid: int) -> tuple[float, float]:
    """User and system seconds of the family."""
    used = [cpu_of(each) for each in family(pid)]
    return sum(user for user, _ in used), sum(system for _, system in used)


def pss_kib(pid: int) -> float:
    """Proportional set size of the family, KiB: what is shared counts once."""
    return sum(pss_of_each(pid).values())


def pss_of_each(pid: int) -> dict[int, float]:
    """The same by process."""
    sizes = {}
    for each in family(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{each}/smaps_rollup").read_text(), re.MULTILINE)
            sizes[each] = float(found[1]) if found else 0.0
    return sizes


def end(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """Ask all of them first, so that no master replaces its children; after five seconds make sure."""
    families = [(process, family(process.pid)) for process in processes]
    for process, _ in families:
        process.terminate()
    for process, pids in families:
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            for pid in {*pids, *family(process.pid)}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait(5)


def said(command: list[str], environ: dict[str, str] | None = None) -> str:
    """The first line with a digit that a program says of its version; empty where it does not run."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env={**os.environ, **(environ or {})},
        )
        lines = (done.stdout + done.stderr).splitlines()
        return next((line.strip() for line in lines if re.search(r"\d", line)), "")
    return ""


def describe() -> dict[str, str]:
    """The machine, without its name."""
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "processor": processor(),
        "processors": str(os.cpu_count()),
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "",
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.2f}",
    }


def processor() -> str:
    """What the kernel calls it."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def short_name() -> str:
    """The machine for a file's name: 2-core-amd-epyc."""
    words = re.sub(r"\(\w+\)|\bCPU\b|@.*", " ", processor()).lower()
    return f"{os.cpu_count()}-core-" + "-".join(re.findall(r"[a-z0-9.]+", words)[:2])
