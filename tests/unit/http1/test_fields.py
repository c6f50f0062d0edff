"""A block of field lines as a list of fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1 import fields

BLOCK = b"Accept: a\r\nX-One: 1\r\naccept: b\r\nX-One-More: accept: c\r\n"
LINES = st.lists(
    st.tuples(st.sampled_from([b"A", b"a", b"AB", b"b", b"B-a", b"c"]), st.sampled_from([b"", b"a", b"b: c", b"A:"])),
    max_size=6,
)


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ({b"accept"}, b"X-One: 1\r\nX-One-More: accept: c\r\n"),
        ({b"x-one"}, b"Accept: a\r\naccept: b\r\nX-One-More: accept: c\r\n"),
        ({b"x-one", b"x-one-more", b"none"}, b"Accept: a\r\naccept: b\r\n"),
        ({b"x"}, BLOCK),
        ({b"c"}, BLOCK),
        ({b"none"}, BLOCK),
        (set(), BLOCK),
    ],
)
def test_fields_are_taken_out_by_their_whole_name(names: set[bytes], kept: bytes) -> None:
    assert fields.without(BLOCK, frozenset(names)) == kept


@given(LINES, st.frozensets(st.sampled_from([b"a", b"ab", b"b", b"b-a", b"c", b"d"])))
def test_what_is_taken_out_is_gone_and_nothing_else(lines: list[tuple[bytes, bytes]], names: frozenset[bytes]) -> None:
    def block(rows: list[tuple[bytes, bytes]]) -> bytes:
        return b"".join(b"%b: %b\r\n" % row for row in rows)

    assert fields.without(block(lines), names) == block([row for row in lines if row[0].lower() not in names])


@pytest.mark.parametrize(
    ("block", "value"),
    [
        (b"A: 1\r\nUser-Agent: me \r\nB: 2\r\n", b"me"),
        (b"User-Agent: me\r\n", b"me"),
        (b"A: 1\r\nUSER-AGENT:\tme\r\nuser-agent: other\r\n", b"me"),
        (b"A: 1\r\nUser-Agent:me\r\n", b"me"),
        (b"A: 1\r\nX-User-Agent: me\r\nB: User-Agent: me\r\n", b""),
        (b"A: 1\r\nUser-Agent: \r\n", b""),
        (b"", b""),
    ],
)
def test_first_value_of_a_field_however_it_is_written(block: bytes, value: bytes) -> None:
    assert fields.first(block, b"User-Agent") == value
