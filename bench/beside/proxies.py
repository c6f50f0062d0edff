"""Who takes part: where each is found, what version it is, how it is started and known to be ready."""

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from idle_connections import free_ports

from beside import configs
from beside.machine import Cores, end, pinned, said
from beside.setting import Place, Setting

HERE = Path(__file__).resolve().parents[2]
WHEELS = (os.environ.get("PEERS", ""), str(HERE / ".venv-bench/bin"), str(Path.home() / ".cache/sluice-peers/bin"))
"""Folders with what PyPI has, besides PATH."""
READY = 120.0
"""Seconds until a proxy has to answer; 10,000 routes or endpoints take some of them long."""

Write = Callable[[Setting, Place], list[str]]


@dataclass(frozen=True, slots=True)
class Peer:
    """One proxy: `write` makes its configuration and arguments."""

    name: str
    program: str
    write: Write
    version: Sequence[str]
    remedy: str
    environ: dict[str, str] = field(default_factory=dict)
    is_go: bool = False

    def environment(self, setting: Setting) -> dict[str, str]:
        """What it is started with; Go's programs get as many processors as others get workers."""
        threads = {"GOMAXPROCS": str(setting.workers)} if self.is_go else {}
        return {**os.environ, **self.environ, **threads}


DISTRIBUTION = "apt-get install nginx-light haproxy"
WHEEL = "pip install -r bench/requirements.txt, or `make bench`"
KEPT = {"PYTHONDONTWRITEBYTECODE": ""}
"""Without kept bytecode every start would compile all of it."""
PURE = {**KEPT, "SLUICE_PURE": "1"}
OURS = ("compiled", "plain")

ALL = (
    Peer(
        "compiled", sys.executable, configs.ours, ["-m", "proxy", "version"], "a C compiler and Python's headers", KEPT
    ),
    Peer("plain", sys.executable, configs.ours, ["-m", "proxy", "version"], "", PURE),
    Peer("nginx", "nginx", configs.nginx, ["-v"], DISTRIBUTION),
    Peer("haproxy", "haproxy", configs.haproxy, ["-v"], DISTRIBUTION),
    Peer("envoy", "envoy", configs.envoy, ["--version"], WHEEL),
    Peer("traefik", "traefik", configs.traefik, ["version"], WHEEL, is_go=True),
    Peer("caddy", "caddy", configs.caddy, ["version"], WHEEL, is_go=True),
)


def find(program: str) -> str | None:
    """Its path, on PATH, in the folders of administrators or of the wheels."""
    path = os.pathsep.join(filter(None, (*WHEELS, os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))
    return shutil.which(program, path=path)


def taking_part(wanted: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Versions by name of those that can be started; a line for each that can't."""
    versions, missing = {}, []
    for peer in ALL:
        if wanted and peer.name not in wanted:
            continue
        program = find(peer.program)
        version = said([program, *peer.version], peer.environ) if program else ""
        if not version or (peer.name == "compiled" and "accelerated" not in version):
            missing.append(f"{peer.name} is not here and left out; {peer.remedy}")
        else:
            versions[peer.name] = version.replace(f"{program} ", "")
    return versions, missing


class Running:
    """A proxy that has been started."""

    def __init__(self, peer: Peer, place: Place, process: subprocess.Popen[bytes]) -> None:
        self.name = peer.name
        self.port = place.port
        self.process = process
        self.began = time.monotonic()

    @property
    def pid(self) -> int:
        return self.process.pid

    def answers(self, path: str, *, seconds: float = READY, pause: float = 0.05) -> bool:
        """Wait until an upstream's answer comes through, also for a name; False when it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                try:
                    connection.request("GET", path, headers={"Host": "shop.example.com", "Connection": "close"})
                    response = connection.getresponse()
                    if response.status == 200 and response.headers["X-Colour"]:
                        return True
                finally:
                    connection.close()
            time.sleep(pause)
        return False


@dataclass(frozen=True, slots=True)
class Stage:
    """What every proxy of a run has in common: a folder, the upstreams' ports, processors, files."""

    folder: Path
    blue: int
    green: int
    cores: Cores
    files: int

    def start(self, name: str, setting: Setting, *, pin: bool = True) -> Running:
        """Start one of them."""
        (peer,) = (each for each in ALL if each.name == name)
        port, admin = free_ports(2)
        folder = self.folder / f"{name}-{port}"
        folder.mkdir(mode=0o755)
        place = Place(folder, port, admin, self.blue, self.green, self.files)
        command = [find(peer.program) or peer.program, *peer.write(setting, place)]
        if pin:
            command = pinned(self.cores.proxies if setting.workers > 1 else self.cores.proxy, command)
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=HERE,
                env=peer.environment(setting),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Running(peer, place, process)

    def last_words(self, one: Running) -> str:
        """The last line that it wrote."""
        lines = (self.folder / f"{one.name}-{one.port}" / "output").read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line), "it said nothing")[-200:]

    @contextlib.contextmanager
    def all(self, names: Sequence[str], setting: Setting, path: str) -> Iterator[list[Running]]:
        """All of them with this setting; who is not ready in time is left out with a line."""
        started: list[Running] = []
        try:
            for name in names:
                one = self.start(name, setting)
                started.append(one)
            ready = [one for one in started if one.answers(path)]
            for one in started:
                if one not in ready:
                    print(
                        f"{one.name} does not answer with {setting} and is left out; {self.last_words(one)}", flush=True
                    )
            yield ready
        finally:
            end([one.process for one in started])
            for one in started:
                shutil.rmtree(self.folder / f"{one.name}-{one.port}", ignore_errors=True)
