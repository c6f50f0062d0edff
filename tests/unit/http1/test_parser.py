import os
import subprocess
import sys

from proxy.http1 import ordinary, parser

PROGRAM = (
    "from proxy.http1 import ordinary, parser; "
    "print(parser.BUILD, parser.parse_request_head is ordinary.parse_request_head)"
)


def test_build_says_which_parser_is_in_use() -> None:
    build = "plain" if parser.parse_request_head is ordinary.parse_request_head else "accelerated"
    assert build == parser.BUILD


def test_pure_environment_forces_the_plain_parser() -> None:
    environ = os.environ | {"SLUICE_PURE": "1"}
    run = subprocess.run([sys.executable, "-c", PROGRAM], env=environ, capture_output=True, check=True)
    assert run.stdout == b"plain True\n"
