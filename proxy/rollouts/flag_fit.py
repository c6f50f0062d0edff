"""Whether the flags that steps name are there, and are such that a step can do what it says. Pure."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from proxy.flags.spec import FlagOverride
from proxy.rollouts.step import RouteTo, SetFlag, Step

if TYPE_CHECKING:
    from proxy.flags.definitions import FlagSet


def unfit_flags(steps: Sequence[Step], made: "FlagSet | None") -> Iterator[tuple[int, str]]:
    """Steps whose flags cannot be what they are to be, by position, with what is wrong."""
    for position, step in enumerate(steps):
        for act in step.begin():
            if isinstance(act, SetFlag):
                yield from ((position, each) for each in _unfit_percent(act, made))
            elif isinstance(act, RouteTo):
                cohort = act.match.get("flags", {}).items()
                yield from ((position, each) for key, variant in cohort for each in _unfit_variant(key, variant, made))


def _unfit_percent(act: SetFlag, made: "FlagSet | None") -> Iterator[str]:
    if made is None or act.key not in made.flags:
        yield _unknown(act.key, made)
        return
    from proxy.flags.overrides import refused  # noqa: PLC0415 - 1.3 MiB for who has no flags

    why = refused(made, act.key, FlagOverride(percent=act.percent, to=act.to))
    if why is not None:
        yield f"flag {act.key}: {why}"


def _unfit_variant(key: str, variant: str, made: "FlagSet | None") -> Iterator[str]:
    if made is None or key not in made.flags:
        yield _unknown(key, made)
    elif variant not in made.flags[key].variants:
        yield f"{variant!r} is no variant of flag {key}; there is {', '.join(made.flags[key].variants)}"


def _unknown(key: str, made: "FlagSet | None") -> str:
    known = ", ".join(made.flags) if made is not None else ""
    return f"there is no flag {key!r}; {f'there is {known}' if known else 'define it under flags or flag_rules'}"
