"""What a filter may ask for: a closed set that only the data plane performs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the client with this and go no further.

    `block` is field lines that each end in CRLF, without framing. `reason` is the token of x-sluice-reason where the
    reply is a refusal, None where it is what the configuration asks for.
    """

    status: int
    block: bytes = b""
    body: bytes = b""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ChoosePool:
    """Send the request to this pool of its service, whatever the split says."""

    name: str


Effect = Reply | ChoosePool
