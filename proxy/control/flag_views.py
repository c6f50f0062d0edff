"""What is shown of flags: plain values that the admin API encodes, and its schema is made of."""

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from proxy.control.flag_overrides import KeptOverride, definitions
from proxy.control.refusal import Refusal, unknown
from proxy.flags.spec import FlagOverride
from proxy.snapshot.document import Document
from proxy.telemetry.classic import CLASSES
from proxy.telemetry.counters import NO_RESPONSE
from proxy.telemetry.totals import FlagTotals, Totals

if TYPE_CHECKING:
    from proxy.filters.flagging import FlagBoard


class FlagView(Struct, frozen=True):
    """One flag. `override` is what somebody has set, null where its definition stands; `public`: everybody may see it.

    `overridden_by` is who has set it, `overridden_at` when (Unix seconds); null where nobody has.
    `state`, `variants`, `default` and `targeting` are the definition's.
    """

    key: str
    state: str
    variants: dict[str, Any]
    default: str | None
    targeting: Any
    override: FlagOverride | None
    overridden_by: str | None
    overridden_at: float | None
    public: bool
    metadata: dict[str, Any]
    warnings: tuple[str, ...] = ()


class EvaluationView(Struct, frozen=True):
    """What came out for a context, and `steps`: which branch decided it, and which number of which bucket."""

    key: str
    value: Any
    variant: str | None
    reason: str
    error_code: str | None
    error: str
    metadata: dict[str, Any]
    steps: tuple[str, ...]
    override: FlagOverride | None


class VariantOutcome(Struct, frozen=True):
    """What came of one variant since this controller began, over all workers; "" where a request had none.

    `evaluations` are answers to clients that asked for it. `requests` go by status class; `error_rate` is the part
    (0 to 1) that was a 5xx, or had no response. The rest is seconds; null where there was no request.
    """

    variant: str
    evaluations: int
    requests: dict[str, int]
    error_rate: float | None
    p50: float | None
    p90: float | None
    p99: float | None


class GuardView(Struct, frozen=True):
    """What a flag's guard says of one variant beside the default, by those whom chance gave one of them."""

    variant: str
    verdict: Literal["harm", "safe", "not_yet"]
    sentence: str


class OutcomeView(Struct, frozen=True):
    """What came of a flag. `observed`: it is counted; `guards` are empty where it has none, or is killed."""

    key: str
    observed: bool
    variants: tuple[VariantOutcome, ...]
    guards: tuple[GuardView, ...] = ()


def flag_view(document: Document, kept: dict[str, KeptOverride], key: str, warnings: tuple[str, ...] = ()) -> FlagView:
    """One flag; Refusal (404) where there is none."""
    known = definitions(document.flags)
    if key not in known:
        raise unknown("flag", key, list(known))
    flag, flags, held = known[key], document.flags, kept.get(key)
    set_metadata = flags.document.get("metadata") or {} if flags else {}
    return FlagView(
        key=key,
        state=flag["state"],
        variants=flag["variants"],
        default=flag.get("defaultVariant") or None,
        targeting=flag.get("targeting") or None,
        override=held.value if held else None,
        overridden_by=held.by if held else None,
        overridden_at=held.at if held else None,
        public=flags is not None and key in flags.settings.public,
        metadata={**set_metadata, **(flag.get("metadata") or {})},
        warnings=warnings,
    )


def evaluation_view(
    board: "FlagBoard | None", kept: dict[str, KeptOverride], key: str, context: dict[str, Any], now: float
) -> EvaluationView:
    """What a flag comes to for a context, and why; Refusal (404) where there is none."""
    if board is None or key not in board.flags.flags:
        raise unknown("flag", key, list(board.flags.flags) if board else [])
    told = board.flags.explain(key, {**context, **board.static}, now)
    found = told.evaluation
    return EvaluationView(
        key=key,
        value=found.value,
        variant=found.variant,
        reason=found.reason,
        error_code=found.error_code,
        error=found.error,
        metadata=dict(found.metadata),
        steps=tuple(told.steps),
        override=kept[key].value if key in kept else None,
    )


def outcome_view(
    document: Document, board: "FlagBoard | None", totals: Totals, key: str, guards: tuple[GuardView, ...]
) -> OutcomeView:
    """What came of a flag: each variant that it has, and what else was counted; Refusal (404) where there is none."""
    known = definitions(document.flags)
    if key not in known:
        raise unknown("flag", key, list(known))
    counted = {variant: found for (flag, variant), found in totals.flags.items() if flag == key}
    names = dict.fromkeys([*known[key]["variants"], *sorted(counted)])
    return OutcomeView(
        key=key,
        observed=board is not None and key in board.observed,
        variants=tuple(_variant(name, counted.get(name) or FlagTotals()) for name in names),
        guards=guards,
    )


def _variant(name: str, totals: FlagTotals) -> VariantOutcome:
    requests = totals.requests
    number, errors = sum(requests), requests[NO_RESPONSE] + requests[5]
    return VariantOutcome(
        variant=name,
        evaluations=totals.evaluations,
        requests={name: count for name, count in zip(CLASSES, requests, strict=True) if count},
        error_rate=errors / number if number else None,
        p50=totals.duration.quantile(0.5),
        p90=totals.duration.quantile(0.9),
        p99=totals.duration.quantile(0.99),
    )


def one_of(order: FlagOverride) -> FlagOverride:
    """The override, where it is one: exactly one thing is wanted; Refusal (400) otherwise."""
    given = [name for name in ("variant", "percent") if getattr(order, name) is not None]
    given += ["killed"] if order.killed else []
    if len(given) != 1 or (order.to is not None and order.percent is None):
        raise Refusal(400, "an override is one of {variant: on}, {percent: 25, to: on} and {killed: true}")
    return order
