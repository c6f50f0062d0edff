"""The document in force in the words of the YAML, without its secrets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from proxy.config.effective import effective, masked
from proxy.config.load import Loaded, load, load_text
from proxy.config.schema import schema

CONFIG = Path(__file__).parents[3] / "config"
EXAMPLES = sorted(set(CONFIG.glob("*.yaml")) - {CONFIG / "alerts.yaml"})  # those are rules for Prometheus
Load = Callable[..., Loaded]


def _shown(loaded: Loaded) -> dict[str, Any]:
    assert loaded.document is not None
    assert loaded.tree is not None
    return effective(loaded.document, loaded.tree)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_effective_document_is_a_configuration(path: Path) -> None:
    shown = _shown(load(path, {}))
    Draft202012Validator(schema()).validate(shown)


def test_defaults_are_written_out(loaded: Load, plain: str) -> None:
    shown = _shown(loaded(plain))
    assert shown["listeners"][0]["limits"]["head"] == "32KiB"
    service = shown["services"]["shop"]
    assert (service["split"], service["health"], service["timeouts"]["total"]) == (
        {"blue": 90, "green": 10},
        "off",
        "off",
    )
    assert service["ejection"] == {"consecutive_errors": 5, "base": "30s", "max": "5m", "max_share": "50%"}


FILTERS = """\
filters:
  - fault: {delay: 1500ms, share: 2.5%, abort: 503}
  - max_body: {size: 64KiB}
  - cors: {origins: "*", max_age: 2h}
  - cors: {origins: [https://a.example]}
  - maintenance: {headers: {a: 1}, allow: [10.0.0.0/8], retry_after: 90s}
"""


def test_options_of_filters_are_shown_as_they_are_written(loaded: Load, plain: str) -> None:
    shown = _shown(loaded(plain + FILTERS))
    assert shown["filters"] == [
        {"fault": {"delay": "1500ms", "share": "2.5%", "abort": 503}},
        {"max_body": {"size": "64KiB"}},
        {"cors": {"origins": "*", "max_age": "2h"}},
        {"cors": {"origins": ["https://a.example"]}},
        {"maintenance": {"headers": {"a": "1"}, "allow": ["10.0.0.0/8"], "retry_after": "90s"}},
    ]
    Draft202012Validator(schema()).validate(shown)


SECRETS = [
    ("endpoints: [127.0.0.1:9001]", "endpoints: ['${S}']"),
    ("endpoints: [127.0.0.1:9001]", "endpoints: ['${S}', 127.0.0.1:7]"),
    ("endpoints: [127.0.0.1:9001]", "endpoints: [{address: '${S}', weight: 2}]"),
    ("bind: 127.0.0.1:8080", "bind: '${S}'"),
    ("routes:", "status: {bind: '${S}'}\nroutes:"),
    ("routes:", "filters: [{request_headers: {set: {x-key: '${S}'}}}]\nroutes:"),
    ("routes:", "store: {path: '/x/${S}'}\nroutes:"),
    ("routes:\n", "routes:\n  - {match: {host: '${H}.example'}, respond: {status: 200, body: 'x ${S}'}}\n"),
]


@pytest.mark.parametrize(("old", "new"), SECRETS)
def test_what_came_from_a_variable_is_masked(loaded: Load, plain: str, old: str, new: str) -> None:
    found = loaded(plain.replace(old, new, 1), {"S": "127.0.0.1:4711", "H": "hidden"})
    assert found.problems == []
    said = str(_shown(found))
    assert "4711" not in said
    assert "hidden" not in said
    assert "***" in said


def test_secret_endpoint_stays_masked_when_the_list_has_changed(loaded: Load, plain: str) -> None:
    found = loaded(plain.replace("127.0.0.1:9001", "'${S}', 127.0.0.1:7", 1), {"S": "127.0.0.1:4711"})
    assert found.document is not None
    assert found.tree is not None
    service = found.document.services[0]
    pool = service.pools[0]
    for endpoints in (pool.endpoints[:1], (*pool.endpoints, replace(pool.endpoints[1], address="127.0.0.1:8"))):
        changed = replace(service, pools=(replace(pool, endpoints=endpoints), *service.pools[1:]))
        shown = effective(replace(found.document, services=(changed,)), found.tree)
        addresses = shown["services"]["shop"]["pools"]["blue"]["endpoints"]
        assert len(addresses) == len(endpoints)
        assert "4711" not in str(shown)


def test_typed_secrets_are_masked_without_a_variable(loaded: Load, plain: str) -> None:
    text = (
        plain
        + "admin: {token: tok1, tokens: [{name: ci, value: tok2, can: [read]}]}\ncookie_keys: [0123456789abcdef]\n"
    )
    shown = _shown(loaded(text))
    assert shown["admin"]["token"] == "***"
    assert shown["admin"]["tokens"] == [{"name": "ci", "value": "***", "can": ["read"]}]
    assert shown["cookie_keys"] == ["***"]


def test_nothing_secret_masks_nothing(loaded: Load, plain: str) -> None:
    tree = loaded(plain).tree
    assert masked({"listeners": 1}, tree) == {"listeners": 1}


def test_address_is_concealed_where_the_file_has_it_from_a_variable(loaded: Load, plain: str) -> None:
    found = loaded(plain.replace("127.0.0.1:9001", "'${S}'", 1), {"S": "127.0.0.1:4711"})
    assert (found.conceal("127.0.0.1:4711"), found.conceal("127.0.0.1:9002")) == ("***", "127.0.0.1:9002")


def test_text_is_loaded_like_a_file(plain: str) -> None:
    assert load_text(plain, "posted", {}).problems == []
    (problem,) = load_text(plain.replace("split:", "spilt:"), "posted", {}).problems[:1]
    assert str(problem).startswith("posted:")


TOKENS = [
    ("[{name: a, value: v}, {name: a, value: w}]", "two tokens are called 'a'"),
    ("[{name: a, value: v}, {name: b, value: v}]", "two tokens have the same value"),
    ("[{name: a, value: first}]", "two tokens have the same value"),
    ("[{name: a}]", "value is missing"),
    ("[{value: v}]", "name is missing"),
    ("[{name: a, value: v, can: []}]", "at least one belongs here"),
    ("[{name: a, value: v, can: [write]}]", "'write' is not known here"),
    ("[{name: a b, value: v}]", "'a b' is not a name"),
    ("[{name: a, value: 'b c'}]", "the secret is empty"),
    ("[{name: a, value: v, may: [read]}]", "unknown key 'may'"),
]


@pytest.mark.parametrize(("tokens", "expected"), TOKENS)
def test_wrong_tokens_are_told(problems: Callable[..., list[str]], plain: str, tokens: str, expected: str) -> None:
    found = problems(f"{plain}admin: {{token: first, tokens: {tokens}}}\n")
    assert any(expected in each for each in found), found
    assert not any("first" in each for each in found if "first at" not in each)


def test_tokens_arrive(loaded: Load, plain: str) -> None:
    found = loaded(
        f"{plain}admin: {{bind: 0.0.0.0:1, tokens: [{{name: a, value: v}}, {{name: b, value: w, can: [read]}}]}}\n"
    )
    assert found.document is not None
    assert [(each.name, each.value, each.can) for each in found.document.admin.tokens] == [
        ("a", "v", ("read", "change")),
        ("b", "w", ("read",)),
    ]
