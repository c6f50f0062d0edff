"""Match key `flags`."""

from dataclasses import dataclass

from proxy.http1.facts import Facts
from proxy.routing.matches.one_or_more import OneOrMore, as_tuple, listed
from proxy.routing.matches.registry import MATCHES, Place, Test


@MATCHES.register("flags")
@dataclass(frozen=True, slots=True)
class Flags:
    """Feature flags, by key: the name of the variant that the request has, or a list of them.

    A flag that is killed, disabled or fails has no variant, and matches nothing.
    """

    value: dict[str, OneOrMore]

    def __post_init__(self) -> None:
        if not self.value:
            raise ValueError("no flag is named; name one, or leave the key out")
        for variants in self.value.values():
            as_tuple(variants, "variants")

    def compile(self, place: Place) -> Test:
        known = place.flags.flags if place.flags is not None else {}
        for key, variants in self.value.items():
            flag = known.get(key)
            if flag is None:
                raise ValueError(f"there is no flag {key!r}; there is {', '.join(known) or 'none'}")
            for variant in as_tuple(variants, "variants"):
                if variant not in flag.variants:
                    raise ValueError(f"{variant!r} is no variant of flag {key}; there is {', '.join(flag.variants)}")
        tests = tuple((key, frozenset(as_tuple(variants, "variants"))) for key, variants in self.value.items())
        if len(tests) == 1:
            ((only, wanted),) = tests
            return lambda facts: facts.flagged.outcome(only, facts).variant in wanted
        return lambda facts: _all(tests, facts)

    def describe(self) -> str:
        return " and ".join(f"flag {key} is {listed(as_tuple(each, 'variants'))}" for key, each in self.value.items())


def _all(tests: tuple[tuple[str, frozenset[str]], ...], facts: Facts) -> bool:
    flagged = facts.flagged
    return all(flagged.outcome(key, facts).variant in wanted for key, wanted in tests)
