"""An operation: one method of one URL. Routes and the OpenAPI document are made of the same rows, so they agree."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol
from urllib.parse import unquote

from aiohttp import web
from msgspec import Struct

from proxy.control.conductor import Conductor
from proxy.control.control import Control, Who
from proxy.control.flag_guards import FlagGuards
from proxy.control.fleet import WorkerView
from proxy.control.journal import Journal
from proxy.control.views import CheckView, ReloadCounts, ReloadView
from proxy.pools.registry import EndpointKey
from proxy.rollouts.spec import RolloutSpec
from proxy.telemetry.report import WorkerReport
from proxy.telemetry.totals import Ledger

Needs = Literal["nothing", "read", "change"]

Way = Literal["bearer", "api_key", "ticket"]
"""How a token is shown: as `Authorization: Bearer`, as `X-API-Key`, or by a ticket in the URL that was given for it."""


class Fleet(Protocol):
    """What the admin needs of the workers."""

    @property
    def workers(self) -> tuple[WorkerView, ...]:
        """Those there are."""
        ...

    @property
    def ledger(self) -> Ledger:
        """What all that there ever were have counted, as last told."""
        ...

    async def ask(self) -> list[WorkerReport]:
        """What each has counted."""
        ...


class Proxy(Protocol):
    """What the admin needs of the controller."""

    control: Control
    journal: Journal
    conductor: Conductor
    guards: FlagGuards

    def rollout_spec(self, body: dict[str, Any]) -> RolloutSpec:
        """The rollout that somebody has posted."""
        ...

    @property
    def reloads(self) -> ReloadCounts:
        """How reloads went."""
        ...

    @property
    def fleet(self) -> Fleet:
        """The workers."""
        ...

    @property
    def uptime(self) -> float:
        """In seconds."""
        ...

    @property
    def config(self) -> str:
        """Where the configuration is."""
        ...

    def why(self, endpoint: EndpointKey) -> str | None:
        """Why an endpoint is in its state; None where there is nothing to say."""
        ...

    def is_ready(self) -> bool:
        """Does every worker serve what is in force?"""
        ...

    def problems(self) -> tuple[str, ...]:
        """What is wrong now."""
        ...

    def effective(self) -> dict[str, Any]:
        """What is in force, in the words of the YAML and without its secrets."""
        ...

    def conceal(self, text: str) -> str:
        """The text, masked where it is secret."""
        ...

    def restart(self, who: Who) -> None:
        """Restart everything with the code on disk."""
        ...

    async def check(self, text: str | None = None) -> CheckView:
        """What a reload would find; or what is to be said of a text."""
        ...

    async def reload(self, *, by: str, reason: str | None = None) -> ReloadView:
        """Read the configuration again."""
        ...

    async def persist(self, name: str, who: Who) -> None:
        """Write a service's split into the file."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation. `names` are the parts of the URL that it names, decoded; `body` is what it declares."""

    proxy: Proxy
    request: web.BaseRequest
    names: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    who: Who

    @property
    def control(self) -> Control:
        """Where every verb is."""
        return self.proxy.control


@dataclass(frozen=True, slots=True)
class Answer:
    """A body to encode, with fields that go with it."""

    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that may stand in the query. `read` makes its value of the text, or raises ValueError."""

    name: str
    says: str
    schema: Mapping[str, Any]
    read: Callable[[str], Any]


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """A body with nothing in it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """`do` makes the answer, which is of the type `answer`; None for what is no JSON and told by `kind` instead.

    `takes`: the body is given as it came, up to so many bytes; `body` then only describes it. `failure` is the type of
    answers that refuse, where that is no problem detail. `ways` are those in which a token may be shown.
    """

    method: Literal["GET", "PUT", "POST", "DELETE"]
    path: str
    summary: str
    needs: Needs
    do: Callable[[Call], Awaitable[Any]]
    answer: Any
    body: Any = Nothing
    query: tuple[Parameter, ...] = ()
    kind: str = "application/json"
    refuses: tuple[int, ...] = ()
    is_about_service: bool = False
    takes: int | None = None
    failure: Any = None
    ways: tuple[Way, ...] = ("bearer",)

    @property
    def names(self) -> tuple[str, ...]:
        """What the URL names."""
        return tuple(_NAME.findall(self.path))


_NAME: Final = re.compile(r"\{([a-z]+)\}")


class Table:
    """All operations, found by method and URL."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self.operations = operations
        self._fixed = {each.path: each.path for each in operations if not each.names}
        self._patterns = {
            re.compile(_NAME.sub(r"(?P<\1>[^/]+)", each.path)): each.path for each in operations if each.names
        }
        self._methods: dict[str, dict[str, Operation]] = {}
        for each in operations:
            self._methods.setdefault(each.path, {})[each.method] = each

    def find(self, path: str) -> tuple[Mapping[str, Operation], Mapping[str, str]]:
        """The operations at a URL by method, and what the URL names; none at all where nothing is.

        `path` is as it was sent: a %2F is part of a name.
        """
        if path in self._fixed:
            return self._methods[path], {}
        for pattern, template in self._patterns.items():
            found = pattern.fullmatch(path)
            if found is not None:
                return self._methods[template], {name: unquote(text) for name, text in found.groupdict().items()}
        return {}, {}
