"""The two cohorts of a pool that is updated in place, as the conductor asks for them: who is in which, who is well."""

from collections.abc import Iterable

from proxy.control.control import Control
from proxy.pools.balancer import Keyed
from proxy.pools.balancers import BALANCERS
from proxy.rollouts.plan import Plan
from proxy.snapshot.document import Endpoint, Pool, Service


def written(pool: Pool) -> list[str]:
    """The endpoints of a pool as somebody wrote them: a host name is one, whatever it resolves to."""
    return list(dict.fromkeys(each.name or each.address for each in pool.endpoints))


def counts_by_users(service: Service, plan: Plan) -> bool:
    """Do requests go where they go because of who asks? Then each bucket of users counts once.

    Endpoints that are updated in place are given out by chance, but for those that a session or a key stands for.
    """
    if not plan.is_rolling:
        return service.sticky is not None
    balancer = BALANCERS.build(service.balance.kind, service.balance.options)
    return isinstance(balancer, Keyed) or (service.sticky is not None and service.sticky.endpoint)


def sides_down(control: Control, plan: Plan, service: Service) -> tuple[bool, bool]:
    """Whether stable, and whether the candidate, has nothing usable: pools, or cohorts of one.

    A cohort without endpoints that take traffic, as all of them are drained, is not down.
    """
    usable = control.usable_pools(service)
    if not plan.is_rolling or plan.stable not in usable:
        return plan.stable not in usable, plan.candidate not in usable
    course = control.state.courses.get(plan.service)
    updated = () if course is None else course.updated
    endpoints = next(each.endpoints for each in service.pools if each.name == plan.stable)
    at_work = [each for each in endpoints if not each.drain]
    mine = [each for each in at_work if (each.name or each.address) in updated]
    others = [each for each in at_work if each not in mine]
    return _is_down(control, plan, others), _is_down(control, plan, mine)


def _is_down(control: Control, plan: Plan, endpoints: Iterable[Endpoint]) -> bool:
    found = [control.world.is_usable(plan.service, plan.stable, each.address) for each in endpoints]
    return bool(found) and not any(found)
