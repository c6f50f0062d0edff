"""Action `respond`."""

from dataclasses import dataclass, field
from typing import Final

from proxy.filters.effects import Reply
from proxy.filters.field_edit import field_lines, require_names
from proxy.filters.registry import ACTIONS, Act

_BODILESS: Final = (204, 205, 304)  # RFC 9110 §6.4.1, §15.3.6


@ACTIONS.register("respond")
@dataclass(frozen=True, slots=True)
class Respond:
    """Answers by itself: a `status` from 200 to 599, a `body` and `headers`.

    The body is `text/plain; charset=utf-8` unless the headers say otherwise.
    """

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ValueError(f"{self.status} is not a status to respond with; use 200 to 599")
        if self.body and self.status in _BODILESS:
            raise ValueError(f"a response of status {self.status} has no body; leave it out")
        require_names(self.headers)
        field_lines(self.headers)

    def compile(self, _prefixes: tuple[bytes, ...]) -> Act:
        block = field_lines(self.headers)
        if self.body and not any(name.lower() == "content-type" for name in self.headers):
            block = b"content-type: text/plain; charset=utf-8\r\n" + block
        reply = Reply(self.status, block, self.body.encode())
        return lambda _facts: reply
