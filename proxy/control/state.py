"""What was decided besides the file: overrides, drains, epochs, bucket tables and what `undo` would bring back.

Plain frozen values. Every change is a function from one state to the next; proxy/control/desired.py makes documents of
them, the store keeps them.
"""

from typing import Self, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from proxy.control.flag_overrides import KeptOverride
from proxy.flags.spec import FlagOverride
from proxy.routing.split import exact_shares
from proxy.snapshot.document import Plugin
from proxy.telemetry.evidence import Watch

Shares: TypeAlias = dict[str, float]


class SplitOverride(Struct, frozen=True):
    """A service's split as somebody set it, and the file's that it replaced."""

    file: Shares
    value: Shares


class EndpointOverride(Struct, frozen=True):
    """One endpoint's presence and weight as somebody set them, and the file's. `None`: it is not there.

    `backup` is whether it is one, and `file_backup` whether the file says so.
    """

    service: str
    pool: str
    address: str
    file: float | None
    value: float | None
    backup: bool = False
    file_backup: bool = False

    @property
    def is_as_in_the_file(self) -> bool:
        """Does it say nothing but what the file says?"""
        return self.value == self.file and (self.value is None or self.backup is self.file_backup)


class Drain(Struct, frozen=True):
    """A person takes an endpoint out or, without an address, a whole pool.

    `deadline` is wall time, `patience` how many seconds that was from its beginning: after a clock was set back it is
    never longer. `is_over` once the deadline has come, and what was left has been cut. `by` is who drains it.
    """

    service: str
    pool: str
    address: str | None = None
    deadline: float = 0.0
    cut: bool = False
    is_over: bool = False
    patience: float = float("inf")
    by: str = ""


class Past(Struct, frozen=True):
    """A split as it was, with its bucket table."""

    shares: Shares
    table: bytes | None = None


class HeldFlag(Struct, frozen=True):
    """A flag as a rollout has set it, and what somebody wanted of it before, if anything."""

    value: FlagOverride
    before: KeptOverride | None = None


class Course(Struct, frozen=True):
    """What a rollout has set up in a service besides its split; while there is one, the split is the rollout's.

    `watch` is what workers count for it; without, the split is not what it has set. `routes` are further matches, by
    the name of the step's route, under which the service's requests go to the `candidate`; `mirror` is a filter before
    the service's own. `updated` are the endpoints, as they are written, that a rolling update has updated so far.
    `file` is the file's split when the rollout began, or when somebody last set one: a later edit stands on abort.
    `flags` go by key.
    """

    rollout: str
    stable: str
    candidate: str
    watch: Watch | None = None
    routes: dict[str, tuple[Plugin, ...]] = {}
    mirror: Plugin | None = None
    updated: tuple[str, ...] = ()
    file: Shares | None = None
    flags: dict[str, HeldFlag] = {}


