"""A plug-in at one place: what its hooks may come to, and that whatever else they do is a counted failure."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy.filters.effects import ChoosePool
from proxy.filters.effects import Reply as Answered
from proxy.filters.plugin import Plugin
from proxy.filters.site import Site
from proxy.http1.message import NO_BODY, RequestHead
from proxy.plugins import Reply
from proxy.plugins.host import Host


class Evil(BaseException):
    """What no `except Exception` takes."""


@dataclass
class Says:
    """Does what it was given."""

    do: Callable[[Any], Any]

    def on_request(self, request: Any, _facts: Any) -> Any:
        return self.do(request)


class Library:
    """Of one class, with its options."""

    def __init__(self, do: Callable[[Any], Any]) -> None:
        self._do = do

    def get(self, _use: str) -> type[Any]:
        return Says

    def make(self, _use: str, _options: Any) -> Any:
        return Says(self._do)

    def version(self, _use: str) -> str:
        return ""


class Known:
    """What the data plane's exchange is to a plug-in."""

    def __init__(self) -> None:
        self.head = RequestHead(b"GET", b"/", 1, b"a", NO_BODY, 0, b"", None, None, 0)
        self.path, self.query, self.host = b"/", b"", b"a"


def raises(error: BaseException) -> Any:
    raise error


def names(pool: Any) -> Callable[[Any], None]:
    return lambda request: setattr(request, "pool", pool)


def run(do: Callable[[Any], Any], on_error: Any = "fail", pools: Any = ("blue", "green")) -> tuple[Any, Host]:
    """What the filter asks for, and the plug-in's host."""
    hooks = Plugin("a:B", on_error=on_error).compile(Site(where="route all", pools=pools, plugins=Library(do)))
    assert hooks.request is not None
    facts: Any = Known()
    host: Any = hooks.request.standing
    return hooks.request.on_request(facts), host


@pytest.mark.parametrize(
    ("do", "effect"),
    [
        (lambda _: None, None),
        (names("green"), ChoosePool("green")),
        (lambda _: Reply(204), Answered(204)),
        (
            lambda _: Reply(299, "é", {"x-a": "b"}),
            Answered(299, b"content-type: text/plain; charset=utf-8\r\nx-a: b\r\n", "é".encode()),
        ),
        (
            lambda _: Reply(200, b"a", {"Content-Type": "text/html"}),
            Answered(200, b"Content-Type: text/html\r\n", b"a"),
        ),
    ],
)
def test_hook_comes_to_an_effect(do: Any, effect: Any) -> None:
    found, host = run(do)
    assert (found, host.raised) == (effect, 0)


SENSELESS: list[Any] = [
    lambda _: raises(RuntimeError("no")),
    lambda _: raises(Evil()),
    lambda _: raises(SystemExit(1)),
    lambda _: raises(RecursionError()),
    lambda _: 5,
    lambda _: "text",
    lambda _: (200, "text"),
    lambda _: iter(()),
    names("nowhere"),
    names(5),
    names(["blue"]),
    lambda _: Reply(99),
    lambda _: Reply(True),
    lambda _: Reply(200.5),  # type: ignore[arg-type]
    lambda _: Reply(204, "body"),
    lambda _: Reply(200, None),  # type: ignore[arg-type]
    lambda _: Reply(200, "\udc80"),
    lambda _: Reply(200, "", {"x-a": "b\r\nx-c: d"}),
    lambda _: Reply(200, "", {"content-length": "7"}),
    lambda _: Reply(200, "", {"x-a": 5}),  # type: ignore[dict-item]
    lambda _: Reply(200, "", ["x-a"]),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("do", SENSELESS)
def test_whatever_else_it_does_is_a_failure(do: Any) -> None:
    found, host = run(do)
    assert (found.status, found.reason, host.raised) == (500, "plugin_failed", 1)
    found, host = run(do, "skip")
    assert (found, host.raised) == (None, 1)


@dataclass(frozen=True)
class Frozen:
    """Cannot be given anything."""

    def on_end(self, record: Any) -> None: ...


@dataclass(frozen=True)
class Counts:
    """Has counters of its own."""

    counters: Counter[str] = field(default_factory=Counter, init=False)

    def on_end(self, record: Any) -> None: ...


def test_time_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no async hook is done within no time"):
        Plugin("a:B", timeout=0.0)


@dataclass
class Confused:
    """Has something else of that name."""

    counters: int = 3


def test_counters_are_the_plug_ins_own_or_given_to_it_where_it_takes_them() -> None:
    assert Host("a:B", "filters", Frozen(), "fail", 1.0).counters == Counter()
    counts = Counts()
    assert Host("a:B", "filters", counts, "fail", 1.0).counters is counts.counters
    says: Any = Says(lambda _: None)
    assert Host("a:B", "filters", says, "fail", 1.0).counters is says.counters
    with pytest.raises(ValueError, match=r"must be a collections\.Counter"):
        Host("a:B", "filters", Confused(), "fail", 1.0)
