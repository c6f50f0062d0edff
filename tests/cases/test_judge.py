"""Numbers that others published for anytime-valid tests, and their judges' known mistakes, against our judge.

Spinnaker's other vectors are of a rank test on time series, and Argo's of counting failed measurements and of numbers
of replicas: methods that the judge does not have. What of them has a counterpart is that a run without data may end
as a success there, and never here.
"""

import json
import os
from math import exp, log
from pathlib import Path
from typing import Any

import pytest

from proxy.rollouts.analysis import Judge, evalues
from proxy.rollouts.evidence import Epoch, Evidence, Recent, Tally
from proxy.rollouts.judging import Judging

FOLDER = os.environ.get("SLUICE_CASES")
pytestmark = pytest.mark.skipif(not FOLDER, reason="$SLUICE_CASES names no folder of published cases")


def _read(name: str) -> Any:
    return json.loads((Path(FOLDER or "") / "judge" / name).read_text()) if FOLDER else {}


def test_p_value_of_a_canary_is_savvis() -> None:
    case = _read("savvi/extracted/inhomogeneous-poisson-canary.json")
    draws, share = case["optional_stop_n"], case["rho"][1]
    values = [exp(-evalues.uneven(share, mine, draws - mine, case["dirichlet_k"])) for mine in range(draws + 1)]
    assert min(values, key=lambda each: abs(each - case["p_value"])) == pytest.approx(case["p_value"], rel=1e-12)


def test_mixture_is_confseqs() -> None:
    case = _read("confseq/extracted/uniform-boundaries.json")
    found = case["beta_binomial_two_sided_g.2_h.8"]
    down, up, spread = 0.2, 0.8, 100  # a step is 0.8 for an event of probability 0.2, else -0.2; its variance 0.16
    prior = (case["two_sided_normal"]["best_rho"] - down * up) / (down * up)
    draws = spread / (down * up)

    def mixture(above: float) -> float:
        return evalues.uneven(down, down * draws + above, up * draws - above, prior)

    tolerance = case["tolerance"]
    assert mixture(10) == pytest.approx(found["log_mixture(10,100)"], abs=tolerance)
    assert mixture(found["bound(100)"]) == pytest.approx(-log(case["constants"]["alpha"]), abs=10 * tolerance)


def _intervals() -> list[Any]:
    return _read("confseq/extracted/uniform-boundaries.json").get("bernoulli_ci(k,n,alpha,t_opt)", [])


@pytest.mark.parametrize(("bad", "requests", "alpha", "tuned_for", "low", "high"), _intervals())
def test_limit_of_a_rate_is_as_close_as_confseqs(
    bad: int, requests: int, alpha: float, tuned_for: int, low: float, high: float
) -> None:
    """Another mixture, not tuned for one number of draws, so not the same; near it, and above what was seen."""
    assert tuned_for
    found = evalues.upper(bad, requests, alpha / 2)
    assert bad / requests < found or bad == requests
    assert low < found == pytest.approx(high, abs=0.06)


def _of(control: Tally, experiment: Tally) -> Evidence:
    recent = Recent(experiment.requests, experiment.bad)
    return Evidence((Epoch(0, 0, 0.5, control, experiment),), candidate=recent)


def _misjudged() -> dict[int, Any]:
    return {case["issue"]: case for case in _read("kayenta/reported-failures.json").get("cases", [])}


def test_errors_where_there_were_none_are_never_safe_and_soon_harm() -> None:
    case = _misjudged()[426]
    errors, windows, each = sum(case["experiment"]), len(case["experiment"]), 20
    verdicts = []
    for times in range(1, 5):
        requests = times * windows * each
        control, bad = Tally(requests, 0, events=(0,)), errors * times
        verdicts.append(Judge(Judging()).verdict(_of(control, Tally(requests, bad, events=(bad,))), 0).kind)
    assert set(verdicts[:1]) == {"not_yet"}
    assert verdicts[-1] == "harm"
    assert "safe" not in verdicts


def test_latencies_that_are_others_with_the_same_middle_are_harm() -> None:
    case = _misjudged()[780]
    threshold = 9.5
    judge = Judge(Judging(slower_than=(threshold,)))

    def tally(seconds: list[float]) -> Tally:
        slow = 20 * sum(each > threshold for each in seconds)
        return Tally(20 * len(seconds), 0, (slow,), (0, slow))

    verdict = judge.verdict(_of(tally(case["control"]), tally(case["experiment"])), 0)
    assert verdict.kind == "harm"
    assert "slower than 9500ms for 100.0 % of 300" in verdict.sentence


def test_without_data_nothing_is_a_success() -> None:
    cases = _read("argo/analysis-verdict-table.json")["cases"]
    assert [each for each in cases if each["expectTerminating"] == "Successful"]  # by counting failures, of which none
    nothing = Tally(0, 0, events=(0,))
    assert Judge(Judging()).verdict(_of(nothing, nothing), 0).kind == "not_yet"
