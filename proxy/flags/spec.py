"""Flags as the configuration says them, as plain data: definitions, what is known of a request, and overrides."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Generation = Literal["v2", "v3"]
"""How `fractional` hashes (proxy.flags.buckets)."""

COOKIE = "sluice_id"
"""The cookie of an identity that we make, where no other name is given."""


class KeySource(Struct, frozen=True):
    """Where a request's targeting key may stand. `generate`: a cookie of ours, made where there is none.

    `ttl` is that cookie's age in seconds before a browser forgets it.
    """

    source: Literal["cookie", "header", "generate"]
    name: str = COOKIE
    ttl: float = 365 * 86_400.0


class ContextSource(Struct, frozen=True):
    """Where a value of the context comes from: what the edge sees of the request, or the same `value` for all."""

    source: Literal["header", "cookie", "query", "client", "value"]
    name: str = ""
    value: Any = None


class UpstreamHeader(Struct, frozen=True):
    """The field that tells upstreams the outcomes of these flags; of all where none is named."""

    name: str
    flags: tuple[str, ...] = ()


class ErrorGuard(Struct, frozen=True):
    """Errors that a guard judges by, with the chance to be wrong that it may take."""

    alpha: float = 0.01
    statuses: tuple[tuple[int, int], ...] = ((500, 599),)


class FlagGuard(Struct, frozen=True):
    """What is done about a flag by itself when one of its variants does harm."""

    errors: ErrorGuard = ErrorGuard()
    on_harm: Literal["kill"] = "kill"


class FlagSettings(Struct, frozen=True):
    """What goes with the flags and is none of flagd's business.

    `public` are the flags that a data listener shows without a token. `observe` are those whose outcomes are counted;
    None for all, up to a bound.
    """

    bucketing: Generation = "v3"
    key_from: tuple[KeySource, ...] = ()
    context: dict[str, ContextSource] = {}
    public: tuple[str, ...] = ()
    upstream_header: UpstreamHeader | None = None
    code_default: Literal["omit", "explicit"] = "omit"
    observe: tuple[str, ...] | None = None
    guards: dict[str, FlagGuard] = {}


class Flags(Struct, frozen=True):
    """A flagd v0 document as plain data, the short form written out, and the settings."""

    document: dict[str, Any]
    settings: FlagSettings = FlagSettings()


class FlagOverride(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What somebody wants of a flag whatever its definition says; exactly one of the three.

    `killed`: it has no outcome, and every caller its own default. `variant`: everybody's. `percent`: this share of
    those whom its rule leaves to chance or to the default has `to`.
    """

    killed: bool = False
    variant: str | None = None
    percent: Annotated[float, Meta(ge=0, le=100)] | None = None
    to: str | None = None
