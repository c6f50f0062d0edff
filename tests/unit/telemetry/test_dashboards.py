"""The dashboard and the alert rules speak of metrics and labels that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from proxy.telemetry.exposition import PoolNow, Sight, exposition
from proxy.telemetry.histogram import Histogram
from proxy.telemetry.report import Durations, FlagReport, PoolReport, WorkerReport
from proxy.telemetry.rollouts import RolloutNow
from proxy.telemetry.totals import Totals

CONFIG = Path(__file__).parents[3] / "config"
NAME = re.compile(r"\b(sluice_[a-z_]+)(?:\{([^}]*)\})?")
LABEL = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)")
ROLLOUT = RolloutNow("r", "s", "running", requests={"p": 1}, events={("p", "errors"): 1}, ended={"aborted": 1})
ADDED = {"instance", "job"}  # by Prometheus itself


def known() -> dict[str, set[str]]:
    """Every sample's name with its labels."""
    durations = Durations.of(Histogram())
    totals = Totals()
    pool = PoolReport("s", "p", (0, 0, 1, 0, 0, 0), durations, durations, {"try_timeout": 1})
    flag = FlagReport("f", "on", 1, (0, 0, 1, 0, 0, 0), durations)
    totals.add(WorkerReport((pool,), (), (0,) * 6, {"no_route": 1}, {}, 0, flags=(flag,)))
    now = {("s", "p"): PoolNow(is_draining=True, endpoints={"up": 1})}
    sight = Sight(totals, now, {"a": 1}, {"ready": 1}, {"applied": 1}, 1, 0, "1", "plain", (ROLLOUT,), {"f": 1})
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exposition(sight).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions() -> Iterator[str]:
    dashboard = json.loads((CONFIG / "grafana/sluice.json").read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    yield from (each["expr"] for each in dashboard["annotations"]["list"])
    yield from (each["query"]["query"] for each in dashboard["templating"]["list"] if each["type"] == "query")
    rules = yaml.safe_load((CONFIG / "alerts.yaml").read_text())
    yield from (rule["expr"] for group in rules["groups"] for rule in group["rules"])


@pytest.mark.parametrize("expression", list(expressions()))
def test_expression_names_what_there_is(expression: str) -> None:
    samples = known()
    names = NAME.findall(expression)
    assert names
    grouped = {label for by in re.findall(r"(?:by|on) \(([^)]*)\)", expression) for label in by.split(", ")}
    for name, selector in names:
        assert name in samples
        assert set(LABEL.findall(selector)) <= samples[name] | ADDED
        assert grouped - ADDED <= set().union(*(samples[each] for each, _ in names))


def test_every_metric_is_on_the_dashboard() -> None:
    dashboard = (CONFIG / "grafana/sluice.json").read_text()
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in known()}
    assert not {name for name in families if name not in dashboard}
