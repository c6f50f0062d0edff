"""The `*` of a replacement: what the `/prefix/*` of a route's match left over."""

from collections.abc import Callable
from typing import Final

CARRY: Final = "/*"

Replace = Callable[[bytes], bytes | None]


def replacement(template: str, prefixes: tuple[bytes, ...]) -> Replace:
    """The new path (or URL) for a path; None where the template has a `*` and the path is below none of the prefixes.

    A prefix has no slash at its end, so what is left over is empty or begins with one. ValueError where there is a `*`
    but no prefix that it could stand for.
    """
    if not template.endswith(CARRY):
        fixed = template.encode()
        return lambda _path: fixed
    if not prefixes:
        raise ValueError(f"`*` in {template!r} needs a route whose match has a path that ends in /*")
    base = template[: -len(CARRY)].encode()

    def carried(path: bytes) -> bytes | None:
        for prefix in prefixes:
            if path.startswith(prefix + b"/") or path == prefix:
                return base + path[len(prefix) :]
        return None

    return carried


def require_star_at_end(template: str) -> None:
    """ValueError where a `*` stands elsewhere than as the last element."""
    if "*" in template.removesuffix(CARRY):
        raise ValueError(f"`*` in {template!r} may stand once, at the end after a slash")
