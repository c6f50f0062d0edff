"""Rollouts: what they name must exist, and their steps must be able to come to something where they stand."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from proxy.config.address_checks import Bound, bound
from proxy.config.addresses import Address, parse_endpoint
from proxy.config.diagnosis import nearest
from proxy.config.problems import Place, Problem, WrongError
from proxy.config.tree import Mapping, Scalar, Tree, shown
from proxy.core.registry import BadOptionsError
from proxy.core.url import is_url
from proxy.rollouts.flag_fit import unfit_flags
from proxy.rollouts.planning import LIVE, OTHER, planned_steps, rolling_problem, unsafe
from proxy.rollouts.spec import RolloutSpec
from proxy.rollouts.step import RouteTo, Step
from proxy.routing.matches import MATCHES
from proxy.snapshot.document import Document

if TYPE_CHECKING:
    from proxy.flags.definitions import FlagSet

_URLS = ("before", "after_step", "on_abort", "events")


def rollout_problems(root: Mapping) -> Iterator[Problem]:
    """Everything that is wrong between the keys of a rollout, and between rollouts and services."""
    homes = [own for own in bound(root) if own.what != "a listener"]
    for _, rollout in root.section("rollouts").sections():
        yield from _reference_problems(rollout, root.section("services"))
        yield from key_problems(rollout)
        yield from _hook_problems(rollout, homes)


def step_problems(specs: tuple[RolloutSpec, ...], root: Mapping) -> Iterator[Problem]:
    """Steps that cannot work where they stand."""
    for spec, (_, written) in zip(specs, root.section("rollouts").sections(), strict=True):
        steps = written.sequence("steps")
        rolling = rolling_problem(spec)
        if rolling is not None:
            wrong = WrongError.of(ValueError(rolling[1]))
            yield written.keys_[rolling[0]].place.problem(str(wrong), wrong.hint)
        place = written.keys_["strategy"].place if "strategy" in written else written.place
        try:
            planned = planned_steps(spec)
            found = [*unsafe(planned), *unroutable(planned)]
        except ValueError as error:
            wrong = WrongError.of(error)
            yield place.problem(str(wrong), wrong.hint)
            continue
        for position, text in found:
            wrong = WrongError.of(ValueError(text))
            where = steps[position].place if position < len(steps) else place
            yield where.problem(str(wrong), wrong.hint)


def flag_step_problems(document: Document, root: Mapping) -> Iterator[Problem]:
    """Steps and cohorts by flags that are not there, or are not such that the step can be done."""
    made = _flag_set(document)
    for spec, (_, written) in zip(document.rollouts, root.section("rollouts").sections(), strict=True):
        with suppress(ValueError):  # told already
            steps = written.sequence("steps")
            place = written.keys_["strategy"].place if "strategy" in written else written.place
            for position, text in unfit_flags(planned_steps(spec), made):
                wrong = WrongError.of(ValueError(text))
                where = _flag_place(steps[position]) if position < len(steps) else place
                yield where.problem(str(wrong), wrong.hint)


def _flag_set(document: Document) -> "FlagSet | None":
    if document.flags is None:
        return None
    from proxy.flags.definitions import read  # noqa: PLC0415 - 1.3 MiB for who has none

    return read(document.flags.document, document.flags.settings.bucketing)


def _flag_place(step: Tree) -> Place:
    """Where a step names its flag."""
    key = step.section("flag").scalar("key") if isinstance(step, Mapping) else None
    return step.place if key is None else key.place


def _reference_problems(rollout: Mapping, services: Mapping) -> Iterator[Problem]:
    service = rollout.scalar("service")
    if service is None:
        return
    if service not in services:
        yield service.place.problem(f"there is no service {shown(service)}", _near(service, services))
        return
    pools = services.section(service).section("pools")
    for key, word in (("stable", LIVE), ("candidate", OTHER), ("pool", "")):
        pool = rollout.scalar(key)
        if pool is not None and pool != word and pools and pool not in pools:
            message = f"the service {shown(service)} has no pool {shown(pool)}"
            yield pool.place.problem(message, _near(pool, pools))
    if "pool" in rollout:
        return
    stable, candidate = rollout.scalar("stable"), rollout.scalar("candidate")
    if stable is not None and stable == candidate:
        yield candidate.place.problem("stable and candidate are the same pool", "name another candidate")
    if rollout.get("candidate", OTHER) == OTHER and len(pools) > 2:
        where = rollout.get("candidate", service)
        yield where.place.problem(
            f"`other` is not clear: the service {shown(service)} has {len(pools)} pools", "name the candidate"
        )
    if len(pools) == 1:
        yield service.place.problem(f"the service {shown(service)} has only one pool", "add the one to go to")


def key_problems(rollout: Mapping) -> Iterator[Problem]:
    """What is wrong between the keys of one rollout, whoever wrote it."""
    if "steps" in rollout and "strategy" in rollout:
        yield rollout.keys_["strategy"].place.problem("a strategy writes the steps", "leave one of the two out")
    if "steps" in rollout and not rollout["steps"]:
        yield rollout.keys_["steps"].place.problem("there are no steps", "leave the key out for the strategy's")
    for key in _URLS:
        url = rollout.section("hooks").scalar(key)
        if url is not None and not is_url(url):
            yield url.place.problem(f"{shown(url)} is not a URL", "it begins with http:// or https:// and has a host")


def _hook_problems(rollout: Mapping, homes: list[Bound]) -> Iterator[Problem]:
    """Hooks that lead to our own admin, as far as their URLs say so themselves."""
    update = rollout.section("strategy").section("rolling").section("update")
    hooks = (
        *(rollout.section("hooks").scalar(key) for key in _URLS),
        *map(_asked, rollout.sequence("steps")),
        update.scalar("hook"),
    )
    for url in (each for each in hooks if each is not None):
        address = _address_in(url)
        own = next((own for own in homes if address is not None and address.reaches(own.address)), None)
        if own is not None:
            what = f"{shown(url)} leads back to ourselves: {own.what} listens there"
            yield url.place.problem(what, "a hook is another program's; name its address")


def _asked(step: Tree) -> Scalar | None:
    """The URL of a step that asks a hook."""
    if not isinstance(step, Mapping):
        return None
    return step.scalar("hook") or step.section("hook").scalar("url")


def unroutable(steps: Sequence[Step]) -> Iterator[tuple[int, str]]:
    """Steps that send requests to the candidate by what no route can match, by position, with what is wrong."""
    for position, step in enumerate(steps):
        for kind, value in (each for act in step.begin() if isinstance(act, RouteTo) for each in act.match.items()):
            try:
                MATCHES.build(kind, {"value": value})
            except BadOptionsError as error:
                yield position, str(error)


def _address_in(url: str) -> Address | None:
    """The host and port of a URL; None where they cannot be read, which validation tells."""
    with suppress(ValueError):
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return parse_endpoint(f"{host}:{parts.port or {'http': 80}.get(parts.scheme, 443)}", Path())
    return None


def _near(scalar: Scalar, known: Mapping) -> str:
    if scalar.secret or any(key.secret for key in known.keys_.values()):
        return ""
    return nearest(scalar, known)
