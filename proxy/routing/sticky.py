"""Who keeps their pool: the signed session cookie, and where else an identity can stand.

The cookie says who, never where: which pool a session has follows from its id and the service's bucket table. Only with
`hold` it also carries the pool that took the session. Time is wall time, in seconds.
"""

import binascii
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from hashlib import blake2b, sha256
from hmac import compare_digest
from struct import Struct as Layout
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from proxy.core.hashing import stable_hash
from proxy.http1.cookies import find_cookie
from proxy.http1.facts import Facts

ID_SIZE: Final = 16  # bytes of randomness in a session's id

_KEY_ID_SIZE: Final = 4
_MAC_SIZE: Final = 32
_PLAIN: Final = Layout("!B4s16sI")  # version, key id, session id, issued
_BOUND: Final = Layout("!B4s16sIQII")  # and the pool's mark, its epoch, since
_PLAIN_SIZE: Final = _PLAIN.size + _MAC_SIZE
_BOUND_SIZE: Final = _BOUND.size + _MAC_SIZE
_LENGTHS: Final = frozenset(-(-size * 4 // 3) for size in (_PLAIN_SIZE, _BOUND_SIZE))  # 76 and 98 characters
_STANDARD: Final = bytes.maketrans(b"-_+/", b"+/  ")

Identify = Callable[[Facts], bytes | None]


class Binding(Struct, frozen=True, gc=False):
    """Which pool took a session (by its mark), in which epoch of the pool, and when (seconds since 1970)."""

    pool: int
    epoch: int
    since: int


class Session(Struct, frozen=True, gc=False):
    """What a session cookie says. `id` never changes; `issued` is when the cookie was written (seconds since 1970)."""

    id: bytes
    issued: int
    binding: Binding | None = None


class SessionCodec:
    """Sessions of one service as cookie values, signed with HMAC-SHA256.

    The first key signs, all verify. A value of another service is as foreign as a forged one.
    """

    __slots__ = ("_keys", "_prefix", "_signs")

    def __init__(self, service: str, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("a session cookie needs a key to sign with")
        self._prefix = b"sluice session\0%s\0" % service.encode()
        self._signs = key_id(keys[0])
        self._keys = {key_id(key): _keyed(key) for key in reversed(keys)}

    def encode(self, session: Session) -> bytes:
        """The value: URL-safe base64 of fixed-size fields and the signature over them."""
        bound = session.binding
        if bound is None:
            fields = _PLAIN.pack(1, self._signs, session.id, session.issued)
        else:
            fields = _BOUND.pack(2, self._signs, session.id, session.issued, bound.pool, bound.epoch, bound.since)
        return urlsafe_b64encode(fields + self._sign(self._keys[self._signs], fields)).rstrip(b"=")

    def decode(self, value: bytes) -> Session | None:
        """The session, however old; None where the value is forged, foreign or malformed."""
        data = _from_base64(value)
        key = self._keys.get(data[1 : 1 + _KEY_ID_SIZE])
        fields = data[:-_MAC_SIZE]
        if key is None or not compare_digest(data[-_MAC_SIZE:], self._sign(key, fields)):
            return None
        return _unpack(fields)

    def _sign(self, key: tuple[Any, Any], fields: bytes) -> bytes:
        # RFC 2104 from two hashes that have seen the key: 1.0 µs; hmac.digest, which begins with the key, 3.4.
        inner, outer = key[0].copy(), key[1].copy()
        inner.update(self._prefix + fields)
        outer.update(inner.digest())
        signature: bytes = outer.digest()
        return signature


class SessionCookie:
    """The cookie that makes a service sticky.

    `ttl` is its age in seconds before a browser forgets it; past half of it the cookie is written anew with the same
    id. `hold_for` is how long a binding lasts, in seconds from when the pool took the session; None where sessions
    follow the table. `token` gives that many random bytes.
    """

    __slots__ = ("_codec", "_line", "_token", "hold_for", "name", "ttl")

    def __init__(
        self,
        name: str,
        codec: SessionCodec,
        token: Callable[[int], bytes],
        ttl: float,
        hold_for: float | None = None,
    ) -> None:
        self.name = name.encode()
        self.ttl = ttl
        self.hold_for = hold_for
        self._codec = codec
        self._token = token
        self._line = b"%s=%%s; Max-Age=%d; Path=/; HttpOnly; SameSite=Lax" % (
            self.name.replace(b"%", b"%%"),
            int(ttl),
        )

    def read(self, facts: Facts) -> Session | None:
        """The session that the request shows; None where it shows none that is ours."""
        header = facts.head.cookie
        value = find_cookie(header, self.name) if header else None
        return None if value is None else self._codec.decode(value)

    def identity(self, facts: Facts) -> bytes | None:
        """The session's id, where the request shows one."""
        session = self.read(facts)
        return None if session is None else session.id

    def begin(self, now: float) -> Session:
        """A session of somebody new."""
        return Session(self._token(ID_SIZE), int(now))

    def is_due(self, session: Session, now: float) -> bool:
        """Whether the cookie has to be written anew: past half its life, or from a clock far ahead of ours."""
        return abs(now - session.issued) > self.ttl / 2

    def holds(self, binding: Binding, now: float) -> bool:
        """Whether the binding is still young enough to bind."""
        return self.hold_for is not None and abs(now - binding.since) < self.hold_for

    def write(self, session: Session, now: float, scheme: bytes) -> bytes:
        """The value of a Set-Cookie field (RFC 6265 §4.1) that gives the client the session, as issued now."""
        line = self._line % self._codec.encode(replace(session, issued=int(now)))
        return line + b"; Secure" if scheme == b"https" else line


def pool_mark(name: str) -> int:
    """What a binding calls a pool: 64 bits, so that cookies stay small and tell nobody the name."""
    return stable_hash(b"pool", name.encode())


def _keyed(key: bytes) -> tuple[Any, Any]:
    """SHA-256 that has taken in the key, as HMAC's inner hash and as its outer one."""
    block = (key if len(key) <= 64 else sha256(key).digest()).ljust(64, b"\0")
    return sha256(bytes(byte ^ 0x36 for byte in block)), sha256(bytes(byte ^ 0x5C for byte in block))


def key_id(key: bytes) -> bytes:
    """By what a cookie tells which key signed it; nothing of the key can be learned from it."""
    return blake2b(key, digest_size=_KEY_ID_SIZE, person=b"sluice key id").digest()


def header_key(name: str) -> Identify:
    """The identity is the first value of this header; a request without it, or with it empty, has none."""
    wanted = name.lower().encode()

    def identify(facts: Facts) -> bytes | None:
        values = facts.head.get_all(wanted)
        return (values[0] or None) if values else None

    return identify


def cookie_key(name: str) -> Identify:
    """The identity is the application's own cookie; a request without it, or with it empty, has none."""
    wanted = name.encode()

    def identify(facts: Facts) -> bytes | None:
        header = facts.head.cookie
        return (find_cookie(header, wanted) or None) if header else None

    return identify


def _from_base64(value: bytes) -> bytes:
    """The bytes; b"" for what is none of our values. Strict: the lenient decoder skips what it does not know."""
    if len(value) not in _LENGTHS:
        return b""
    try:
        return binascii.a2b_base64(value.translate(_STANDARD) + b"=" * (-len(value) % 4), strict_mode=True)
    except binascii.Error:
        return b""


def _unpack(fields: bytes) -> Session | None:
    if fields[0] == 1 and len(fields) == _PLAIN.size:
        _, _, session, issued = _PLAIN.unpack(fields)
        return Session(session, issued)
    if fields[0] == 2 and len(fields) == _BOUND.size:
        _, _, session, issued, pool, epoch, since = _BOUND.unpack(fields)
        return Session(session, issued, Binding(pool, epoch, since))
    return None
