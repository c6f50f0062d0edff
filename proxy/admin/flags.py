"""The verbs on a flag. Each is answered with the flag, once what it changes is in force everywhere."""

from typing import Any

from msgspec import Struct

from proxy.admin.operation import Call
from proxy.control.flag_overrides import definitions
from proxy.control.flag_views import (
    EvaluationView,
    FlagView,
    OutcomeView,
    evaluation_view,
    flag_view,
    one_of,
    outcome_view,
)
from proxy.control.fleet import Outcome
from proxy.flags.spec import FlagOverride


class EvaluateOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the flag is evaluated for: `{"targetingKey": "ann", "region": "eu"}`."""

    context: dict[str, Any] = {}


async def every(call: Call) -> list[FlagView]:
    """Every flag."""
    control = call.control
    return [flag_view(control.document, control.state.flags, key) for key in definitions(control.document.flags)]


async def one(call: Call) -> FlagView:
    """One flag."""
    return flag_view(call.control.document, call.control.state.flags, call.names["flag"])


async def evaluate(call: Call) -> EvaluationView:
    """What it comes to for somebody, and why."""
    control = call.control
    board = control.flag_board.board(control.document)
    return evaluation_view(board, control.state.flags, call.names["flag"], call.body.context, control.world.wall())


async def outcome(call: Call) -> OutcomeView:
    """What came of it: how often it was told, and how the requests went that had it."""
    control, fleet, key = call.control, call.proxy.fleet, call.names["flag"]
    await fleet.ask()
    board = control.flag_board.board(control.document)
    return outcome_view(control.document, board, fleet.ledger.totals(), key, call.proxy.guards.views(key))


async def kill(call: Call) -> FlagView:
    """No outcome any more, until the override is cleared."""
    return await _overridden(call, FlagOverride(killed=True), "flag_killed")


async def override(call: Call) -> FlagView:
    """One variant for all, or another percentage."""
    order = one_of(call.body)
    return await _overridden(call, order, "flag_killed" if order.killed else "flag_overridden")


async def clear(call: Call) -> FlagView:
    """What the definition says."""
    return await _overridden(call, None, "flag_cleared")


async def _overridden(call: Call, order: FlagOverride | None, kind: str) -> FlagView:
    done: Outcome = await call.control.override_flag(call.names["flag"], order, call.who, kind)
    warnings = tuple(f"worker {pid} did not follow and is replaced" for pid in done.silent)
    return flag_view(call.control.document, call.control.state.flags, call.names["flag"], warnings)
