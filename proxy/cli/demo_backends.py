"""The demo's three backends: one process, a coloured answer on each of three ports.

`python -m proxy.cli.demo_backends blue 0.0.0.0:9001` is one of them alone, for a container. Standard library only.
Each answers any GET or HEAD with its colour, the path and the fields by which a proxy tells of the client: as a
coloured page to a browser, as plain text to everybody else. Ends with its parent.
"""

import contextlib
import html
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

HOST: Final = "127.0.0.1"
BACKENDS: Final = {"blue": 9001, "green": 9002, "canary": 9003}
PAGE_COLOURS: Final = {"blue": "#2563eb", "green": "#16a34a", "canary": "#eab308"}
SHOWN: Final = ("Host", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "X-Canary", "Cookie")


class Backend(BaseHTTPRequestHandler):
    """Answers for the colour of the port that was asked."""

    protocol_version = "HTTP/1.1"
    server_version = "sluice-demo"

    def do_GET(self) -> None:
        """Say which colour this is and what arrived."""
        colour = self.server.colour  # type: ignore[attr-defined]  # ours, see _serve
        browser = "text/html" in self.headers.get("Accept", "")
        lines = [f"{self.command} {self.path}", *self._fields()]
        text = _page(colour, lines) if browser else "\n".join([colour, *lines, ""])
        self._answer(text.encode(), "text/html" if browser else "text/plain", colour)

    do_HEAD = do_GET  # noqa: N815 - the base class looks it up by this name

    def _fields(self) -> list[str]:
        return [f"{name}: {value}" for name in SHOWN if (value := self.headers.get(name))]

    def _answer(self, body: bytes, kind: str, colour: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Colour", colour)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Nothing: the demo prints its own summary."""


def _page(colour: str, lines: list[str]) -> str:
    rows = "\n".join(map(html.escape, lines))
    style = f"background:{PAGE_COLOURS[colour]};color:#fff;font-family:system-ui;padding:4rem"
    return f'<!doctype html><title>{colour}</title><body style="{style}"><h1>{colour}</h1><pre>{rows}</pre>\n'


def _serve(colour: str, host: str, port: int) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer((host, port), Backend)
    server.colour = colour  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    """Serve until standard input ends, which the parent holds open; one alone until SIGTERM."""
    if len(sys.argv) == 3:
        colour, where = sys.argv[1:]
        host, _, port = where.rpartition(":")
        _serve(colour, host, int(port))
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
        return
    servers = [_serve(colour, HOST, port) for colour, port in BACKENDS.items()]
    print("ready", flush=True)
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C reaches the whole group; the demo says goodbye for all
        sys.stdin.buffer.read()
    for server in servers:
        server.server_close()


if __name__ == "__main__":
    main()
