"""Canonical paths: what is resolved, what is left, what is refused."""

import pytest

from proxy.http1.errors import MessageError
from proxy.http1.target import canonical_path, split_target

CANONICAL = {
    b"/": b"/",
    b"*": b"*",
    b"/a/b": b"/a/b",
    b"/a//b/": b"/a//b/",
    b"/%7euser/%41%2D%2e%5F": b"/~user/A-._",
    b"/a%3fb%c3%a9%0d%0a": b"/a%3Fb%C3%A9%0D%0A",
    b"/%2541": b"/%2541",
    b"/%25%34%31": b"/%2541",
    b"/%252e%252e/a": b"/%252e%252e/a",
    b"/a/./b": b"/a/b",
    b"/a/../b": b"/b",
    b"/a/b/..": b"/a/",
    b"/a/b/.": b"/a/b/",
    b"/.": b"/",
    b"/..": b"/",
    b"/../../a": b"/a",
    b"/a/%2e%2E/b": b"/b",
    b"/a/.%2e/b": b"/b",
    b"/a/%2e/b": b"/a/b",
    b"/a//../b": b"/a/b",
    b"/.hidden/..x/...": b"/.hidden/..x/...",
    b"/a/.../b/": b"/a/.../b/",
    b"/a;x/b;..": b"/a;x/b;..",
    b"/a..;/b": b"/a..;/b",
    b"/...;/b": b"/...;/b",
}
REFUSED = [
    b"", b"a", b"a/b", b"%2fa", b"/a%2fb", b"/a%2Fb", b"/a%5cb", b"/a%5C", b"/a\\b", b"/a%00", b"/%", b"/%4", b"/%zz",
    b"/%4g", b"/%%41", b"/% 41", b"/%u0041", b"/..;/a", b"/a/..;x/b", b"/.;/a", b"/a/%2e%2e;x", b"/a/.%2e;",
    b"/..%3b/a",
    b"/a/%2e%3Bx",
]  # fmt: skip


@pytest.mark.parametrize(("path", "canonical"), CANONICAL.items())
def test_path_has_one_canonical_form(path: bytes, canonical: bytes) -> None:
    assert canonical_path(path) == canonical
    assert canonical_path(canonical) == canonical


@pytest.mark.parametrize("path", REFUSED)
def test_ambiguous_path_is_refused(path: bytes) -> None:
    with pytest.raises(MessageError) as refusal:
        canonical_path(path)
    assert (refusal.value.status, refusal.value.reason) == (400, "bad_path")


@pytest.mark.parametrize(
    ("target", "parts"),
    [(b"/a?b?c", (b"/a", b"b?c")), (b"/a", (b"/a", b"")), (b"/?", (b"/", b"")), (b"*", (b"*", b""))],
)
def test_target_is_path_and_query(target: bytes, parts: tuple[bytes, bytes]) -> None:
    assert split_target(target) == parts
