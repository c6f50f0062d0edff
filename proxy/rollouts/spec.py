"""A rollout as it is written, before anybody starts it. Plain data, a part of the Document."""

from typing import Any, Literal

from msgspec import Struct


class Written(Struct, frozen=True):
    """A step or a strategy by its registered name, with its options as plain data."""

    kind: str
    options: dict[str, Any] = {}


CANARY = Written("canary")


class RolloutSpec(Struct, frozen=True):
    """`stable` and `candidate` may still be `live` and `other`; without `steps` the `strategy` writes them.

    A rolling update has a `pool` instead of the two. `judge` and `hooks` are options as plain data, `gradual` is how
    many seconds an automatic abort takes. Workers do nothing with it.
    """

    name: str
    service: str
    stable: str = "live"
    candidate: str = "other"
    steps: tuple[Written, ...] = ()
    strategy: Written = CANARY
    judge: dict[str, Any] = {}
    on_no_data: Literal["wait", "pause", "abort"] = "wait"
    gradual: float = 0.0
    on_success: Literal["override", "persist"] = "override"
    hooks: dict[str, str] = {}
    pool: str | None = None
