"""What flags cost: one rule of three conditions, v3's `fractional`, a route with one flag, and OFREP's answers.

    .venv/bin/python bench/flags.py     # on a quiet machine

Microseconds. A route with one flag is our own code between transports in memory, as in filters.py: all that a request
has more where the first route asks for a flag by key and region, and counts what came of it.
"""

import asyncio
import time
import timeit
from typing import Any

import msgspec
from hot_path import rig, run, varied

from proxy.flags import definitions
from proxy.flags.ofrep import PREFIX, Asked, Service
from proxy.flags.spec import ContextSource, Flags, FlagSettings, KeySource
from proxy.snapshot.document import Plugin, Route

CONTEXT = {
    "targetingKey": "user-1",
    "email": "a@b.c",
    "region": "eu",
    "age": 30,
    "plan": "pro",
    "n": 3,
    "ip": "::1",
    "x": 1,
}
THREE = {
    "if": [
        {"and": [{"==": [{"var": "region"}, "eu"]}, {">": [{"var": "age"}, 18]}, {"in": [{"var": "plan"}, ["pro"]]}]},
        "on",
        "off",
    ]
}
SHARES = {"fractional": [["on", 10], ["off", 90]]}


COUNT, ROUNDS, MANY = 600, 12, 20
REQUESTS = [varied(number) for number in range(COUNT)]
SETTINGS = FlagSettings(
    key_from=(KeySource("cookie", "sid"),), context={"region": ContextSource("header", "accept-language")}
)
"""Both are in every request of `varied`."""


def flag(targeting: dict[str, Any]) -> dict[str, Any]:
    """A flag of two variants with this rule."""
    return {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off", "targeting": targeting}


def best(work: Any, number: int) -> float:
    """Microseconds of one call, best of five."""
    return min(timeit.repeat(work, number=number, repeat=5)) / number * 1e6


def rule(targeting: dict[str, Any]) -> float:
    """Of one evaluation."""
    flags = definitions.read({"flags": {"f": flag(targeting)}})
    return best(lambda: flags.evaluate("f", CONTEXT, 1.0), 50_000)


def route(targeting: dict[str, Any]) -> float:
    """Of a request whose first route asks for the flag, above those of one without; in turns, as machines vary."""
    flags = Flags({"flags": {"f": flag(targeting)}}, SETTINGS)
    first = Route(match=(Plugin("flags", {"value": {"f": "on"}}),), service="bench")
    loop = asyncio.new_event_loop()
    rigs = [rig(loop), rig(loop, flagged=(flags, first))]
    least = [1e9, 1e9]
    for _ in range(ROUNDS):
        for position, each in enumerate(rigs):
            began = time.process_time()
            run(*each, REQUESTS)
            least[position] = min(least[position], time.process_time() - began)
    return (least[1] - least[0]) / COUNT * 1e6


def ofrep(path: str) -> float:
    """Of an answer to a client that asks for one of many flags, or all of them."""
    flags = definitions.read({"flags": {f"f{number}": flag(THREE) for number in range(MANY)}})
    asked = Asked("POST", path, {}, msgspec.json.encode({"context": CONTEXT}))
    service = Service(flags, "1")
    assert service.answer(asked, {}, 1.0).status == 200
    return best(lambda: service.answer(asked, {}, 1.0), 2_000)


if __name__ == "__main__":
    print(f"three conditions      {rule(THREE):6.2f} us (at most 2)")
    print(f"fractional, v3        {rule(SHARES):6.2f} us (at most 3)")
    print(f"a route with one flag {route(THREE):6.2f} us (at most 5); by fractional, v3: {route(SHARES):.2f}")
    print(f"OFREP, one flag       {ofrep(f'{PREFIX}/f0'):6.2f} us; all of {MANY}: {ofrep(PREFIX):.2f}")
