"""The verbs on a service. Each answers with the service as GET shows it, once the change is in force everywhere."""

from pathlib import Path

from msgspec import UNSET, UnsetType

from proxy.admin.body import check_split, seconds
from proxy.admin.operation import Answer, Call
from proxy.admin.problem import ProblemError
from proxy.config.address_checks import checked_endpoint
from proxy.config.addresses import parse_endpoint
from proxy.config.problems import WrongError
from proxy.control.fleet import Outcome
from proxy.control.shown import pool_views
from proxy.control.views import CutView, ServiceView, per_cent
from proxy.snapshot.document import Document, Endpoint, Pool
from proxy.telemetry.report import WorkerReport

_CHANGED: Outcome = Outcome()


async def all_services(call: Call) -> list[ServiceView]:
    """Every service."""
    reports = await call.proxy.fleet.ask()
    return [_view(call, service.name, reports, _CHANGED) for service in call.control.document.services]


async def one(call: Call) -> Answer:
    """One service."""
    call.control.service(call.names["service"])
    return await _shown(call, _CHANGED)


async def split(call: Call) -> Answer:
    """Set the split."""
    call.control.service(call.names["service"], call.who)
    check_split(call.body)
    move = call.query.get("sessions") == "move"
    return await _shown(call, await call.control.split(call.names["service"], call.body, call.who, move=move))


async def reset(call: Call) -> Answer:
    """Back to the file's split."""
    return await _shown(call, await call.control.reset(call.names["service"], call.who))


async def flip(call: Call) -> Answer:
    """Give one pool everything."""
    move = call.body.sessions == "move"
    return await _shown(call, await call.control.flip(call.names["service"], call.body.to, call.who, move=move))


async def undo(call: Call) -> Answer:
    """Back to what was before the last change."""
    return await _shown(call, await call.control.undo(call.names["service"], call.who))


async def persist(call: Call) -> Answer:
    """Write the split into the file."""
    await call.proxy.persist(call.names["service"], call.who)
    return await _shown(call, Outcome(silent=call.control.silent))


async def drain(call: Call) -> Answer:
    """Take a pool or an endpoint out."""
    deadline = seconds(call.body.deadline)
    service, pool = call.names["service"], call.names["pool"]
    done = await call.control.drain(service, pool, _address(call), call.who, deadline=deadline, cut=call.body.cut)
    return await _shown(call, done)


async def restore(call: Call) -> Answer:
    """Take a pool or an endpoint back in."""
    return await _shown(
        call, await call.control.restore(call.names["service"], call.names["pool"], _address(call), call.who)
    )


async def add_endpoint(call: Call) -> Answer:
    """An endpoint more, or another weight for one that is there."""
    service, pool = call.names["service"], call.names["pool"]
    call.control.service(service, call.who)
    try:
        here, document = Path(call.proxy.config).parent, call.control.document
        meant = _pool(document, service, pool)
        address = checked_endpoint(
            call.body.address, here, document.binds, link_local=meant is not None and meant.allow_link_local
        )
    except WrongError as wrong:
        raise ProblemError(400, f"{wrong}{f' ({wrong.hint})' if wrong.hint else ''} - at `$.address`") from wrong
    new = Endpoint(address.text, call.body.weight)
    return await _shown(call, await call.control.add_endpoint(service, pool, new, call.body.backup, call.who))


async def remove_endpoint(call: Call) -> Answer:
    """An endpoint less."""
    service, pool = call.names["service"], call.names["pool"]
    return await _shown(call, await call.control.remove_endpoint(service, pool, _address(call) or "", call.who))


def _pool(document: Document, service: str, pool: str) -> Pool | None:
    services = (each for each in document.services if each.name == service)
    return next((each for one in services for each in one.pools if each.name == pool), None)


def _address(call: Call) -> str | None:
    """The address in the URL in the form in which the document has it; as it is, where it is none."""
    text = call.names.get("address")
    try:
        return None if text is None else parse_endpoint(text, Path(call.proxy.config).parent).text
    except WrongError:
        return text


async def _shown(call: Call, done: Outcome) -> Answer:
    reports = await call.proxy.fleet.ask()
    name = call.names["service"]
    view = _view(call, name, reports, done)
    return Answer(view, {"ETag": call.control.etag(name)})


def _view(call: Call, name: str, reports: list[WorkerReport], done: Outcome) -> ServiceView:
    control = call.control
    shares = per_cent(control.split_of(name))
    warnings = tuple(f"worker {pid} did not answer in time, and is being replaced" for pid in done.silent)
    cut: CutView | UnsetType = UNSET if done.cut is None else CutView(*done.cut)
    return ServiceView(
        name=name,
        split=shares,
        split_from="override" if name in control.state.splits else "file",
        pools=pool_views(control.service(name), shares, reports, call.proxy.why, control.wanted_service(name)),
        generation=control.generation,
        warnings=warnings,
        cut=cut,
    )
