"""The section of the YAML about a rollout: from which pool to which, by which steps, and how it is judged."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

from proxy.config.plugins import one_of, options_type
from proxy.config.shapes import OrScalar, Section, Shaped, as_key, under
from proxy.config.values import (
    Chance,
    MaybeShare,
    MaybeTime,
    Multiple,
    Name,
    Positive,
    Share,
    StatusRange,
    Text,
    Time,
    Weight,
    choice,
)
from proxy.rollouts import strategies as _strategies  # noqa: F401 - registers them
from proxy.rollouts.judging import Judging
from proxy.rollouts.planning import LIVE, OTHER
from proxy.rollouts.spec import RolloutSpec, Written
from proxy.rollouts.step import STEPS
from proxy.rollouts.strategy import STRATEGIES
from proxy.snapshot.document import Plugin

_JUDGE = Judging()


def _step(cls: type) -> Any:
    """A step's options; where one of them says it all, that alone."""
    options = options_type(cls)
    short = getattr(cls, "SHORT", None)
    return options if short is None else Annotated[options, OrScalar(under(short), {"type": ["string", "number"]})]


if TYPE_CHECKING:
    AnyStep = Plugin
    AnyStrategy = Plugin
else:
    AnyStep = Annotated[one_of(STEPS, "Step", _step), OrScalar(as_key, {"enum": list(STEPS.names())})]
    AnyStrategy = Annotated[one_of(STRATEGIES, "Strategy"), OrScalar(as_key, {"enum": list(STRATEGIES.names())})]


class Errors(Section):
    """When the candidate does harm: it fails more often than stable, by more than chance."""

    alpha: Chance = Field(default=_JUDGE.errors.alpha, description="How often that may be said wrongly, over a run.")
    ratio: Weight = Field(default=_JUDGE.errors.ratio, description="Harm is more than this many times as often.")
    statuses: Annotated[Any, Shaped(scalar=StatusRange, sequence=Annotated[list[StatusRange], Field(min_length=1)])] = (
        Field(default=_JUDGE.errors.statuses[0], description="What the upstream must not answer.")
    )


class Safe(Section):
    """When the candidate is safe: it fails less than `ratio` times as often as stable, or hardly ever."""

    ratio: Multiple = Field(default=_JUDGE.safe.ratio, description="Which regression is to be ruled out.")
    beta: Chance = Field(default=_JUDGE.safe.beta, description="How often safe may be said wrongly.")
    or_below: Share = Field(default=_JUDGE.safe.or_below, description="An error rate that is safe whatever stable's.")


class Judge(Section):
    """What a rollout is judged by."""

    errors: Errors = Field(default=Errors(), description="When it does harm.")
    safe: Safe = Field(default=Safe(), description="When it is safe.")
    slower_than: list[Time] = Field(
        default=[], max_length=8, description="Slower than one of these counts like an error."
    )
    error_rate: MaybeShare = Field(default=None, description="Guard: more than this ends it.")
    p99: MaybeTime = Field(default=None, description="Guard: a slower 99th percentile ends it.")
    window: Time = Field(default=_JUDGE.window, description="What the guards look back on.")
    min_requests: Positive = Field(default=_JUDGE.min_requests, description="Fewer of the candidate's say nothing.")
    connect_failures: Positive = Field(default=_JUDGE.connect_failures, description="So many in a row end it at once.")


class Gradual(Section):
    """An automatic abort takes its time."""

    gradual: Time = Field(description="How long the traffic takes to go back.")


class RolloutHooks(Section):
    """Webhooks. The first two must answer 2xx for it to go on; the others are told."""

    before: Text | None = Field(default=None, description="Before the first step.")
    after_step: Text | None = Field(default=None, description="After each step.")
    on_abort: Text | None = Field(default=None, description="When the traffic is taken back.")
    events: Text | None = Field(default=None, description="Whatever happens.")


class Rollout(Section):
    """Moves a service from one pool to another by steps, judged by what its requests show."""

    service: Name = Field(description="The service.")
    stable: Name = Field(default=LIVE, description="The pool that it leaves: by name, or live, which has 100 %.")
    candidate: Name = Field(default=OTHER, description="The pool that it goes to: by name, or other, of two.")
    pool: Name | None = Field(default=None, description="The pool that strategy rolling updates in place.")
    steps: list[AnyStep] = Field(default=[], max_length=100, description="What is done, in this order.")
    strategy: AnyStrategy = Field(default=Plugin("canary"), description="Writes the steps where there are none.")
    judge: Judge = Field(default=Judge(), description="How it is judged.")
    on_no_data: Annotated[Literal["wait", "pause", "abort"], choice("wait", "pause", "abort")] = Field(
        default="wait", description="When a bake's time is over, and there was too little traffic to judge by."
    )
    on_abort: Annotated[Any, Shaped(scalar=Annotated[str, choice("at_once")], mapping=Gradual)] = Field(
        default="at_once", description="How an automatic abort takes the traffic back."
    )
    on_success: Annotated[Literal["override", "persist"], choice("override", "persist")] = Field(
        default="override", description="Keep the new split as an override, or write it into the file."
    )
    hooks: RolloutHooks = Field(default=RolloutHooks(), description="Who is asked and told.")


def to_spec(name: str, rollout: Rollout) -> RolloutSpec:
    """The section as the Document has it."""
    return RolloutSpec(
        name=name,
        service=rollout.service,
        stable=rollout.stable,
        candidate=rollout.candidate,
        steps=tuple(Written(each.kind, each.options) for each in rollout.steps),
        strategy=Written(rollout.strategy.kind, rollout.strategy.options),
        judge=_judge(rollout.judge),
        on_no_data=rollout.on_no_data,
        gradual=rollout.on_abort.gradual if isinstance(rollout.on_abort, Gradual) else 0.0,
        on_success=rollout.on_success,
        hooks={key: value for key, value in rollout.hooks if value is not None},
        pool=rollout.pool,
    )


def _judge(section: Judge) -> dict[str, Any]:
    given = _given(section)
    statuses = given.get("errors", {}).get("statuses")
    if statuses is not None:
        given["errors"]["statuses"] = list(statuses) if isinstance(statuses, list) else [statuses]
    return given


def _given(section: BaseModel) -> dict[str, Any]:
    """What was written, as plain data."""
    found: Mapping[str, Any] = {name: getattr(section, name) for name in section.model_fields_set}
    return {name: _given(value) if isinstance(value, BaseModel) else value for name, value in found.items()}
