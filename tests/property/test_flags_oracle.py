"""Our evaluator against flagd's official one in Python (generation v3), over generated rules and contexts."""

import json
import string
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.flags import cbor, definitions

core = pytest.importorskip("openfeature.contrib.tools.flagd.core", reason="the official evaluator is not installed")
contexts = pytest.importorskip("openfeature.evaluation_context")

KEYS = st.text(string.ascii_letters + "é雪", min_size=1, max_size=40)
SCALARS = st.one_of(st.booleans(), st.integers(-1000, 1000), st.text(string.printable, max_size=8))
READ = st.sampled_from(["region", "age", "email", "gone", "targetingKey", "$flagd.flagKey"]).map(
    lambda name: {"var": name}
)
PLAIN = st.one_of(READ, st.sampled_from(["eu", "us", "a@b.c", "", 18, 0]))


# Where one of the two is 0 or empty, the official evaluator's == is not JavaScript's: to it null is 0, and "" is not.
LOOSE = st.one_of(READ, st.sampled_from(["eu", "us", "a@b.c", 18]))


def _pair(name: str, of: Any = PLAIN) -> Any:
    return st.tuples(of, of).map(lambda pair: {name: list(pair)})


TESTS = st.one_of(
    *[_pair(name, LOOSE) for name in ("==", "!=")],
    *[_pair(name) for name in ("===", "starts_with", "ends_with")],
    READ.map(lambda read: {"in": [read, ["eu", "us"]]}),
    READ.map(lambda read: {"!": [read]}),
)
CONDITIONS = st.recursive(
    TESTS,
    lambda inner: st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3)).map(
        lambda pair: {pair[0]: pair[1]}
    ),
    max_leaves=5,
)
SHARES = st.lists(st.integers(0, 100), min_size=2, max_size=4).map(
    lambda weights: {"fractional": [[name, weight] for name, weight in zip("abcd", weights, strict=False)]}
)
ONE_OF_SHARES = st.tuples(READ, SHARES).map(lambda pair: {"fractional": [pair[0], *pair[1]["fractional"]]})
OUTCOMES = st.one_of(st.sampled_from(["a", "b", None]), SHARES, ONE_OF_SHARES)
RULES = st.one_of(
    SHARES, ONE_OF_SHARES, st.tuples(CONDITIONS, OUTCOMES, OUTCOMES).map(lambda parts: {"if": list(parts)})
)
EMAILS = st.text(string.ascii_letters + "@.é雪", min_size=1, max_size=9)
CONTEXTS = st.fixed_dictionaries(
    {"targetingKey": KEYS},
    optional={"region": st.sampled_from(["eu", "us", "asia"]), "age": st.integers(1, 99), "email": EMAILS},
)


@given(RULES, CONTEXTS)
def test_outcome_is_the_official_one(rule: dict[str, Any], context: dict[str, Any]) -> None:
    flag = {"state": "ENABLED", "variants": {name: name for name in "abcd"}, "defaultVariant": "d", "targeting": rule}
    document = {"flags": {"demo": flag}}
    ours = definitions.read(document).evaluate("demo", context, 0)
    assert (ours.variant, ours.reason) == official(document, context)


def official(document: dict[str, Any], context: dict[str, Any]) -> tuple[Any, Any]:
    """Variant and reason by the official evaluator."""
    evaluator = core.FlagdCore()
    evaluator.set_flags(json.dumps(document))
    rest = {name: value for name, value in context.items() if name != "targetingKey"}
    found = evaluator.resolve_string_value("demo", "?", contexts.EvaluationContext(context["targetingKey"], rest))
    return found.variant, str(getattr(found.reason, "value", found.reason))


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1), st.text()),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=30), inner, max_size=4),
        max_leaves=12,
    )
)
@example(["demo", "x" * 300])
def test_encoding_is_canonical_cbor(value: Any) -> None:
    assert cbor.encode(value) == cbor2.dumps(value, canonical=True)


@given(st.floats(allow_nan=False).filter(lambda value: not value.is_integer()))
def test_float_takes_its_shortest_form(value: float) -> None:
    assert cbor.encode(value) == cbor2.dumps(value, canonical=True)
