"""What one evaluation costs: a rule of three conditions, and v3's `fractional`. Best of five, microseconds."""

import timeit
from typing import Any

from proxy.flags import definitions

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


def cost(targeting: dict[str, Any]) -> float:
    """Microseconds of one evaluation."""
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off", "targeting": targeting}
    flags = definitions.read({"flags": {"f": flag}})
    return min(timeit.repeat(lambda: flags.evaluate("f", CONTEXT, 1.0), number=50_000, repeat=5)) / 50_000 * 1e6


if __name__ == "__main__":
    print(f"three conditions  {cost(THREE):.2f} us (at most 2)")
    print(f"fractional, v3    {cost(SHARES):.2f} us (at most 3)")