class State(Struct, frozen=True):
    """Everything that is decided besides the file.

    `epochs` go by service and pool, `courses` by service, `flags` by key.
    """

    splits: dict[str, SplitOverride] = {}
    endpoints: tuple[EndpointOverride, ...] = ()
    drains: tuple[Drain, ...] = ()
    epochs: dict[str, dict[str, int]] = {}
    tables: dict[str, bytes] = {}
    past: dict[str, Past] = {}
    courses: dict[str, Course] = {}
    flags: dict[str, KeptOverride] = {}

    def with_split(self, service: str, file: Shares, value: Shares) -> Self:
        """The service's split is `value`, whatever the file says; equal to the file's, there is no override.

        Unless a rollout has the service: an edit of the file must not become its split under its hands.
        """
        splits = {name: split for name, split in self.splits.items() if name != service}
        if service in self.courses or not same_shares(file, value):
            splits[service] = SplitOverride(file, value)
        return replace(self, splits=splits)

    def with_edits_of(self, service: str, before: Self) -> Self:
        """The override of the split as one of the value that the file had when the rollout began: edits since count."""
        mine, theirs, course = self.splits.get(service), before.splits.get(service), before.courses.get(service)
        file = course.file if course and course.file is not None else theirs and theirs.file
        if mine is None or file is None:
            return self
        return replace(self, splits={**self.splits, service: replace(mine, file=file)})

    def with_endpoint(self, override: EndpointOverride) -> Self:
        """One endpoint is there with this weight, or is not there, whatever the file says."""
        others = tuple(each for each in self.endpoints if endpoint_key(each) != endpoint_key(override))
        return replace(self, endpoints=others if override.is_as_in_the_file else (*others, override))

    def with_drain(self, drain: Drain) -> Self:
        """This pool or endpoint is to take nothing new."""
        return replace(self, drains=(*self._other_drains(drain), drain))

    def without_drain(self, service: str, pool: str, address: str | None) -> Self:
        """Back in; a pool with every one of its endpoints."""
        return replace(self, drains=self._other_drains(Drain(service, pool, address)))

    def with_epoch(self, service: str, pool: str) -> Self:
        """Sessions that were bound to the pool are so no longer."""
        of_service = self.epochs.get(service, {})
        return replace(self, epochs={**self.epochs, service: {**of_service, pool: of_service.get(pool, 0) + 1}})

    def with_past(self, service: str, past: Past) -> Self:
        """What `undo` brings back."""
        return replace(self, past={**self.past, service: past})

    def with_table(self, service: str, table: bytes | None) -> Self:
        """The service's bucket table; None where it has none any more."""
        tables = {name: data for name, data in self.tables.items() if name != service}
        return replace(self, tables=tables if table is None else {**tables, service: table})

    def with_course(self, service: str, course: Course | None) -> Self:
        """What a rollout has set up in the service; None once it lets go. What it has updated stays so."""
        before = self.courses.get(service)
        if course is not None and before is not None and before.rollout == course.rollout:
            course = replace(course, updated=before.updated, file=before.file, flags=before.flags)
        courses = {name: each for name, each in self.courses.items() if name != service}
        return replace(self, courses=courses if course is None else {**courses, service: course})

    def with_split_by_hand(self, service: str, file: Shares) -> Self:
        """A rollout's split is its own no longer: nothing is judged by it, and earlier edits of the file are past."""
        course = self.courses.get(service)
        if course is None:
            return self
        return replace(self, courses={**self.courses, service: replace(course, watch=None, file=file)})

    def with_flag(self, key: str, override: KeptOverride | None) -> Self:
        """What somebody wants of a flag; None for nothing."""
        flags = {name: each for name, each in self.flags.items() if name != key}
        return replace(self, flags=flags if override is None else {**flags, key: override})

    def with_held(self, service: str, key: str, held: HeldFlag) -> Self:
        """The rollout of the service has set this flag."""
        course = self.courses[service]
        course = replace(course, flags={**course.flags, key: held})
        return replace(self, courses={**self.courses, service: course})

    def with_updated(self, service: str, address: str) -> Self:
        """A rolling update has updated this endpoint of the service."""
        course = self.courses.get(service)
        if course is None or address in course.updated:
            return self
        return replace(self, courses={**self.courses, service: replace(course, updated=(*course.updated, address))})

    def _other_drains(self, drain: Drain) -> tuple[Drain, ...]:
        def is_other(each: Drain) -> bool:
            same_pool = (each.service, each.pool) == (drain.service, drain.pool)
            return not (same_pool and drain.address in (None, each.address))

        return tuple(filter(is_other, self.drains))


def endpoint_key(override: EndpointOverride) -> tuple[str, str, str]:
    """Which endpoint it is about."""
    return override.service, override.pool, override.address


def same_shares(one: Shares, other: Shares) -> bool:
    """Do two splits mean the same? 95 and 5 are 19 and 1, and a share of 0 is none."""
    return {k: v for k, v in exact_shares(one).items() if v} == {k: v for k, v in exact_shares(other).items() if v}
