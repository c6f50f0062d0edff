"""Options that are never shown, and those whose value is a file's text."""

from pathlib import Path
from typing import Any

import pytest

from proxy.config.effective import effective
from proxy.config.load import Loaded, load, load_text

BCRYPT = "$2b$04$.AE7zbpCE7p2GNAfgWZGgOk.yzGe2PqYbkWKRFSjPfXjPocP1FoJW"


def text(options: str) -> str:
    return (
        "listeners: [{bind: 127.0.0.1:1}]\n"
        "routes:\n"
        "  - respond: {status: 204}\n"
        f"    filters: [{{basic_auth: {options}}}]\n"
    )


def options_of(loaded: Loaded) -> Any:
    assert loaded.problems == []
    assert loaded.document is not None
    return loaded.document.routes[0].filters[0].options


def test_file_comes_with_the_document_and_neither_it_nor_a_hash_is_shown(tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(f"bob:{BCRYPT}\n")
    config = tmp_path / "sluice.yaml"
    config.write_text(text(f"{{users: {{ann: '{BCRYPT}'}}, file: htpasswd, realm: here}}"))
    loaded = load(config, {})
    assert options_of(loaded)["file"] == f"bob:{BCRYPT}\n"
    assert loaded.document is not None
    assert loaded.tree is not None
    shown = effective(loaded.document, loaded.tree)
    assert shown["routes"][0]["filters"] == [{"basic_auth": {"users": {"ann": "***"}, "file": "***", "realm": "here"}}]
    assert "$2b$" not in repr(shown)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: no such file or directory"),
        (b"ann:$apr1$1$2\n", "MD5 hash, which is guessed too fast"),
        (b"hunter2\n", "line 1 of the file is not name:hash"),
        (b"ann:\xff", "not a text in UTF-8"),
        (b"#" * (1024 * 1024 + 1), "larger than 1 MiB"),
    ],
)
def test_file_that_is_wrong_is_one_clear_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "htpasswd").write_bytes(content)
    loaded = load_text(text("{file: htpasswd}"), str(tmp_path / "sluice.yaml"), {})
    (problem,) = map(str, loaded.problems)
    assert message in problem
    assert problem.startswith(f"{tmp_path}/sluice.yaml:4:")
    assert "hunter2" not in problem


@pytest.mark.parametrize("options", [f"{{users: '{BCRYPT}'}}", f"{{users: {{ann: ['{BCRYPT}']}}}}"])
def test_hash_in_the_wrong_place_is_not_told(options: str) -> None:
    loaded = load_text(text(options), "sluice.yaml", {})
    assert loaded.problems
    assert not [problem for problem in loaded.problems if BCRYPT in str(problem)]


def ofrep(options: str, flags: str = "flag_rules: {new: {otherwise: off}}") -> Loaded:
    route = f"routes: [{{respond: {{ofrep: {options}}}}}]"
    return load_text(f"listeners: [{{bind: 127.0.0.1:1}}]\n{flags}\n{route}\n", "sluice.yaml", {})


def test_token_for_flags_is_never_shown() -> None:
    loaded = ofrep("{token: an-own-token, origins: ['https://a.example']}")
    assert loaded.problems == []
    assert loaded.document is not None
    assert loaded.tree is not None
    shown = effective(loaded.document, loaded.tree)
    assert shown["routes"][0]["respond"] == {"ofrep": {"token": "***", "origins": ["https://a.example"]}}
    wrong = ofrep("{token: an-own-token, origins: [an-own-token]}")
    assert wrong.problems
    assert "an-own-token" not in str(wrong.problems)


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        (ofrep("{}", ""), "3:11: there are no flags to serve (define them under flags or flag_rules)"),
        (ofrep("{token: ''}"), "the token is empty"),
        (ofrep("{token: 'a b'}"), "more than printable ASCII"),
        (ofrep("{origins: [a.example]}"), "is not an origin"),
        (ofrep("{}, status: 201"), "ofrep says by itself what to respond"),
        (ofrep("{}, ready: {}"), "give each a route of its own"),
    ],
)
def test_serving_of_flags_that_cannot_work_is_refused(loaded: Loaded, message: str) -> None:
    (problem,) = map(str, loaded.problems)
    assert message in problem
