"""What plug-ins are written against: a class whose fields are its options, with one to three of the hooks.

    @dataclass
    class Hello:
        name: str = "world"

        def on_request(self, request: Request, facts: Facts) -> Reply | None:
            return Reply(200, f"hello {self.name}\\n") if request.path == "/hello" else None

docs/plugins.md tells the whole of it.
"""

from proxy.plugins.exchange import Answer, Facts, Flag, Reply, Request, Response
from proxy.plugins.headers import Headers
from proxy.telemetry.record import Record

__all__ = ["Answer", "Facts", "Flag", "Headers", "Record", "Reply", "Request", "Response"]
