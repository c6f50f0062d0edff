"""The family of steps: what a step sees, what it may answer, and what it may ask for.

A step is one frozen dataclass in its own file of proxy/rollouts/steps: its fields are the options, its docstring the
documentation. It decides and does nothing: what is to be done are acts, and only the conductor performs them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias

from proxy.core.registry import Registry
from proxy.rollouts.verdict import Verdict

OnNoData: TypeAlias = Literal["wait", "pause", "abort"]
Otherwise: TypeAlias = Literal["pause", "abort", "next"]

# -- acts


@dataclass(frozen=True, slots=True)
class SetSplit:
    """The candidate gets this share (0 to 1) of what it and stable have; `move`: held sessions follow at once."""

    share: float
    move: bool = False


@dataclass(frozen=True, slots=True)
class RouteTo:
    """Requests that match go to the candidate, before every other route of the service; `match` as in the YAML.

    It is taken back when the run ends, or by an empty match under the same name.
    """

    name: str
    match: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MirrorTo:
    """Copies of this share (0 to 1) of stable's requests go to the candidate; 0 ends it, and so does the run's end."""

    share: float
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """Something that takes time outside: `kind` says who does it, `options` are the step's own.

    Its result comes back in `Moment.results` under `name`; one that was under way when the controller died is begun
    again.
    """

    name: str
    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetFlag:
    """This `percent` (0 to 100) of people have the variant `to` of a flag; None for the one that is on.

    It is taken back when the run is aborted, and stays when it ends well.
    """

    key: str
    percent: float
    to: str | None = None


Act: TypeAlias = SetSplit | RouteTo | MirrorTo | SetFlag | Job

# -- what a step sees and answers


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a job, in a sentence; `numbers` by name."""

    ok: bool
    text: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moment:
    """A running step at one look.

    `elapsed` is seconds in this step, without pauses; `share` the candidate's now, 0 to 1; `requests` what the
    candidate has been judged by in this step.
    """

    elapsed: float
    share: float
    requests: int
    min_requests: int
    verdict: Verdict
    on_no_data: OnNoData = "wait"
    results: Mapping[str, Result] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stay:
    """Not yet: for what it waits, in a few words; `done` is how far it is, 0 to 1, where that is known.

    `acts` are to be performed now, each once: the conductor remembers by their equality in this step.
    """

    text: str
    done: float | None = None
    acts: tuple[Act, ...] = ()


@dataclass(frozen=True, slots=True)
class Next:
    """The step has ended well; `acts` are performed on the way out."""

    acts: tuple[Act, ...] = ()


@dataclass(frozen=True, slots=True)
class Pause:
    """A person has to decide: resume gives the step its time once more, promote goes past it.

    What its jobs have brought so far stays, unless it is to be done `anew`. `acts` are performed before.
    """

    reason: str
    acts: tuple[Act, ...] = ()
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Abort:
    """The traffic is to be taken back."""

    reason: str


Answer: TypeAlias = Stay | Next | Pause | Abort


class Step(Protocol):
    """One step with its options, as in the YAML; options that cannot work are a ValueError with a remedy."""

    def begin(self) -> tuple[Act, ...]:
        """What is done when the step begins, in this order. Performed again after a restart: each can be repeated."""
        ...

    def look(self, moment: Moment) -> Answer:
        """What is to come of it now; asked several times a second, and whenever something has happened."""
        ...

    def describe(self) -> str:
        """The step in a few words, for the plan and the live view: "5 % to the candidate"."""
        ...

    def at_most_seconds(self) -> float | None:
        """How many seconds it takes at most, or None where that depends on a person or on traffic."""
        ...


def otherwise(what: Otherwise, reason: str) -> Answer:
    """What a step does that has waited long enough."""
    if what == "next":
        return Next()
    return Pause(reason) if what == "pause" else Abort(reason)


STEPS: Final[Registry[Step]] = Registry("step")
