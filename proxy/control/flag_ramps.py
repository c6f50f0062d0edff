"""Flags that rollouts have a hand on: set beside the split, held against edits, and given back. Pure."""

from collections.abc import Iterator, Mapping

from proxy.control.flag_overrides import KeptOverride, definitions, digest, said
from proxy.control.state import Course, HeldFlag, State
from proxy.flags.spec import Flags


def taken(state: State, service: str, key: str, kept: KeptOverride) -> State:
    """The rollout of this service has set the flag so; what it was before the first time is remembered."""
    course = state.courses[service]
    held = course.flags.get(key)
    before = state.flags.get(key) if held is None else held.before
    return state.with_held(service, key, HeldFlag(kept.value, before)).with_flag(key, kept)


def problem(state: State, service: str, key: str) -> str | None:
    """Why the rollout of this service must not set the flag now; None where it may."""
    if service not in state.courses:
        return f"no rollout has the service {service} any more"
    other = next((each.rollout for name, each in state.courses.items() if name != service and key in each.flags), None)
    if other is not None:
        return f"flag {key} is with rollout {other}; end that"
    kept = state.flags.get(key)
    if kept is not None and kept.value.killed:
        return f"flag {key} is killed, which no rollout lifts; clear it, then resume"
    return None


def given_back(state: State, flags: Mapping[str, HeldFlag]) -> State:
    """These flags as they were before a rollout; what is killed stays killed."""
    for key, held in flags.items():
        kept = state.flags.get(key)
        if kept is None or not kept.value.killed:
            state = state.with_flag(key, held.before)
    return state


def edited(flags: Flags | None, state: State, course: Course) -> Iterator[str]:
    """The flags that the file has defined anew since a rollout has set them."""
    known = definitions(flags)
    for key, held in course.flags.items():
        kept = state.flags.get(key)
        if kept is not None and kept.value == held.value and key in known and kept.of != digest(known[key]):
            yield key


def changed(state: State, course: Course) -> Iterator[str]:
    """The flags that are not as a rollout has set them, as somebody has set them otherwise."""
    for key, held in course.flags.items():
        kept = state.flags.get(key)
        if kept is None or kept.value != held.value:
            yield key


def foreign(flags: Flags | None, state: State, course: Course) -> str:
    """Why a flag is not what a rollout has set; empty where all are."""
    for key in changed(state, course):
        kept = state.flags.get(key)
        return f"flag {key} was killed" if kept and kept.value.killed else f"flag {key} was changed by hand"
    for key in edited(flags, state, course):
        return f"flag {key} was edited in the file; that stands when this is aborted, and resume goes on without it"
    return ""


def described(state: State, key: str) -> str:
    """How a flag stands, in a few words."""
    kept = state.flags.get(key)
    return said(kept.value if kept else None)
