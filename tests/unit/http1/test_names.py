import pytest

from proxy.http1 import names
from proxy.http1.errors import MessageError


def test_remembered_names_are_bounded_in_number_and_size() -> None:
    codes = names.Codes(names.request_code)
    for number in range(5000):
        assert codes.learn(b"x-%d" % number) == names.KEEP
    assert codes.learn(b"x" * 65) == names.KEEP
    assert len(codes.known) <= 1024
    assert max(map(len, codes.known)) <= 64


def test_name_means_the_same_in_any_case_and_again() -> None:
    codes = names.Codes(names.request_code)
    for name in (b"Host", b"hOsT", b"HOST", b"Host"):
        assert codes.learn(name) == codes.known[name] == names.HOST


@pytest.mark.parametrize(
    "name", [b"", b" a", b"a ", b"a\t", b"a/b", b"\xe9", b"a\n", b"(a)", b'"a"', b"a{", b"a@b", b"a[0]", b"a=b"]
)
def test_name_that_is_no_token_is_refused_each_time(name: bytes) -> None:
    codes = names.Codes(names.request_code)
    for _ in range(2):
        with pytest.raises(MessageError):
            codes.learn(name)


def test_options_nominate_only_what_is_not_protected() -> None:
    options = frozenset((b"close", b"x-a", b"host", b"x-forwarded-port", b"cookie", b"authorization", b"upgrade"))
    assert names.nominated(options) == {b"x-a"}
