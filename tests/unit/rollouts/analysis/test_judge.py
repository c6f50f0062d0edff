from dataclasses import replace
from random import Random
from typing import Any

import pytest

from proxy.rollouts.analysis import Judge
from proxy.rollouts.evidence import Epoch, Evidence, Recent, Tally
from proxy.rollouts.judging import Harm, Judging, Safe

JUDGE = Judge(Judging(), "blue", "canary")


def tally(requests: int, bad: int = 0, *slow: int, sights: int | None = None) -> Tally:
    return Tally(requests, bad, slow, (bad, *slow), requests if sights is None else sights)


def epoch(share: float, stable: Tally, candidate: Tally, step: int = 0) -> Epoch:
    return Epoch(step, step, share, stable, candidate)


def evidence(*epochs: Epoch, **more: Any) -> Evidence:
    return Evidence(epochs, **more)


def test_nothing_seen_is_not_yet() -> None:
    verdict = JUDGE.verdict(evidence(), 0)
    assert (verdict.kind, verdict.sentence) == ("not_yet", "nothing was seen yet")


def test_harm_says_how_bad_and_how_sure() -> None:
    verdict = JUDGE.verdict(evidence(epoch(0.05, tally(79_800, 718), tally(4_210, 131))), 0)
    assert verdict.kind == "harm"
    assert verdict.sentence.startswith(
        "canary fails 3.1 % of 4,210, blue 0.9 % of 79,800; by chance at any time so far less often than 1 in "
    )
    assert verdict.numbers["harm"] > 100
    assert not verdict.only_pauses


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_equal_error_rates_are_no_harm_and_become_safe(share: float) -> None:
    requests = 40_000 if share != 0.5 else 20_000
    mine, theirs = int(requests * share), int(requests * (1 - share))
    verdict = JUDGE.verdict(evidence(epoch(share, tally(theirs, theirs // 50), tally(mine, mine // 50))), 0)
    assert verdict.kind == "safe"


def test_two_that_never_fail_are_safe_after_about_a_thousand_requests() -> None:
    before = JUDGE.verdict(evidence(epoch(0.05, tally(19_000), tally(948))), 0)
    after = JUDGE.verdict(evidence(epoch(0.05, tally(19_000), tally(949))), 0)
    assert (before.kind, after.kind) == ("not_yet", "safe")


@pytest.mark.parametrize(("users", "kind"), [(20_000, "safe"), (6_000, "safe"), (5_000, "not_yet")])
def test_users_who_have_nearly_all_failed_once_do_not_tell_that_it_is_safe(users: int, kind: str) -> None:
    """Where each counts once, both pools come to the same share of them, however differently they fail."""
    stable = tally(90_000, 450, sights=users * 9 // 10)
    candidate = tally(10_000, 60, sights=users // 10)
    assert JUDGE.verdict(evidence(epoch(0.1, stable, candidate), sticky=True), 0).kind == kind
    assert JUDGE.verdict(evidence(epoch(0.1, stable, candidate)), 0).kind == "safe"


def test_safe_begins_anew_with_each_split() -> None:
    first, second = epoch(0.05, tally(40_000), tally(2_000)), epoch(0.25, tally(300), tally(100), step=2)
    assert JUDGE.verdict(evidence(first, second), 0).kind == "safe"
    assert JUDGE.verdict(evidence(first, second), 2).kind == "not_yet"


def test_safe_needs_every_criterion() -> None:
    judge = Judge(Judging(slower_than=(0.25,)))
    fast = epoch(0.5, tally(4_000, 0, 40), tally(4_000, 0, 40))
    slow = epoch(0.5, tally(4_000, 0, 40), tally(4_000, 0, 48))
    assert judge.verdict(evidence(fast), 0).kind == "safe"
    assert judge.verdict(evidence(slow), 0).kind == "not_yet"


def test_being_slow_is_harm_too() -> None:
    judge = Judge(Judging(slower_than=(0.25, 1.0)), "blue", "canary")
    verdict = judge.verdict(evidence(epoch(0.1, tally(9_000, 0, 90, 0), tally(1_000, 0, 90, 0))), 0)
    assert verdict.kind == "harm"
    assert verdict.sentence.startswith("canary is slower than 250ms for 9.0 % of 1,000, blue for 1.0 % of 9,000; ")


def test_late_harm_is_seen_after_a_long_healthy_time() -> None:
    healthy = epoch(0.5, tally(500_000, 5_000), tally(500_000, 5_000))
    broken = epoch(0.5, tally(5_000, 50), tally(5_000, 250), step=2)
    assert JUDGE.verdict(evidence(healthy), 0).kind == "safe"
    assert JUDGE.verdict(evidence(healthy, broken), 2).kind == "harm"


def test_tolerance_is_what_may_be_worse() -> None:
    found = evidence(epoch(0.5, tally(10_000, 100), tally(10_000, 160)))
    assert JUDGE.verdict(found, 0).kind == "harm"
    assert Judge(Judging(errors=Harm(ratio=1.5))).verdict(found, 0).kind == "not_yet"


@pytest.mark.parametrize(
    ("judging", "recent", "sentence"),
    [
        (Judging(error_rate=0.05), Recent(100, 5), None),
        (Judging(error_rate=0.05), Recent(99, 50), None),
        (Judging(error_rate=0.05), Recent(100, 6), "canary fails 6.0 % of 100 in 1m, more than 5%"),
        (Judging(p99=0.5), Recent(100, 0, 0.5), None),
        (Judging(p99=0.5), Recent(100, 0, 0.75), "the p99 of canary is 750 ms in 1m, more than 500ms"),
        (Judging(), Recent(19, 19, None, 19), None),
        (Judging(), Recent(20, 20, None, 20), "canary could not be connected to 20 times in a row"),
    ],
)
def test_guards_are_broken_by_more_than_they_say(judging: Judging, recent: Recent, sentence: str | None) -> None:
    verdict = Judge(judging, "blue", "canary").verdict(evidence(candidate=recent), 0)
    assert verdict.kind == ("not_yet" if sentence is None else "harm")
    assert sentence is None or verdict.sentence == sentence
    assert verdict.at_once is (recent.connect_failures >= 20)


FROZEN = Judging(slower_than=(0.25, 1.0), error_rate=0.1)
BEFORE = epoch(0.1, tally(9_000, 9, 90, 9), tally(1_000, 1, 10, 1))
BROKEN = Recent(1_000, 101)
SINCE = " of 5,000 since it has all of the traffic, "

AFTER = [
    (tally(5_000, 5, 50, 5), Recent(), "not_yet", ""),
    (tally(5_000, 250, 50, 5), Recent(), "pauses", f"canary fails 5.0 %{SINCE}blue failed 0.1 % of 9,000 before; "),
    (
        tally(5_000, 5, 450, 5),
        Recent(),
        "pauses",
        f"canary is slower than 250ms for 9.0 %{SINCE}blue was for 1.0 % of ",
    ),
    (tally(5_000, 5, 50, 50), Recent(), "pauses", f"canary is slower than 1s for 1.0 %{SINCE}blue was for 0.1 % of "),
    (tally(5_000, 250, 50, 5), Recent(1_000, 100), "pauses", "canary fails 5.0 % of 5,000 since "),
    (tally(5_000, 250, 50, 5), BROKEN, "ends", "canary fails 10.1 % of 1,000 in 1m, more than 10%"),
    (tally(5_000, 5, 450, 5), BROKEN, "ends", "canary fails 10.1 % of 1,000 in 1m, more than 10%"),
    (tally(99, 50, 50, 50), Recent(), "not_yet", ""),
]


@pytest.mark.parametrize(("alone", "recent", "kind", "sentence"), AFTER)
def test_after_all_of_the_traffic_the_frozen_rates_pause_and_only_a_guard_ends_it(
    alone: Tally, recent: Recent, kind: str, sentence: str
) -> None:
    found = evidence(BEFORE, epoch(1.0, tally(0), alone, step=2), candidate=recent)
    verdict = Judge(FROZEN, "blue", "canary").verdict(found, 2)
    assert (verdict.kind, verdict.only_pauses) == ("not_yet" if kind == "not_yet" else "harm", kind == "pauses")
    assert verdict.sentence.startswith(sentence)
    assert verdict.sentence.endswith("; that is no comparison at the same time") is verdict.only_pauses


def test_few_requests_before_are_no_rate_to_compare_with() -> None:
    alone = epoch(1.0, tally(0), tally(5_000, 5_000), step=2)
    assert JUDGE.verdict(evidence(epoch(0.1, tally(99), tally(10)), alone), 2).kind == "not_yet"
    assert JUDGE.verdict(evidence(epoch(0.0, tally(900), tally(0)), alone), 2).only_pauses


def test_holdback_is_a_comparison_and_takes_the_traffic_back() -> None:
    verdict = JUDGE.verdict(evidence(BEFORE, epoch(0.99, tally(50), tally(5_000, 1_000), step=2)), 2)
    assert (verdict.kind, verdict.only_pauses) == ("harm", False)


def test_one_user_who_always_fails_and_comes_with_the_rest_is_no_rate() -> None:
    before = epoch(0.5, tally(50_000, 0), tally(50_000, 0))
    alone = epoch(1.0, tally(0), Tally(100_000, 1_000, (), (1,), 0), step=2)
    assert JUDGE.verdict(evidence(before, alone, sticky=True), 2).kind == "not_yet"
    many = epoch(1.0, tally(0), Tally(100_000, 1_000, (), (100,), 0), step=2)
    verdict = JUDGE.verdict(evidence(before, many, sticky=True), 2)
    assert verdict.only_pauses
    assert "before, each user counted once; " in verdict.sentence


def test_nothing_becomes_safe_without_a_comparison() -> None:
    before, alone = epoch(0.1, tally(9_000), tally(1_000)), epoch(1.0, tally(0), tally(50_000), step=2)
    assert JUDGE.verdict(evidence(before, alone), 2).kind == "not_yet"


def test_split_that_is_not_kept_is_told() -> None:
    fair = evidence(epoch(0.1, tally(9_000), tally(1_000)))
    unfair = evidence(epoch(0.1, tally(8_500), tally(1_500)))
    assert JUDGE.alarm(fair) is None
    told = JUDGE.alarm(unfair)
    assert told is not None
    assert told.startswith(
        "canary was to get 0.1 of the requests and got 0.15 of 10,000; by chance less often than 1 in "
    )
    few = evidence(epoch(0.1, tally(99, sights=99), tally(100, sights=100)), sticky=True)
    assert JUDGE.alarm(few) is None
    assert JUDGE.alarm(replace(few, sticky=False)) is not None


def _simulated(risk: float, base: float, seed: int, *, share: float = 0.1, most: int = 20_000) -> tuple[str, int]:
    random, counts = Random(seed), [[0, 0], [0, 0]]  # noqa: S311 - a simulation
    for number in range(1, most + 1):
        is_candidate = random.random() < share
        is_bad = random.random() < base * (risk if is_candidate else 1)
        counts[is_candidate][0] += 1
        counts[is_candidate][1] += is_bad
        if is_bad:
            found = evidence(epoch(share, tally(*counts[0]), tally(*counts[1])))
            verdict = JUDGE.verdict(found, 0)
            if verdict.kind != "not_yet":
                return verdict.kind, number
    return "not_yet", most


def test_simulated_candidates_are_judged_rightly() -> None:
    equal = [_simulated(1.0, 0.01, seed)[0] for seed in range(20)]
    bad = sorted(_simulated(10.0, 0.01, seed) for seed in range(20))
    assert equal.count("harm") == 0
    assert [kind for kind, _ in bad] == ["harm"] * 20
    assert sorted(number for _, number in bad)[10] < 1_500


def test_options_reach_the_tests() -> None:
    found = evidence(epoch(0.5, tally(300), tally(300)))
    assert Judge(Judging(safe=Safe(or_below=0.05))).verdict(found, 0).kind == "safe"
    assert JUDGE.verdict(found, 0).kind == "not_yet"


@pytest.mark.parametrize(("requests", "kind"), [(99, "not_yet"), (948, "not_yet"), (949, "safe"), (3_000, "safe")])
def test_two_without_any_error_are_safe_within_3000_requests(requests: int, kind: str) -> None:
    assert JUDGE.verdict(evidence(epoch(0.05, tally(19 * requests), tally(requests))), 0).kind == kind
