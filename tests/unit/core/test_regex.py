"""Regular expressions for strangers' bytes: which are taken, and which are refused for what they could cost."""

import pytest

from proxy.core.regex import LIMIT, compile_regex


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("a.*b", b"axxb", True),
        ("a.*b", b"axxbc", False),
        ("(en|de)", b"de", True),
        ("(en|de)+", b"endeen", True),
        ("(en|de)+", b"endee", False),
        (r"\d+", b"123", True),
        (r"\d+", "\u0661".encode(), False),
        (r"\xff", b"\xff", True),
        ("(?:ab)*", b"abab", True),
        ("[^/]{1,20}/x?", b"abc/", True),
        ("(?=a).*", b"abc", True),
        ("a{3}", b"aaa", True),
        ("(a{3})*", b"aaaaaa", True),
        (r"([0-9]{1,3}\.){3}[0-9]{1,3}", b"10.0.0.1", True),
        (".*a.*b.*", b"xaxbx", True),
        ("[0-9]*x[0-9]*y[0-9]*z", b"1x2y3z", True),
        ("/[^/]*/[^/]*/[^/]*/[^/]*/.*", b"/a/b/c/d/e/f", True),
        (".*", b"a" * LIMIT, True),
        (".*", b"a" * (LIMIT + 1), False),
    ],
)
def test_regex_matches_whole_values(pattern: str, value: bytes, expected: bool) -> None:
    assert compile_regex(pattern)(value) is expected


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("(a+)+", "inside a repeat"),
        ("(a*)*", "inside a repeat"),
        ("((a+)b)*", "inside a repeat"),
        ("(a+?){50,}", "inside a repeat"),
        ("(?:a{1,3})*", "inside a repeat"),
        ("(?:x(?=a*))*", "inside a repeat"),
        ("(a{0,100}){0,100}", "inside a repeat"),
        ("(?>a+)+", "inside a repeat"),
        ("(a?){50}", "inside a repeat"),
        ("(a*){10}", "inside a repeat"),
        (".*a.*b.*c", "more than two"),
        ("(x|.*.*.*x)", "more than two"),
        ("[a-z]*x[a-z]*y[a-z]*z", "more than two"),
        ("(ab|ac|a)*x", "different characters"),
        ("(ab|[a-z]c)*", "different characters"),
        ("(?i:ab|Ac)*", "different characters"),
        (r"(a)\1", "refers back"),
        (r"(?P<x>a)(?P=x)", "refers back"),
        (r"(a)?(?(1)b|c)", "refers back"),
        ("(", "not valid"),
        ("[", "not valid"),
        ("a{5,2}", "not valid"),
        ("(" * 5000 + ")" * 5000, "not valid"),
        ("é", "bytes"),
    ],
)
def test_regex_that_is_bad_or_may_be_slow_is_refused(pattern: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        compile_regex(pattern)
