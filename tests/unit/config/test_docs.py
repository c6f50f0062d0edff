"""The documentation: its configurations are valid, its links lead somewhere, and it leaves nothing out."""

import re
from pathlib import Path
from textwrap import indent

import pytest
import typer.main

from proxy.cli.filter_list import options_of
from proxy.cli.main import app
from proxy.config.load import load_text
from proxy.config.schema import schema
from proxy.dataplane.replies import REPLIES
from proxy.filters import FILTERS
from proxy.telemetry.exposition import PoolNow, Sight, exposition
from proxy.telemetry.totals import MirrorTotals, Totals

ROOT = Path(__file__).parents[3]
PAGES = (ROOT / "README.md", ROOT / "bench/README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
FENCE = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)

by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def whole_configurations() -> list[tuple[str, str]]:
    """Those that have listeners; others show a part."""
    return [
        (f"{page.relative_to(ROOT)}:{page.read_text()[: found.start()].count(chr(10)) + 1}", found[1])
        for page in PAGES
        for found in FENCE.finditer(page.read_text())
        if re.search("^listeners:", found[1], re.MULTILINE)
    ]


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def said(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def test_documentation_has_whole_configurations() -> None:
    assert any(name.startswith("README.md") for name, _ in whole_configurations())


@pytest.mark.parametrize(("where", "text"), whole_configurations())
def test_whole_configuration_is_valid(where: str, text: str) -> None:
    environ = {"SLUICE_TOKEN": "t" * 32, "SLUICE_COOKIE_KEY": "k" * 32}
    beside_plugins = str(ROOT / "config" / where.replace("/", "-"))
    assert list(map(str, load_text(text, beside_plugins, environ).problems)) == []


def filter_lists() -> list[str]:
    """The examples of filters, which show no more than a list of them."""
    return [found for found in FENCE.findall(said("filters.md")) if found.startswith("filters:")]


def test_documentation_has_examples_of_filters() -> None:
    assert filter_lists()


@pytest.mark.parametrize("text", filter_lists())
def test_example_of_filters_is_valid(text: str) -> None:
    pools = "{blue: {endpoints: [127.0.0.1:1]}, green: {endpoints: [127.0.0.1:2]}, canary: {endpoints: [127.0.0.1:3]}}"
    service = f"  shop:\n    pools: {pools}\n    split: {{blue: 100}}\n{indent(text, '    ')}"
    whole = f"listeners: [{{bind: 127.0.0.1:8080}}]\nroutes: [{{service: shop}}]\nservices:\n{service}"
    assert list(map(str, load_text(whole, "filters.md", {}).problems)) == []


def test_every_filter_is_told_with_its_options() -> None:
    parts = re.split(r"^## (.+)$", said("filters.md"), flags=re.MULTILINE)
    told = {name: text for names, text in zip(parts[1::2], parts[2::2], strict=True) for name in names.split(", ")}
    missing = [
        f"{name}.{option.name}"
        for name, cls in FILTERS
        for option in options_of(cls)
        if not re.search(rf"\b{option.name}\b", told.get(name, ""))
    ]
    assert missing == []


@by_name
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(CODE.sub("", page.read_text())):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{path} of {page.name}"
        if anchor:
            assert anchor in map(slug, HEADING.findall(target.read_text())), f"{path}#{anchor} of {page.name}"


def test_readme_names_every_page() -> None:
    linked = {(ROOT / path).resolve() for path, _ in LINK.findall((ROOT / "README.md").read_text()) if path}
    assert set((ROOT / "docs").glob("*.md")) <= linked


def test_every_command_is_told() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    text = said("cli.md")
    assert [name for name in commands if not re.search(rf"(sluice |`){name}\b", text)] == []


def test_every_key_is_told() -> None:
    text, found = said("configuration.md"), schema()
    keys = {*found["properties"]}
    for name in ("Listener", "ListenerLimits", "Admin", "Service", "Route", "Match", "Sticky", "Health", "Retry"):
        keys |= found["$defs"][name]["properties"].keys()
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", text)] == []


def test_every_reason_of_a_reply_is_told() -> None:
    text = said("configuration.md")
    assert [reason for reason in REPLIES if f"`{reason}`" not in text] == []


def test_every_metric_is_told() -> None:
    totals = Totals(mirrors={("shop", "green"): MirrorTotals()})
    sight = Sight(totals, {("shop", "blue"): PoolNow(is_draining=True)}, {}, {}, {}, 1, 0, "1", "plain")
    names = re.findall(r"^# TYPE (\w+) ", exposition(sight).decode(), re.MULTILINE)
    text = said("operations.md")
    assert names
    assert [name for name in names if f"`{name}" not in text] == []
