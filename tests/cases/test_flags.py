"""Published cases for flags: JsonLogic's triples, flagd's evaluator features and schemas, OFREP's examples."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.flags import checks, definitions
from proxy.flags.coercion import truthy
from proxy.flags.definitions import FlagSet
from proxy.flags.engine import Compiler
from proxy.flags.evaluation import Evaluation
from proxy.flags.ofrep import Asked, Service

FOLDER = Path(os.environ.get("SLUICE_CASES", "/nowhere")) / "flags"
TESTBED, SCHEMAS = FOLDER / "flagd-testbed/evaluator", FOLDER / "flagd-schemas/json/test"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="$SLUICE_CASES names no folder of published cases")
PARSE = {"Integer": int, "Float": float, "String": str, "Boolean": lambda text: text == "true"}
LISTED = "flags/negative/with-array-flags.json"  # refused for providers only: flagd itself takes a list


def triples() -> list[Any]:
    path = FOLDER / "jsonlogic/tests.json"
    return [row for row in json.loads(path.read_text()) if isinstance(row, list)] if path.exists() else []


@pytest.mark.parametrize("triple", triples(), ids=lambda row: json.dumps(row[:2])[:60])
def test_jsonlogic_triple_comes_out(triple: list[Any]) -> None:
    rule, data, expected = triple
    found = Compiler().compile(rule)(data)
    assert (found, isinstance(found, bool)) == (expected, isinstance(expected, bool))


def documents() -> list[Path]:
    return sorted(SCHEMAS.glob("*/*/*.json"))


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(SCHEMAS)))
def test_schema_document_is_judged_as_published(path: Path) -> None:
    found = json.loads(path.read_text())
    of_rule = "targeting" in path.parts
    problems = list(checks.rule(found, (), {"some-ref": {}})) if of_rule else definitions.read(found).problems
    wanted = "negative" in path.parts and not str(path).endswith(LISTED)
    assert bool(problems) == wanted, problems


def scenarios() -> list[Any]:
    rows = []
    for path in sorted(TESTBED.glob("gherkin/*.feature")):
        for place, (generations, steps) in enumerate(_feature(path.read_text().splitlines())):
            rows += [pytest.param(each, steps, id=f"{path.stem}-{place}-{each}") for each in generations]
    return rows


def _feature(lines: list[str]) -> list[tuple[tuple[str, ...], list[str]]]:
    """Every example of every scenario, with the generations that its tags name; v1 is not ours."""
    made, steps, tags, own, header, background = [], [], [], [], None, []
    inside = plain = False
    for line in [*(line.strip() for line in lines), "Scenario: end"]:
        if line.startswith("@"):
            tags += line.split()
        elif line.startswith(("Scenario", "Background", "Feature")):
            if plain and steps:
                made.append((_generations(own), background + steps))
            if inside is None:
                background = steps
            inside = None if line.startswith("Background") else True
            plain, own, tags, steps = line.startswith("Scenario:"), tags, [], []
        elif line.startswith("Examples"):
            header, examples, tags = [], own + tags, []
        elif line.startswith("|") and header is not None:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if header:
                filled = [_fill(step, dict(zip(header, cells, strict=True))) for step in steps]
                made.append((_generations(examples), background + filled))
            header = header or cells
        elif re.match(r"Given|And|When|Then|\|", line):
            header = None
            steps.append(line)
    return made


def _fill(step: str, row: dict[str, str]) -> str:
    for name, value in row.items():
        step = step.replace(f"<{name}>", value)
    return step


def _generations(tags: list[str]) -> tuple[str, ...]:
    named = tuple(each for each in ("v2", "v3") if f"@fractional-{each}" in tags)
    return named or (() if "@fractional-v1" in tags else ("v2", "v3"))


@pytest.mark.parametrize(("generation", "steps"), scenarios())
def test_flagd_scenario_holds(generation: Any, steps: list[str]) -> None:
    document = json.loads((TESTBED / "flags/testkit-flags.json").read_text())
    assert Stage(definitions.read(document, generation)).play(steps) > 0


class Stage:
    """Plays the steps of one scenario; counts what it has asserted."""

    def __init__(self, flags: FlagSet) -> None:
        self.flags, self.context, self.asserted = flags, {}, 0
        self.kind, self.key, self.fallback = "", "", ""
        self.found = Evaluation()

    def play(self, steps: list[str]) -> int:
        for step in steps:
            quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', step)
            self._given(step, quoted)
            self._then(step, quoted)
        return self.asserted

    def _given(self, step: str, quoted: list[str]) -> None:
        if match := re.search(r"an? (\w+)-flag with key", step):
            self.kind, (self.key, self.fallback) = match[1], quoted
        elif "targeting key with value" in step:
            self.context["targetingKey"] = quoted[0]
        elif "nested property" in step:
            self.context[quoted[0]] = {quoted[1]: quoted[2]}
        elif "context containing a key" in step:
            self.context[quoted[0]] = PARSE[quoted[1]](quoted[2])
        elif step.startswith("When"):
            self.found = self.flags.evaluate(self.key, self.context, 1_700_000_000)

    def _then(self, step: str, quoted: list[str]) -> None:
        if "details value should be" in step:
            self._equal(self.found.value if self.found.variant is not None else self._typed(self.fallback), quoted[0])
        elif "reason should be" in step:
            self._check(self.found.reason == quoted[0])
        elif "error-code should be" in step:
            self._check((self.found.error_code or self._mismatch()) == quoted[0])
        elif "metadata is empty" in step:
            self._check(not self.found.metadata)
        elif step.startswith("|") and "metadata_type" not in step:
            key, kind, value = (cell.strip() for cell in step.strip("|").split("|"))
            self._check(self.found.metadata[key] == PARSE[kind](value))
        elif "metadata should contain" in step:
            self._check(truthy(dict(self.found.metadata)))

    def _equal(self, value: Any, text: str) -> None:
        self._check(value == self._typed(text))

    def _check(self, holds: bool) -> None:
        assert holds, self.found
        self.asserted += 1

    def _typed(self, text: str) -> Any:
        return json.loads(text.replace('\\"', '"')) if self.kind == "Object" else PARSE[self.kind](text)

    def _mismatch(self) -> str | None:
        return None if isinstance(self.found.value, type(self._typed(self.fallback))) else "TYPE_MISMATCH"


def test_ofrep_examples_are_answered() -> None:
    api = yaml.safe_load((FOLDER / "ofrep/service/openapi.yaml").read_text())
    post = api["paths"]["/ofrep/v1/evaluate/flags/{key}"]["post"]
    example = post["requestBody"]["content"]["application/json"]["schema"].get("example") or {
        "context": {"targetingKey": "u", "email": "user@example.com"}
    }
    document = {"flags": {"discount-banner": {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}}}
    service = Service(definitions.read(document), "1")
    body = json.dumps(example).encode()
    for key, status in (("discount-banner", 200), ("gone", 404)):
        answer = service.answer(Asked("POST", f"/ofrep/v1/evaluate/flags/{key}", {}, body), {}, 0)
        assert answer.status == status
        assert str(status) in post["responses"]
