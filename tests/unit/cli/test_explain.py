from pathlib import Path

import pytest

from proxy.cli.explain import Question, explain

CONFIG = Path(__file__).parents[3] / "config" / "routing.yaml"

ANSWERS = [
    (Question("GET", "http://shop.example.com/teapot"), ["route #1 teapot matches", "answered here: 418"]),
    (Question("GET", "/a/../old/x?y=1"), ["route #2 moved matches", "location: /new/x?y=1"]),
    (Question("GET", "https://blog.example.com"), ["route #3 blog matches", "301"]),
    (Question("GET", "/", ("Host: admin.example.com",), "10.1.1.1"), ["route #4 admin matches", "127.0.0.1:9001"]),
    (Question("GET", "/", ("Host: admin.example.com",), "2001:db8::1"), ["route #4 admin matches"]),
    (
        Question("GET", "/", ("Host: admin.example.com",), "192.0.2.1"),
        ["route #4 admin does not match", "#8 shop matches"],
    ),
    (Question("PUT", "/items/1"), ["chance decides", "pool v2: one of 127.0.0.1:9003", "and if not"]),
    (Question("OPTIONS", "*"), ["route #8 shop matches"]),
]


@pytest.mark.parametrize(("question", "expected"), ANSWERS)
def test_answer_tells_the_route_and_where_it_leads(
    capsys: pytest.CaptureFixture[str], question: Question, expected: list[str]
) -> None:
    assert explain(CONFIG, question) == 0
    said = capsys.readouterr()
    assert [part for part in expected if part not in said.out] == []
    assert said.err == ""


NO_REQUESTS = [
    (Question("GET", "ftp://a/"), 2, "is not a URL"),
    (Question("GET", "shop.example.com"), 2, "is not a URL"),
    (Question("GET", ""), 2, "is not a URL"),
    (Question("GET", "http:///x"), 2, "names no host"),
    (Question("", "/"), 2, "the method one word"),
    (Question("G T", "/"), 2, "the method one word"),
    (Question("GET", "/", ("no colon",)), 2, "is not a header"),
    (Question("GET", "/", ("a: b\r\nc: d",)), 2, "one line each"),
    (Question("GET", "/\r\n\r\n"), 2, "one line each"),
    (Question("GET", "http://a/", ("Host: b",)), 2, "names a host already"),
    (Question("GET", "/", (), "nobody"), 2, "is not an IP address"),
    (Question("GET", "/a%2fb"), 1, "refused with 400 (bad_path)"),
    (Question("GET", "/", ("a b: c",)), 1, "refused with 400"),
    (Question("GET", "http://a b/"), 1, "refused with 400"),
    (Question("GET", "/" + "x" * 9000), 1, "refused with 414"),
    (Question("GET", "/", ("content-length: 1", "transfer-encoding: chunked")), 1, "refused with 400"),
    (Question("GET", "/\udcff"), 1, "refused with 400"),
]


@pytest.mark.parametrize(("question", "status", "expected"), NO_REQUESTS)
def test_what_is_no_request_gets_one_line(
    capsys: pytest.CaptureFixture[str], question: Question, status: int, expected: str
) -> None:
    assert explain(CONFIG, question) == status
    said = capsys.readouterr()
    assert expected in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)


def test_configuration_with_problems_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert explain(tmp_path / "none.yaml", Question("GET", "/")) == 1
    assert capsys.readouterr().err == f"{tmp_path / 'none.yaml'}: there is no such file\n"


def test_plug_ins_are_named_and_not_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit('it was run')\n")
    config = tmp_path / "sluice.yaml"
    config.write_text(
        "listeners: [{bind: 127.0.0.1:8080}]\nplugins: {path: .}\n"
        "routes: [{respond: {status: 204}, filters: [{plugin: {use: 'mine:X'}}]}]\n"
    )
    assert explain(config, Question("GET", "/")) == 0
    assert "without what plug-ins would do, which are not run to explain: mine:X" in capsys.readouterr().out
