"""The command line as a user starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
GOOD = "listeners: [{bind: 127.0.0.1:8080}]\nservices: {a: {pools: {b: {endpoints: [h:1]}}}}\nroutes: [{service: a}]\n"


def sluice(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "proxy", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_check_of_a_good_file_says_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "sluice.yaml").write_text(GOOD)
    for done in (sluice("check", "sluice.yaml", cwd=tmp_path), sluice("check", cwd=tmp_path)):
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "sluice.yaml: ok, 1 service, 1 route, 1 listener\n"


def test_check_tells_the_problems_of_every_file(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(GOOD.replace("h:1", "h").replace("service: a", "service: b"))
    done = sluice("check", "bad.yaml", "good.yaml", "none.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == "good.yaml: ok, 1 service, 1 route, 1 listener\n"
    assert done.stderr.splitlines() == [
        (
            "bad.yaml:2:40: 'h' is not an address with a port"
            " (write it like 10.0.0.1:8080, [::1]:8080 or unix:/run/shop.sock)"
        ),
        "bad.yaml:3:20: there is no service 'b' (there is a)",
        "none.yaml: there is no such file",
    ]


@pytest.mark.parametrize("text", ["[" * 100_000, "\0", "a: &a [*a]", "x" * (5 * 1024 * 1024), "\udcff", ""])
def test_check_of_a_hostile_file_says_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "sluice.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    done = sluice("check", "sluice.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("sluice.yaml")


USAGE = [
    ((), "Usage:"),
    (("chek",), "No such command"),
    (("check", "--nope"), "No such option"),
    (("explain", "a.yaml"), "METHOD and URL are needed"),
    (("explain", "--json", "a.yaml", "GET", "/"), "only --filters has it"),
    (("explain", "--filters", "a.yaml"), "leave FILE out"),
]


@pytest.mark.parametrize(("arguments", "expected"), USAGE)
def test_wrong_usage_exits_2(arguments: tuple[str, ...], expected: str) -> None:
    done = sluice(*arguments)
    assert done.returncode == 2
    assert expected in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_check_without_a_file_says_where_it_looked(tmp_path: Path) -> None:
    done = sluice("check", cwd=tmp_path)
    if Path("/etc/sluice/sluice.yaml").exists():
        pytest.skip("this machine has a configuration of its own")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_schema_is_json() -> None:
    done = sluice("schema")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_version_is_one_line() -> None:
    done = sluice("version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("sluice ")
    assert done.stdout.count("\n") == 1
    assert any(build in done.stdout for build in ("(plain)", "(accelerated)"))


def test_explain_answers() -> None:
    done = sluice("explain", "config/demo.yaml", "GET", "http://localhost:8080/", "-H", "X-Canary: true")
    assert (done.returncode, done.stderr) == (0, "")
    assert "pool canary: one of 127.0.0.1:9003" in done.stdout


def test_explain_lists_the_filters() -> None:
    done = sluice("explain", "--filters")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nmax_body\n  Refuses requests whose body" in done.stdout
    listed = json.loads(sluice("explain", "--filters", "--json").stdout)["filters"]
    assert "max_body" in [each["name"] for each in listed]


def test_output_that_nobody_reads_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "proxy", "schema"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_cannot_be_written_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "proxy", "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=ROOT,
        )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
