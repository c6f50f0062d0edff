"""Canonical paths: one form, reached in one step, that no reader resolves further."""

from urllib.parse import unquote_to_bytes

from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.http1.errors import MessageError
from proxy.http1.target import canonical_path

parts = st.sampled_from(
    [b"/", b"/", b".", b"..", b"a", b"%2e", b"%2E", b"%41", b"%7e", b"%25", b"%3b", b";", b"%c3", b"%20", b"//", b"-"]
)
paths = st.lists(parts, max_size=12).map(lambda found: b"/" + b"".join(found))


def canonical(path: bytes) -> bytes:
    try:
        return canonical_path(path)
    except MessageError:
        assume(False)
        raise


@given(paths)
def test_canonical_form_is_its_own(path: bytes) -> None:
    once = canonical(path)
    assert canonical_path(once) == once


@given(paths)
def test_canonical_form_holds_nothing_to_resolve(path: bytes) -> None:
    once = canonical(path)
    assert once.startswith(b"/")
    segments = once.split(b"/")
    assert not {b".", b".."} & set(segments)
    assert not {b".", b".."} & {unquote_to_bytes(segment) for segment in segments}


@given(st.lists(st.sampled_from([b"a", b"b;c", b"%20", b"...", b".a"]), min_size=1, max_size=5))
def test_path_without_dots_or_unreserved_escapes_is_left_alone(segments: list[bytes]) -> None:
    path = b"/" + b"/".join(segments)
    assert canonical_path(path) == path
