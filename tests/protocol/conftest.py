"""Both implementations of the head parser, and what a table's row is compared by."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from proxy.http1 import head, ordinary
from proxy.http1.errors import MessageError
from proxy.http1.limits import HeadLimits


def accelerator() -> ModuleType | None:
    """The built extension, whichever the process itself uses."""
    try:
        return importlib.import_module("proxy.http1._head")
    except ImportError:
        return None


@pytest.fixture(params=["reference", "plain", "accelerated"])
def implementation(request: pytest.FixtureRequest) -> ModuleType:
    """A module with parse_request_head and parse_response_head."""
    chosen = {"reference": head, "plain": ordinary}.get(request.param) or accelerator()
    if chosen is None:
        pytest.skip("the accelerator is not built")
    return chosen


@pytest.fixture
def outcome() -> Callable[[Callable[..., Any], bytes, HeadLimits], Any]:
    """What a parser makes of some bytes: None, the parts of the head by name, or status and reason of the refusal."""

    def outcome(parse: Callable[..., Any], data: bytes, limits: HeadLimits) -> Any:
        try:
            parsed = parse(data, limits)
        except MessageError as error:
            return (error.status, error.reason)
        return parsed and {name: getattr(parsed, name) for name in parsed.__slots__}

    return outcome
