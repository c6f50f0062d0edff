"""Session cookies: any session comes back, and nothing that was not written does."""

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.routing.sticky import Binding, Session, SessionCodec

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
SESSIONS = st.builds(Session, st.binary(min_size=16, max_size=16), U32, st.none() | st.builds(Binding, U64, U32, U32))
CODEC = SessionCodec("shop", [b"a key of sixteen bytes or more", b"another"])


@settings(max_examples=200)
@given(SESSIONS)
def test_session_comes_back(session: Session) -> None:
    assert CODEC.decode(CODEC.encode(session)) == session


@settings(max_examples=200)
@given(st.binary(max_size=120) | st.text("AQgo-_=+/ab", min_size=70, max_size=110).map(str.encode))
def test_any_other_value_is_no_session(value: bytes) -> None:
    assert CODEC.decode(value) is None
