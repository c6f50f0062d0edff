"""The verbs on a rollout. Each is answered with the rollout, once what it changes is in force everywhere."""

from typing import Any

from msgspec import Struct

from proxy.admin.operation import Call
from proxy.control.rollout_views import PlanView, RolloutView
from proxy.rollouts.states import Verb


class PromoteOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """`full`: everything to the candidate at once, whatever steps are left."""

    full: bool = False


async def every(call: Call) -> list[RolloutView]:
    """Every rollout."""
    book = call.proxy.conductor.book
    return [book.view(name) for name in book.names()]


async def one(call: Call) -> RolloutView:
    """One rollout."""
    return call.proxy.conductor.book.view(call.names["rollout"])


async def plan(call: Call) -> PlanView:
    """What it is to do."""
    return call.proxy.conductor.book.plan_view(call.names["rollout"])


async def add(call: Call) -> RolloutView:
    """A rollout that the file does not have."""
    spec = call.proxy.rollout_spec(call.body)
    await call.proxy.conductor.add(spec, call.who)
    return call.proxy.conductor.book.view(spec.name)


async def start(call: Call) -> RolloutView:
    """Begin it."""
    await call.proxy.conductor.start(call.names["rollout"], call.who)
    return await one(call)


async def promote(call: Call) -> RolloutView:
    """On to the next step, or to the end."""
    return await _signalled(call, "promote_full" if call.body.full else "promote")


def verb(name: Verb) -> Any:
    """What does one of the verbs."""

    async def do(call: Call) -> RolloutView:
        return await _signalled(call, name)

    return do


async def _signalled(call: Call, name: Verb) -> RolloutView:
    await call.proxy.conductor.signal(call.names["rollout"], name, call.who)
    return await one(call)
