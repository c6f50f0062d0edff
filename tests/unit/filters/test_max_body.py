"""Filter `max_body`: refused by length, limited while it streams."""

from collections.abc import Callable

import pytest

from proxy.core.registry import BadOptionsError
from proxy.filters import FILTERS, Reply
from proxy.filters.effects import Effect, LimitBody
from proxy.filters.site import Site
from proxy.http1.facts import Facts
from proxy.http1.message import CHUNKED, NO_BODY

RequestOf = Callable[..., Facts]


@pytest.mark.parametrize(
    ("size", "length", "expected"),
    [
        (10, 10, None),
        (10, 11, "refused"),
        (10, 2**40, "refused"),
        (10, 0, None),
        (10, NO_BODY, None),
        (10, CHUNKED, LimitBody(10)),
        (0, 0, None),
        (0, 1, "refused"),
        (0, CHUNKED, LimitBody(0)),
    ],
)
def test_length_decides(request_of: RequestOf, size: int, length: int, expected: Effect | str | None) -> None:
    request = FILTERS.build("max_body", {"size": size}).compile(Site()).request
    assert request is not None
    effect = request.on_request(request_of(method=b"POST", length=length))
    if expected == "refused":
        assert isinstance(effect, Reply)
        assert (effect.status, effect.reason) == (413, "body_too_large")
    else:
        assert effect == expected


@pytest.mark.parametrize(("options", "hint"), [({}, "size"), ({"size": -1}, "not a size"), ({"size": "big"}, "size")])
def test_what_is_no_size_is_refused(options: dict[str, object], hint: str) -> None:
    with pytest.raises(BadOptionsError, match=hint):
        FILTERS.build("max_body", options)
