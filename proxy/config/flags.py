"""The sections of the YAML about feature flags. The definitions themselves are flagd's and stay as they are."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from proxy.config.plugins import AsWritten
from proxy.config.problems import WrongError
from proxy.config.shapes import OrScalar, Section, Shaped, as_key, under
from proxy.config.tree import Scalar
from proxy.config.values import Chance, MaybeToken, StatusRange, Text, Time, Token, Written, choice
from proxy.flags import spec

_DEFAULTS = spec.FlagSettings()
_GENERATED = spec.KeySource("generate")
_ERRORS = spec.ErrorGuard()


class Generated(Section):
    """An identity that we make for who has none, in a cookie."""

    cookie: Token = Field(default=spec.COOKIE, description="The name of the cookie.")
    ttl: Time = Field(default=_GENERATED.ttl, description="How long a browser keeps it.")


class KeySource(Section):
    """Where the targeting key stands; one of the three."""

    cookie: MaybeToken = Field(default=None, description="A cookie of the application.")
    header: MaybeToken = Field(default=None, description="A header.")
    generate: Generated | None = Field(default=None, description="A cookie of ours, made where there is none.")


class ContextSource(Section):
    """Where a value of the context comes from; one of the four."""

    header: MaybeToken = Field(default=None, description="A header.")
    cookie: MaybeToken = Field(default=None, description="A cookie.")
    query: Text | None = Field(default=None, description="A parameter of the query.")
    value: Annotated[Any, AsWritten()] = Field(default=None, description="The same for every request.")


def _client(scalar: Scalar) -> str:
    if scalar != "client":
        raise WrongError(
            f"{str(scalar)!r} is nothing that is known of a request", "write client, or {header: x-region}"
        )
    return "client"


class UpstreamHeader(Section):
    """The field that tells upstreams what flags came out as."""

    name: Token = Field(description="The field.")
    flags: list[Text] = Field(default=[], description="Which flags it tells; all where none is named.")


class ErrorGuard(Section):
    """When a variant does harm: its requests fail more often than those of the default, by more than chance."""

    alpha: Chance = Field(default=_ERRORS.alpha, description="How often that may be said wrongly.")
    statuses: Annotated[Any, Shaped(scalar=StatusRange, sequence=Annotated[list[StatusRange], Field(min_length=1)])] = (
        Field(default=_ERRORS.statuses[0], description="What the upstream must not answer.")
    )


class Guard(Section):
    """What is done about a flag by itself."""

    errors: ErrorGuard = Field(default=ErrorGuard(), description="What harm is.")
    on_harm: Annotated[str, choice("kill")] = Field(default="kill", description="What is done then.")


if TYPE_CHECKING:
    AnyKeySource = KeySource
    AnyUpstreamHeader = UpstreamHeader
else:
    AnyKeySource = Annotated[KeySource, OrScalar(as_key, {"enum": ["generate"]})]
    AnyUpstreamHeader = Annotated[UpstreamHeader, OrScalar(under("name"), {"type": "string"})]


class FlagSettings(Section):
    """What goes with the flags and is none of flagd's business."""

    bucketing: Annotated[str, choice("v3", "v2")] = Field(
        default=_DEFAULTS.bucketing,
        description="How shares are drawn: v3 as flagd's decision, v2 as flagd 0.15 and 0.16.",
    )
    key_from: list[AnyKeySource] = Field(
        default=[], description="Where the targeting key stands; the first found counts."
    )
    context: dict[
        Text,
        Annotated[Any, Shaped(scalar=Annotated[Any, Written(_client, {"const": "client"})], mapping=ContextSource)],
    ] = Field(default={}, description="What else is known of a request, by the name that rules use.")
    public: list[Text] = Field(default=[], description="Flags that listeners for traffic show without a token.")
    upstream_header: AnyUpstreamHeader | None = Field(default=None, description="The field that tells upstreams.")
    code_default: Annotated[str, choice("omit", "explicit")] = Field(
        default=_DEFAULTS.code_default, description="Whether answers tell a default that is the caller's own."
    )
    observe: list[Text] | None = Field(default=None, description="Flags whose outcomes are counted; all, up to 200.")
    guards: dict[Text, Guard] = Field(default={}, description="Flags that are killed when a variant does harm.")


def to_settings(section: FlagSettings) -> spec.FlagSettings:
    """The settings as the Document has them."""
    header = section.upstream_header
    return spec.FlagSettings(
        bucketing=section.bucketing,  # type: ignore[arg-type]  # one of the choices
        key_from=tuple(map(_key_source, section.key_from)),
        context={name: _context_source(each) for name, each in section.context.items()},
        public=tuple(section.public),
        upstream_header=None if header is None else spec.UpstreamHeader(header.name, tuple(header.flags)),
        code_default=section.code_default,  # type: ignore[arg-type]
        observe=None if section.observe is None else tuple(section.observe),
        guards={key: _guard(each) for key, each in section.guards.items()},
    )


def _key_source(section: KeySource) -> spec.KeySource:
    if section.generate is not None:
        return spec.KeySource("generate", section.generate.cookie, section.generate.ttl)
    return (
        spec.KeySource("cookie", section.cookie) if section.cookie else spec.KeySource("header", section.header or "")
    )


def _context_source(section: Any) -> spec.ContextSource:
    if section == "client":
        return spec.ContextSource("client")
    for source in ("header", "cookie", "query"):
        if getattr(section, source) is not None:
            return spec.ContextSource(source, getattr(section, source))
    return spec.ContextSource("value", value=section.value)


def _guard(section: Guard) -> spec.FlagGuard:
    statuses = section.errors.statuses
    ranges = tuple(statuses) if isinstance(statuses, list) else (statuses,)
    return spec.FlagGuard(spec.ErrorGuard(section.errors.alpha, ranges), "kill")
