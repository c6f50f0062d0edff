"""Filter `security_headers`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.filters.field_checks import field_lines
from proxy.filters.registry import FILTERS, Hooks, ResponseFilter
from proxy.filters.site import Site
from proxy.http1 import fields
from proxy.http1.facts import Facts
from proxy.http1.message import ResponseHead

Complete = Callable[[bytes], bytes]
"""A block of field lines with what it lacked."""

OFF: Final = "off"
_CSP: Final = "content-security-policy"
_FRAME: Final = "x-frame-options"
_HSTS: Final = re.compile(r"max-age=[0-9]{1,10}(?:; ?(?:includeSubDomains|preload))*", re.IGNORECASE)
_FRAME_OPTIONS: Final = {"self": "SAMEORIGIN", "none": "DENY"}
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9*.\[\]:-]+")
_REFERRER: Final = frozenset(
    {
        *("no-referrer", "no-referrer-when-downgrade", "origin", "origin-when-cross-origin", "same-origin"),
        *("strict-origin", "strict-origin-when-cross-origin", "unsafe-url"),
    }
)


@FILTERS.register("security_headers")
@dataclass(frozen=True, slots=True)
class SecurityHeaders:
    """Adds fields to responses, replies of the proxy's own included, that make browsers careful.

    What the upstream has set itself is kept unless `override: true`; each is left out where it is `off`. `hsts` is
    Strict-Transport-Security, sent only where the client's scheme is https. `content_type` is X-Content-Type-Options.
    `frames` says whose pages may show these in a frame: `self`, `none` (by X-Frame-Options), or origins with blanks
    between them (by frame-ancestors in a policy of its own); where a Content-Security-Policy speaks of frame-ancestors,
    it adds nothing. `referrer` is Referrer-Policy, `permissions` Permissions-Policy, `csp` Content-Security-Policy.
    """

    hsts: str = "max-age=31536000"
    content_type: str = "nosniff"
    frames: str = "self"
    referrer: str = "strict-origin-when-cross-origin"
    permissions: str = "camera=(), geolocation=(), microphone=()"
    csp: str = OFF
    override: bool = False

    def __post_init__(self) -> None:
        if self.hsts != OFF and not _HSTS.fullmatch(self.hsts):
            raise ValueError(f"hsts {self.hsts!r} is not understood; write it like max-age=31536000; includeSubDomains")
        if self.content_type not in (OFF, "nosniff"):
            raise ValueError(f"content_type {self.content_type!r} is not understood; it is nosniff or off")
        unknown = [each for each in re.split(" *, *", self.referrer) if each not in _REFERRER]
        if self.referrer != OFF and unknown:
            raise ValueError(f"{unknown[0]!r} is no referrer policy; write one such as no-referrer or same-origin")
        if self.frames not in (OFF, *_FRAME_OPTIONS):
            _require_origins(self.frames)
        if not self.permissions.strip(" \t") or not self.csp.strip(" \t"):
            raise ValueError("an empty policy allows everything; write permissions or csp out, or off")
        field_lines({"permissions-policy": self.permissions, _CSP: self.csp})

    def compile(self, _site: Site) -> Hooks:
        always = _lines(
            {
                "x-content-type-options": self.content_type,
                "referrer-policy": self.referrer,
                "permissions-policy": self.permissions,
                _CSP: self.csp,
            }
        )
        secure = self._completing(_lines({"strict-transport-security": self.hsts}) | always)
        plain = self._completing(always)

        def on_response(facts: Facts, head: ResponseHead) -> None:
            head.block = (secure if facts.scheme == b"https" else plain)(head.block)

        return Hooks(response=ResponseFilter(on_response))

    def _completing(self, lines: dict[str, bytes]) -> Complete:
        """Adds the lines and what `frames` says; the latter unless a policy, which may be one of the lines, says more.

        All of it with one look at the block.
        """
        bare = _completing(lines, self.override)
        framing = self._framing()
        speaks = b"frame-ancestors" in lines.get(_CSP, b"").lower()
        if not framing or (speaks and self.override):
            return bare
        whole = _completing(lines | framing, self.override)

        def complete(block: bytes) -> bytes:
            if not speaks and b"frame-ancestors" not in block.lower():
                return whole(block)
            policies = fields.get(bare(block), _CSP.encode())
            return (bare if policies and b"frame-ancestors" in policies.lower() else whole)(block)

        return complete

    def _framing(self) -> dict[str, bytes]:
        if self.frames == OFF:
            return {}
        if self.frames in _FRAME_OPTIONS:
            return _lines({_FRAME: _FRAME_OPTIONS[self.frames]})
        # Where both are there, browsers go by the policy.
        return {_FRAME: field_lines({_CSP: f"frame-ancestors {self.frames}"})}


def _lines(values: dict[str, str]) -> dict[str, bytes]:
    return {name: field_lines({name: value}) for name, value in values.items() if value != OFF}


def _completing(lines: dict[str, bytes], override: bool) -> Complete:
    """Adds the lines of those names that the block lacks, or, with `override`, instead of its own."""
    gone, instead = frozenset(name.encode() for name in lines), b"".join(lines.values())
    rows = tuple((b"\r\n%b:" % name.encode(), line) for name, line in lines.items())

    def complete(block: bytes) -> bytes:
        there = b"\r\n" + block.lower()
        return block + b"".join([line for needle, line in rows if needle not in there])

    return (lambda block: fields.without(block, gone) + instead) if override else complete


def _require_origins(text: str) -> None:
    for origin in text.split(" "):
        if not _ORIGIN.fullmatch(origin) and origin != "'self'":
            raise ValueError(f"frames {origin!r} is no origin; write self, none, off or origins: https://a.example.com")
