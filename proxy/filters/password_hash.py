"""Hashes of passwords as `htpasswd -B` and argon2 write them: which are taken, and whether a password is the one.

The libraries are loaded when the first password is checked, in the thread that does it: most workers never do.
"""

import re
from typing import Final

_ARGON2: Final = re.compile(
    r"\$argon2(?:id|i|d)\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,3}),p=([0-9]{1,2})\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{16,128}"
)
_BCRYPT: Final = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_MOST_MEMORY: Final = 256 * 1024  # KiB of argon2; two are computed at once
_MOST_ROUNDS: Final = 50
_BCRYPT_COSTS: Final = range(4, 16)  # 15 takes about two seconds
_BCRYPT_BYTES: Final = 72  # of a password; bcrypt knows no more of it
_WEAK: Final = (("$apr1$", "MD5"), ("$1$", "MD5"), ("{SHA}", "SHA-1"), ("{SSHA}", "SHA-1"), ("$5$", "crypt SHA-256"))
_REMEDY: Final = "make one by `htpasswd -nB -C 12 NAME`, or of argon2id"


def require_hash(name: str, text: str) -> None:
    """ValueError, which does not tell the text, unless this is a hash that can be checked at a sane price."""
    argon2, bcrypt = _ARGON2.fullmatch(text), _BCRYPT.fullmatch(text)
    if argon2 is not None:
        memory, rounds, lanes = map(int, argon2.groups())
        if not (8 <= memory <= _MOST_MEMORY and 1 <= rounds <= _MOST_ROUNDS and 1 <= lanes <= 16):
            raise ValueError(
                f"the argon2 hash of user {name!r} costs too much to check; use at most 256 MiB, 50 rounds"
            )
        if memory < 8 * lanes:  # RFC 9106 §3.1
            raise ValueError(f"the argon2 hash of user {name!r} has less than 8 KiB for each lane; {_REMEDY}")
    elif bcrypt is not None:
        if int(bcrypt[1]) not in _BCRYPT_COSTS:
            raise ValueError(f"the bcrypt cost of user {name!r} is not between 4 and 15; {_REMEDY}")
    else:
        kind = next(
            (f"an {kind} hash, which is guessed too fast" for begin, kind in _WEAK if text.startswith(begin)), ""
        )
        raise ValueError(f"the password of user {name!r} is {kind or 'neither a bcrypt nor an argon2 hash'}; {_REMEDY}")


def is_password(password: bytes, text: str) -> bool:
    """Is it the one that this hash is of? Takes long: not for the loop."""
    return _is_argon2(password, text) if text.startswith("$argon2") else _is_bcrypt(password, text)


def _is_argon2(password: bytes, text: str) -> bool:
    from argon2 import PasswordHasher  # noqa: PLC0415 - see above
    from argon2.exceptions import Argon2Error  # noqa: PLC0415

    try:
        return PasswordHasher().verify(text, password)
    except Argon2Error:
        return False


def _is_bcrypt(password: bytes, text: str) -> bool:
    import bcrypt  # noqa: PLC0415 - see above

    if len(password) <= _BCRYPT_BYTES and b"\0" not in password:
        return bcrypt.checkpw(password, text.encode())
    bcrypt.checkpw(b"x", text.encode())  # takes as long, and is not the password
    return False
