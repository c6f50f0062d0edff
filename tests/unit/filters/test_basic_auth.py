"""Filter `basic_auth`: who comes in, what goes upstream, and what is remembered."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import bcrypt
import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS, RequestFilter
from proxy.filters import basic_auth as module
from proxy.filters.basic_auth import MOST_REMEMBERED, REMEMBERED, Desk, credentials
from proxy.filters.effects import Compute, Effect, Reply
from proxy.filters.password_hash import is_password
from proxy.filters.site import Site, States
from proxy.http1.facts import Facts

RequestOf = Callable[..., Facts]

BCRYPT = "$2b$04$.AE7zbpCE7p2GNAfgWZGgOk.yzGe2PqYbkWKRFSjPfXjPocP1FoJW"  # of "right"
ARGON2 = "$argon2id$v=19$m=64,t=1,p=1$2x66F/Ay2ConTObMqZTuoA$c0t+QDSISKdCRJC8zejBqUw6svAEzAieMyDNoVU8sv0"  # likewise


def guard(site: Site | None = None, **options: Any) -> RequestFilter:
    """The compiled filter."""
    found = FILTERS.build("basic_auth", options).compile(site or Site(where="route a")).request
    assert found is not None
    return found


def basic(pair: bytes, scheme: bytes = b"Basic") -> bytes:
    return b"Authorization: %b %b\r\n" % (scheme, b64encode(pair))


def outcome(filter_: RequestFilter, facts: Facts) -> tuple[int | None, bool]:
    """The status of a refusal, None for who comes in; and whether a password had to be checked."""
    effect: Effect | None = filter_.on_request(facts)
    computed = isinstance(effect, Compute)
    if isinstance(effect, Compute):
        effect = effect.work()
    assert effect is None or isinstance(effect, Reply)
    return (None if effect is None else effect.status), computed


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "nobody could come in"),
        ({"file": "# nobody\n\n"}, "nobody could come in"),
        ({"users": {"ann": "secret"}}, "neither a bcrypt nor an argon2 hash; make one by `htpasswd"),
        ({"users": {"ann": "$apr1$abc$def"}}, "MD5 hash, which is guessed too fast; make one by"),
        ({"users": {"ann": "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="}}, "SHA-1 hash"),
        ({"users": {"ann": BCRYPT + "x"}}, "neither a bcrypt"),
        ({"users": {"ann": BCRYPT + "\n"}}, "neither a bcrypt"),
        ({"users": {"ann": BCRYPT.replace("$04$", "$16$")}}, "between 4 and 15"),
        ({"users": {"ann": ARGON2.replace("m=64", "m=9999999")}}, "costs too much"),
        ({"users": {"a:b": BCRYPT}}, "not a user name"),
        ({"users": {"a\r\nx: y": BCRYPT}}, "not a user name"),
        ({"users": {"": BCRYPT}}, "not a user name"),
        ({"users": {"ann": BCRYPT}, "file": f"ann:{BCRYPT}"}, "'ann' is there twice"),
        ({"file": f"ann:{BCRYPT}\nann:{ARGON2}"}, "'ann' is there twice"),
        ({"file": f"ann:{BCRYPT}\nsecret line"}, "line 2 of the file is not name:hash"),
        ({"users": {"ann": BCRYPT}, "realm": 'a"b'}, "not a realm"),
        ({"users": {"ann": BCRYPT}, "user_header": "Content-Length"}, "framing"),
        ({"users": {"ann": BCRYPT}, "user_header": "authorization"}, "written by the proxy itself"),
        ({"users": {"ann": BCRYPT}, "user_header": "X-Forwarded-For"}, "written by the proxy itself"),
        ({"users": {"ann": BCRYPT}, "user_header": "x-sluice-shadow"}, "written by the proxy itself"),
        ({"users": {"ann": ARGON2.replace("p=1", "p=9")}}, "8 KiB for each lane"),
    ],
)
def test_options_that_cannot_work_are_refused_without_telling_a_hash(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint.replace("$", r"\$")) as refused:
        FILTERS.build("basic_auth", options)
    assert "secret" not in str(refused.value)
    assert "$2b$" not in str(refused.value)


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (basic(b"ann:right"), None),
        (basic(b"bob:right"), None),
        (basic(b"cy:right"), None),
        (basic(b"ann:right", b"bAsIc"), None),
        (basic(b"ann:wrong"), 401),
        (basic(b"bob:wrong"), 401),
        (basic(b"nobody:right"), 401),
        (basic(b"ann:"), 401),
        (basic(b"ann:right:more"), 401),
        (basic(b"ann:right\0"), 401),
        (basic(b"ann:" + b"r" * 100), 401),
        (basic(b"ann"), 401),
        (basic(b":right"), 401),
        (basic(b"\xff\xfe:right"), 401),
        (basic(b"ann:right", b"Bearer"), 401),
        (basic(b"ann:right", b"Basic Basic"), 401),
        (basic(b"ann:right") + basic(b"ann:right"), 401),
        (b"Authorization: Basic !!!!\r\n", 401),
        (b"Authorization: Basic\r\n", 401),
        (b"", 401),
    ],
)
def test_only_the_right_password_comes_in(request_of: RequestOf, block: bytes, status: int | None) -> None:
    filter_ = guard(users={"ann": BCRYPT, "bob": ARGON2}, file=f"# more\r\n\r\ncy:{BCRYPT}\r\n")
    assert outcome(filter_, request_of("/", block))[0] == status


def test_refusal_asks_for_name_and_password(request_of: RequestOf) -> None:
    refused = guard(users={"ann": BCRYPT}, realm="the shop").on_request(request_of())
    assert isinstance(refused, Reply)
    assert (refused.status, refused.reason) == (401, "unauthorized")
    assert b'WWW-Authenticate: Basic realm="the shop", charset="UTF-8"\r\n' in refused.block


def test_full_queue_is_503(request_of: RequestOf) -> None:
    effect = guard(users={"ann": BCRYPT}).on_request(request_of("/", basic(b"ann:right")))
    assert isinstance(effect, Compute)
    assert (effect.full.status, effect.full.reason) == (503, "auth_busy")


@pytest.mark.parametrize(
    ("options", "block"),
    [
        ({}, b"X-User: forged\r\n"),
        ({"pass_on": True}, b"X-User: forged\r\n" + basic(b"ann:right")),
        ({"user_header": "X-User"}, b"x-user: ann\r\n"),
        ({"user_header": "x-user", "pass_on": True}, basic(b"ann:right") + b"x-user: ann\r\n"),
    ],
)
def test_upstream_sees_only_what_it_is_meant_to(request_of: RequestOf, options: dict[str, Any], block: bytes) -> None:
    facts = request_of("/", b"X-User: forged\r\n" + basic(b"ann:right"))
    assert outcome(guard(users={"ann": BCRYPT}, **options), facts) == (None, True)
    assert facts.head.block == block


def test_success_is_remembered_for_a_while_and_for_that_password_alone(request_of: RequestOf) -> None:
    states = States()
    site = Site(where="route a", states=states)
    filter_ = guard(site, users={"ann": BCRYPT, "bob": BCRYPT})

    def ask(pair: bytes, now: float, at: RequestFilter = filter_) -> tuple[int | None, bool]:
        facts: Any = request_of("/", basic(pair))
        facts.now = now
        return outcome(at, facts)

    assert ask(b"ann:right", 0.0) == (None, True)
    assert ask(b"ann:right", REMEMBERED - 1) == (None, False)
    assert ask(b"ann:wrong", 1.0) == (401, True)
    assert ask(b"ann:wrong", 1.0) == (401, True)  # a failure is not remembered
    assert ask(b"bob:right", 1.0) == (None, True)
    same = guard(site, users={"ann": BCRYPT, "bob": BCRYPT})
    assert ask(b"ann:right", 2.0, same) == (None, False)
    other = guard(site, users={"ann": ARGON2, "bob": BCRYPT})
    assert ask(b"ann:right", 2.0, other) == (None, True)
    assert ask(b"ann:right", REMEMBERED) == (None, True)


def test_remembered_successes_are_bounded_and_hold_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REMEMBERED", 3)
    assert MOST_REMEMBERED == 10_000
    monkeypatch.setattr(module, "is_password", lambda _password, _text: True)
    desk = Desk({b"ann": BCRYPT})
    for number in range(9):
        check = desk.check(b"ann", b"right %d" % number, float(number))
        assert check is not None
        assert check()
    assert desk.check(b"ann", b"right 8", 9.0) is None
    assert desk.check(b"ann", b"right 0", 9.0) is not None
    assert len(desk) == 3
    assert b"right" not in repr([getattr(desk, slot) for slot in vars(desk)]).encode()
    desk.check(b"ann", b"other", 9.0 + REMEMBERED)
    assert len(desk) == 0


def test_unknown_user_costs_a_check_of_a_password(request_of: RequestOf, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def noted(password: bytes, text: str) -> bool:
        tried.append(text)
        return is_password(password, text)

    monkeypatch.setattr(module, "is_password", noted)
    filter_ = guard(users={"ann": BCRYPT})
    for pair in (b"ann:wrong", b"nobody:wrong", b"nobody:right"):
        assert outcome(filter_, request_of("/", basic(pair))) == (401, True)
    assert tried == [BCRYPT] * 3


def test_bcrypt_of_a_password_it_cannot_tell_from_a_longer_one() -> None:
    text = bcrypt.hashpw(b"r" * 72, bcrypt.gensalt(4)).decode()
    assert is_password(b"r" * 72, text)
    assert not is_password(b"r" * 73, text)


def test_credentials_may_hold_any_octets(request_of: RequestOf) -> None:
    head = request_of("/", basic("jürgen:pässword".encode())).head
    assert credentials(head) == ("jürgen".encode(), "pässword".encode())
