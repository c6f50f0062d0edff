"""Session cookies: what they hold, how long, and what becomes of those that are not ours."""

import base64
import hmac
from collections.abc import Callable

import pytest

from proxy.http1.facts import Facts
from proxy.routing.sticky import Binding, Session, SessionCodec, SessionCookie, cookie_key, header_key, key_id

RequestOf = Callable[..., Facts]
KEY, OLD_KEY = b"the key that signs now", b"the key that signed before"
ID = bytes(range(16))
PLAIN = Session(ID, 1_700_000_000)
BOUND = Session(ID, 1_700_000_000, Binding(2**64 - 1, 2**32 - 1, 1_699_999_000))
sessions = pytest.mark.parametrize("session", [PLAIN, BOUND])


def codec(*keys: bytes, service: str = "shop") -> SessionCodec:
    return SessionCodec(service, keys or (KEY,))


@sessions
def test_value_is_read_as_it_was_written(session: Session) -> None:
    value = codec().encode(session)
    assert codec().decode(value) == session
    assert len(value) < 150
    assert set(value) <= set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@sessions
def test_every_changed_byte_is_noticed(session: Session) -> None:
    data = base64.urlsafe_b64decode(codec().encode(session) + b"==")
    for position in range(len(data)):
        forged = bytearray(data)
        forged[position] ^= 1
        assert codec().decode(base64.urlsafe_b64encode(forged).rstrip(b"=")) is None


@sessions
def test_every_shorter_or_longer_value_is_none_of_ours(session: Session) -> None:
    value = codec().encode(session)
    assert [codec().decode(value[:length]) for length in range(len(value))] == [None] * len(value)
    assert [codec().decode(value + more) for more in (b"A", b"=", b"\n", b"A" * 1000)] == [None] * 4


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"forged.value",
        b"=" * 76,
        b"A" * 76,
        b"A" * 98,
        b"\xff" * 76,
        b"+" * 76,
        codec().encode(PLAIN).replace(b"A", b"/", 1),
        b" " + codec().encode(PLAIN),
        codec(service="other").encode(PLAIN),
        codec(b"another key").encode(PLAIN),
    ],
)
def test_value_that_is_not_ours_is_no_session(value: bytes) -> None:
    assert codec().decode(value) is None


@pytest.mark.parametrize("key", [b"k", b"k" * 63, b"k" * 64, b"k" * 65, b"k" * 300])
def test_signature_is_hmac_sha256(key: bytes) -> None:
    data = base64.urlsafe_b64decode(codec(key).encode(PLAIN) + b"==")
    assert data[-32:] == hmac.digest(key, b"sluice session\0shop\0" + data[:-32], "sha256")


def test_first_key_signs_and_all_verify() -> None:
    old, both = codec(OLD_KEY), codec(KEY, OLD_KEY)
    assert both.decode(old.encode(PLAIN)) == PLAIN
    assert codec(KEY).decode(both.encode(PLAIN)) == PLAIN
    assert old.decode(both.encode(PLAIN)) is None


def test_codec_without_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a key"):
        SessionCodec("shop", ())


def test_key_ids_differ_and_do_not_show_the_key() -> None:
    assert key_id(KEY) != key_id(OLD_KEY)
    assert len(key_id(KEY)) == 4


def cookie(hold_for: float | None = None) -> SessionCookie:
    return SessionCookie("sluice", codec(), lambda size: b"\7" * size, 1000.0, hold_for)


@pytest.mark.parametrize(
    ("scheme", "end"),
    [
        (b"http", b"; Max-Age=1000; Path=/; HttpOnly; SameSite=Lax"),
        (b"https", b"; Max-Age=1000; Path=/; HttpOnly; SameSite=Lax; Secure"),
    ],
)
def test_written_cookie_has_its_attributes(request_of: RequestOf, scheme: bytes, end: bytes) -> None:
    line = cookie().write(cookie().begin(50.0), 60.9, scheme)
    pair = line.removesuffix(end)
    assert line != pair
    assert pair.startswith(b"sluice=")
    assert cookie().read(request_of(cookie=pair.decode())) == Session(b"\7" * 16, 60)


@pytest.mark.parametrize(
    ("now", "due"), [(100.0, False), (600.0, False), (601.0, True), (1e9, True), (-399.0, False), (-401.0, True)]
)
def test_cookie_is_due_past_half_its_life(now: float, due: bool) -> None:
    assert cookie().is_due(Session(ID, 100), now) is due


@pytest.mark.parametrize(("now", "holds"), [(100.0, True), (159.0, True), (160.0, False), (1e9, False)])
def test_binding_holds_from_its_issue(now: float, holds: bool) -> None:
    binding = Binding(1, 0, 100)
    assert cookie(hold_for=60.0).holds(binding, now) is holds
    assert not cookie().holds(binding, now)


@pytest.mark.parametrize("header", [None, "", "other=1", "sluice=", "sluice=x; a=b"])
def test_request_without_a_session_of_ours_has_no_identity(request_of: RequestOf, header: str | None) -> None:
    assert cookie().identity(request_of(cookie=header)) is None


@pytest.mark.parametrize(
    ("headers", "identity"),
    [
        ("X-User-Id: 42", b"42"),
        ("x-user-id:42\nX-User-Id: 43", b"42"),
        ("X-User-Id:", None),
        ("X-User: 42", None),
        ("", None),
    ],
)
def test_header_key_is_the_first_value(request_of: RequestOf, headers: str, identity: bytes | None) -> None:
    assert header_key("X-User-Id")(request_of(headers=headers)) == identity


@pytest.mark.parametrize(
    ("header", "identity"), [("uid=42; a=b", b"42"), ("uid=", None), ("UID=42", None), ("", None), (None, None)]
)
def test_cookie_key_is_the_applications_cookie(
    request_of: RequestOf, header: str | None, identity: bytes | None
) -> None:
    assert cookie_key("uid")(request_of(cookie=header)) == identity
