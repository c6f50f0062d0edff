import pytest

from proxy.http1.cookies import find_cookie, without_cookie

HEADER = b'a=1; sid=x=y; asid=2;sid=3 ; =4; junk;; \tsid = 5; b="q;r"'


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (HEADER, b"x=y"),
        (b"sid=", b""),
        (b"sid=a", b"a"),
        (b" \tsid=a\t ", b"a"),
        (b"xsid=a; SID=b", None),
        (b"xsid=a; sid=b", b"b"),
        (b"x=sid=a", None),
        (b"sid", None),
        (b"", None),
        (b"\xff=1;;;sid=\xfe", b"\xfe"),
    ],
)
def test_first_cookie_of_the_name_is_found(header: bytes, value: bytes | None) -> None:
    assert find_cookie(header, b"sid") == value


@pytest.mark.parametrize(
    ("header", "left"),
    [
        (HEADER, b'a=1; asid=2; =4; junk;; \tsid = 5; b="q;r"'),  # the others stay as they stand
        (b"sid=a", b""),
        (b"sid=a; sid=b", b""),
        (b"x=sid=a", b"x=sid=a"),
        (b"a=1;  b=2", b"a=1;  b=2"),
        (b"a=1;sid=2", b"a=1"),
    ],
)
def test_every_cookie_of_the_name_is_taken_out(header: bytes, left: bytes) -> None:
    assert without_cookie(header, b"sid") == left
    assert find_cookie(left, b"sid") is None
