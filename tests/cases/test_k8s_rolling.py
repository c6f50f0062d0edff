"""Kubernetes' own tables of what a percentage of a fleet is, against ours."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from proxy.rollouts.waves import fenceposts, most_unavailable

SOURCE = "judge/k8s-rolling/rolling-update-tables.json"


def _table(name: str) -> list[Any]:
    folder = os.environ.get("SLUICE_CASES")
    if not folder:
        return [pytest.param(None, marks=pytest.mark.skip("$SLUICE_CASES names no folder of published cases"))]
    rows: list[Any] = json.loads((Path(folder) / SOURCE).read_text())[name]
    return rows


@pytest.mark.parametrize("row", _table("resolveFenceposts"))
def test_fenceposts_are_kubernetes(row: dict[str, Any]) -> None:
    given = (row["maxSurge"] or 0, row["maxUnavailable"] or 0, row["desired"])
    if row.get("error"):
        with pytest.raises(ValueError, match="is not a number of endpoints"):
            fenceposts(*given)
    else:
        assert fenceposts(*given) == (row["surge"], row["unavailable"])


@pytest.mark.parametrize("row", _table("maxUnavailable"))
def test_most_unavailable_is_kubernetes(row: dict[str, Any]) -> None:
    assert most_unavailable(row["v"], row["replicas"]) == row["expected"]
