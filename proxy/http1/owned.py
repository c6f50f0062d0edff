"""Fields that are the proxy's own: nobody may set, add or remove them by name."""

from typing import Final

# RFC 9110 §7.6.1 and §8.6: framing belongs to each side's own codec.
FRAMING: Final = frozenset(
    {
        *("connection", "content-length", "expect", "http2-settings", "keep-alive", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
# What the proxy writes into every request, from what it knows of the client.
TOLD: Final = frozenset(
    {
        *("forwarded", "traceparent", "via", "x-real-ip", "x-request-id", "x-sluice-shadow"),
        *("x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"),
    }
)
"""Request fields."""
