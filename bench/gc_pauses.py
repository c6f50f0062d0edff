#!/usr/bin/env python3
"""What Python's garbage collector takes from a worker under load, by its thresholds.

    .venv/bin/python bench/gc_pauses.py

A real proxy of one worker, 1,000 connections of h2load, and one connection per request besides; each setting in turn,
round by round. Counted in the worker: how often the collector ran over the young, and over all that is not frozen; how
long it stopped the worker in all and at most; and what h2load waited at a fixed rate.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Read by Python before anything else in every process; it does nothing outside of workers.
HOOK = """
import sys
if "proxy.worker" in sys.orig_argv:
    import atexit, gc, json, os, time
    began, seen = 0.0, {"runs": [0, 0, 0], "seconds": 0.0, "longest": 0.0}
    def watch(phase, info):
        global began
        if phase == "start":
            began = time.perf_counter()
            return
        took = time.perf_counter() - began
        seen["runs"][info["generation"]] += 1
        seen["seconds"] += took
        seen["longest"] = max(seen["longest"], took)
    def start():
        seen.update(runs=[0, 0, 0], seconds=0.0, longest=0.0)
    import signal
    wanted = os.environ["GC_PAUSES"]
    real = gc.set_threshold
    if wanted != "ours":
        real(*map(int, wanted.split(",")))
        gc.set_threshold = lambda *_: None
    gc.callbacks.append(watch)
    import threading
    def serve():
        import socket
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.environ["GC_PAUSES_AT"])
            listener.listen()
            while True:
                with listener.accept()[0] as asking:
                    if asking.recv(1) == b"0":
                        start()
                    else:
                        asking.sendall(json.dumps(seen).encode())
    threading.Thread(target=serve, daemon=True).start()
"""
CONFIG = """
listeners: [{{bind: 127.0.0.1:{port}}}]
admin: {{bind: 127.0.0.1:{admin}}}
services: {{app: {{pools: {{blue: {{endpoints: [127.0.0.1:{back}]}}}}, split: {{blue: 100}}}}}}
routes: [{{service: app}}]
"""
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{back}; location / {{ return 200 "{body}"; }} }} }}
"""
SETTINGS = ("ours", "700,10,10", "10000,10,10", "50000,20,100", "0,0,0")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def until_open(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.02)
    sys.exit(f"nothing came up at port {port}")


def ask(at: str, what: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(at)
        asking.sendall(what)
        return asking.recv(10_000)


def measured(folder: Path, back: int, setting: str, seconds: int, rate: int) -> dict[str, float]:
    """One round of one setting: what the collector took, and what h2load saw."""
    port, at = free_port(), str(folder / f"gc-{time.monotonic_ns()}.sock")
    config = folder / "sluice.yaml"
    config.write_text(CONFIG.format(port=port, admin=free_port(), back=back))
    environ = {
        **os.environ, "PYTHONPATH": str(folder), "GC_PAUSES": setting, "GC_PAUSES_AT": at,
        "STATE_DIRECTORY": str(folder / "state"),
    }  # fmt: skip
    command = [sys.executable, "-P", "-m", "proxy.supervisor", str(config)]
    proxy = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    try:
        until_open(port)
        url = f"http://127.0.0.1:{port}/"
        log = folder / "waited"
        log.unlink(missing_ok=True)
        load = ["h2load", "--h1", "-c1000", f"-D{seconds}", f"--rps={rate / 1000}", f"--log-file={log}", url]
        close = ["wrk", "-c20", "-t1", f"-d{seconds}", "-H", "Connection: close", url]
        churn = subprocess.Popen(close, stdout=subprocess.DEVNULL)
        ask(at, b"0")
        done = subprocess.run(load, capture_output=True, text=True, check=True)
        seen = json.loads(ask(at, b"1"))
        churn.wait()
    finally:
        proxy.send_signal(signal.SIGTERM)
        proxy.wait()
    waited = sorted(int(line.split("\t")[2]) / 1e3 for line in log.read_text().splitlines())
    if len(waited) < 1000:
        sys.exit(f"h2load made only {len(waited)} requests:\n{done.stdout}")
    young, middle, full = seen["runs"]
    return {
        "young": young + middle,
        "full": full,
        "share": seen["seconds"] / seconds * 100,
        "longest": seen["longest"] * 1e3,
        "p50": waited[len(waited) // 2],
        "p99": waited[len(waited) * 99 // 100],
        "requests": len(waited),
    }


def main() -> None:
    """Each setting in turn, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=4000, help="requests per second over all connections")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, back = Path(name), free_port()
        (folder / "sitecustomize.py").write_text(HOOK)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, back=back, body="x" * 128))
        nginx = subprocess.Popen(["nginx", "-p", name, "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
        try:
            until_open(back)
            rows: dict[str, list[dict[str, float]]] = {setting: [] for setting in SETTINGS}
            for _ in range(args.rounds):
                for setting in SETTINGS:
                    rows[setting].append(measured(folder, back, setting, args.seconds, args.rate))
        finally:
            nginx.terminate()
            nginx.wait()
    columns = ("young", "full", "share", "longest", "p50", "p99", "requests")
    print(f"{'thresholds':14}" + "".join(f"{each:>10}" for each in columns) + "   (share in %, the rest in ms)")
    for setting, found in rows.items():
        print(f"{setting:14}" + "".join(f"{statistics.median(row[each] for row in found):10.2f}" for each in columns))


if __name__ == "__main__":
    main()
