"""Filter `basic_auth`."""

import binascii
import hmac
import os
import re
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

from proxy.core.hashing import stable_hash
from proxy.core.markers import Marker
from proxy.filters.effects import Compute, Effect, refusal
from proxy.filters.field_checks import require_names
from proxy.filters.password_hash import is_password, require_hash
from proxy.filters.registry import FILTERS, Hooks, RequestFilter
from proxy.filters.site import Site
from proxy.http1 import fields
from proxy.http1.facts import Facts
from proxy.http1.message import RequestHead
from proxy.http1.owned import TOLD

REMEMBERED: Final = 300.0  # seconds that a success is good for
MOST_REMEMBERED: Final = 10_000
_REALM: Final = re.compile(r"[ !#-\[\]-~]{1,128}")  # what a quoted-string holds without escapes (RFC 9110 §5.6.4)
_NAME: Final = re.compile(r"[^:\x00-\x1f\x7f]{1,128}")  # RFC 7617 §2: no colon, no control character
_BUSY: Final = refusal(503, "auth_busy", "too many passwords are being checked; try again", b"Retry-After: 1\r\n")


@FILTERS.register("basic_auth")
@dataclass(frozen=True, slots=True)
class BasicAuth:
    """Asks for a name and a password (RFC 7617), and lets nobody through without: 401 (`unauthorized`).

    `users` are names with hashes of their passwords, `file` is an htpasswd file with more of them: bcrypt or argon2.
    The file is read with the configuration. `realm` is what browsers show. `pass_on` leaves Authorization in what
    goes upstream. `user_header` tells the upstream the name, in a header that nobody else can set. Passwords are
    checked in threads, two at once; one that was right is remembered for 5 minutes, as a keyed hash. Where too many
    wait: 503 (`auth_busy`).
    """

    users: Annotated[dict[str, str], Marker.SECRET] = field(default_factory=dict)
    file: Annotated[str, Marker.CONTENT, Marker.SECRET] = ""
    realm: str = "restricted"
    pass_on: bool = False
    user_header: str | None = None

    def __post_init__(self) -> None:
        known = self._known()
        if not known:
            raise ValueError("nobody could come in; give users, or a file with some")
        for name, text in known.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a user name; leave out colons and control characters")
            require_hash(name, text)
        if not _REALM.fullmatch(self.realm):
            raise ValueError(f"{self.realm!r} is not a realm; use ASCII without quotes and backslashes")
        if self.user_header is not None:
            require_names((self.user_header,), TOLD | {"host", "cookie", "authorization"})

    def compile(self, site: Site) -> Hooks:
        known = {name.encode(): text for name, text in self._known().items()}
        desk = site.keep(self, lambda: Desk(known))
        challenge = b'WWW-Authenticate: Basic realm="%s", charset="UTF-8"\r\n' % self.realm.encode()
        refused = refusal(401, "unauthorized", "name and password, please", challenge)
        edit = self._edit()

        def on_request(facts: Facts) -> Effect | None:
            given = credentials(facts.head)
            if given is None:
                return refused
            # Before it is known who it is: whoever is refused never gets to what comes behind.
            edit(facts.head, given[0] if given[0] in known else None)
            check = desk.check(*given, facts.now)
            return None if check is None else Compute(lambda: None if check() else refused, _BUSY)

        return Hooks(request=RequestFilter(on_request))

    def _known(self) -> dict[str, str]:
        known = dict(self.users)
        for name, text in _lines(self.file):
            if name in known:
                raise ValueError(f"user {name!r} is there twice; keep one of them")
            known[name] = text
        return known

    def _edit(self) -> Callable[[RequestHead, bytes | None], None]:
        """What is changed in a head, for this user."""
        header = None if self.user_header is None else self.user_header.lower().encode()
        gone = frozenset([] if self.pass_on else [b"authorization"]) | ({header} if header else set())

        def edit(head: RequestHead, name: bytes | None) -> None:
            if gone:
                head.block = fields.without(head.block, gone)
            if header is not None and name is not None:
                head.block += b"%s: %s\r\n" % (header, name)

        return edit


class Desk:
    """Checks passwords, and remembers for a while which were right: never themselves, and for this process only."""

    def __init__(self, known: Mapping[bytes, str]) -> None:
        self._known = known
        self._hashes = tuple(known.values())
        self._key = os.urandom(32)
        self._right: dict[bytes, float] = {}
        self._news: deque[tuple[bytes, float]] = deque()  # from the threads

    def __len__(self) -> int:
        return len(self._right)

    def check(self, name: bytes, password: bytes, now: float) -> Callable[[], bool] | None:
        """None where this was right lately; else what takes long and finds it out, in any thread."""
        self._take_news(now)
        mark = hmac.digest(self._key, b"%d:%b%b" % (len(name), name, password), "sha256")
        if self._right.get(mark, 0.0) > now:
            return None
        text = self._known.get(name)
        # Somebody's hash for who is unknown, always the same one: it takes as long, and is not right.
        tried = self._hashes[stable_hash(name) % len(self._hashes)] if text is None else text

        def find_out() -> bool:
            is_right = is_password(password, tried) and text is not None
            if is_right:
                self._news.append((mark, now + REMEMBERED))
            return is_right

        return find_out

    def _take_news(self, now: float) -> None:
        while self._news:
            mark, until = self._news.popleft()
            self._right.pop(mark, None)
            self._right[mark] = until
        while self._right:
            oldest = next(iter(self._right))
            if len(self._right) <= MOST_REMEMBERED and self._right[oldest] > now:
                return
            del self._right[oldest]


def credentials(head: RequestHead) -> tuple[bytes, bytes] | None:
    """Name and password of the Authorization field (RFC 7617 §2); None where there are none, or not one pair."""
    values = head.get_all(b"authorization")
    if len(values) != 1:
        return None
    scheme, _, encoded = values[0].partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, colon, password = b64decode(encoded.strip(b" "), validate=True).partition(b":")
    except binascii.Error:
        return None
    return (name, password) if colon else None


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Names and hashes of an htpasswd file; ValueError without what is in a bad line."""
    seen: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        entry = line.strip(" \t\r")
        if not entry or entry.startswith("#"):
            continue
        name, colon, hashed = entry.partition(":")
        if not colon:
            raise ValueError(f"line {number} of the file is not name:hash; make it by `htpasswd -nB NAME`")
        if name in seen:
            raise ValueError(f"user {name!r} is there twice in the file; keep one of them")
        seen.add(name)
        yield name, hashed
