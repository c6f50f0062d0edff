"""Addresses against each other: nothing bound twice, no endpoint twice, none that leads back to us."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from proxy.config.addresses import Address, parse_bind, parse_endpoint
from proxy.config.problems import Place, Problem, WrongError
from proxy.config.tree import Mapping, Scalar, shown
from proxy.config.values import read_bind, read_endpoint
from proxy.snapshot.document import Admin


@dataclass(frozen=True, slots=True)
class Bound:
    """An address of ours: `what` listens there, `shown` is how it may be told. `is_default`: it is not in the file."""

    what: str
    address: Address
    place: Place
    shown: str
    is_default: bool = False


def address_problems(root: Mapping) -> Iterator[Problem]:
    """Everything that is wrong with how addresses go together."""
    ours = list(bound(root))
    yield from _bound_twice(ours)
    yield from _open_admin(root.section("admin"))
    for _, service in root.section("services").sections():
        for name, pool in service.section("pools").sections():
            yield from _pool_problems(name, pool, ours)


def checked_endpoint(text: str, directory: Path, ours: Iterable[str], *, link_local: bool) -> Address:
    """An endpoint's address as it comes in while the proxy runs; WrongError for what the file would be refused for.

    `ours` are the addresses that we listen at, `link_local` is whether its pool may have such addresses.
    """
    address = parse_endpoint(text, directory)
    for own in ours:
        if address.reaches(parse_bind(own, directory)):
            raise WrongError(f"{text!r} leads back to ourselves: {own} is ours", "requests would go in circles")
    if address.is_link_local and not link_local:
        hint = "cloud machines give out their credentials there; if it is meant: allow_link_local: true in the pool"
        raise WrongError(f"{text!r} is a link-local address", hint)
    return address


def endpoints(pool: Mapping) -> Iterator[tuple[Scalar, Address]]:
    """The endpoints of a pool whose addresses can be read."""
    for item in pool.sequence("endpoints"):
        scalar = item.scalar("address") if isinstance(item, Mapping) else item
        address = _read(read_endpoint, scalar)
        if address is not None and isinstance(scalar, Scalar):
            yield scalar, address


def bound(root: Mapping) -> Iterator[Bound]:
    """Every address of ours that can be read: listeners, admin, status."""
    for listener in root.sequence("listeners").mappings():
        yield from _bound_by("a listener", listener)
    admin = root.section("admin")
    if "bind" in admin:
        yield from _bound_by("the admin", admin)
    else:
        default = Scalar.at(admin.place, Admin().bind)
        yield Bound("the admin (by default)", read_bind(default), admin.place, repr(str(default)), is_default=True)
    yield from _bound_by("status", root.section("status"))


def _bound_by(what: str, section: Mapping) -> Iterator[Bound]:
    scalar = section.scalar("bind")
    address = _read(read_bind, scalar)
    if scalar is not None and address is not None:
        yield Bound(what, address, scalar.place, shown(scalar))


def _bound_twice(ours: list[Bound]) -> Iterator[Problem]:
    """Each address with the first that is in its way; what the file does not write is never the one to blame."""
    ordered = sorted(ours, key=lambda one: not one.is_default)
    for index, here in enumerate(ordered):
        other = next((one for one in ordered[:index] if _overlap(one.address, here.address)), None)
        if other is not None:
            hint = "" if here.address.is_unix else "give each its own port"
            yield here.place.problem(f"{here.shown} is taken by {other.what} already", hint)


def _overlap(one: Address, two: Address) -> bool:
    if one.is_unix or two.is_unix:
        return one.text == two.text
    if one.port != two.port or one.port == 0 or one.ip is None or two.ip is None:
        return False
    return one.ip == two.ip or one.ip.is_unspecified or two.ip.is_unspecified


def _open_admin(admin: Mapping) -> Iterator[Problem]:
    scalar = admin.scalar("bind")
    address = _read(read_bind, scalar)
    if scalar is None or address is None or address.is_loopback or "token" in admin or admin.sequence("tokens"):
        return
    hint = "add token: ${SLUICE_TOKEN}, or bind it to 127.0.0.1 or a unix socket"
    yield scalar.place.problem("the admin can be reached from other machines, and has no token", hint)


def _pool_problems(name: Scalar, pool: Mapping, ours: list[Bound]) -> Iterator[Problem]:
    link_local_allowed = (pool.scalar("allow_link_local") or "") == "true"
    seen: dict[str, Scalar] = {}
    for scalar, address in endpoints(pool):
        first = seen.setdefault(address.text, scalar)
        if first is not scalar or first.place != scalar.place:
            hint = f"first at {first.place.line}:{first.place.column}; a weight gives it more"
            yield scalar.place.problem(f"{shown(scalar)} is an endpoint of {shown(name)} twice", hint)
        for own in (own for own in ours if address.reaches(own.address)):
            hint = "requests would go in circles"
            yield scalar.place.problem(f"{shown(scalar)} leads back to ourselves: {own.what} listens there", hint)
        if address.is_link_local and not link_local_allowed:
            hint = "cloud machines give out their credentials there; if it is meant: allow_link_local: true in the pool"
            yield scalar.place.problem(f"{shown(scalar)} is a link-local address", hint)


def _read(read: Callable[[Scalar], Address], scalar: object) -> Address | None:
    if not isinstance(scalar, Scalar) or scalar.missing:
        return None
    try:
        return read(scalar)
    except ValueError:
        return None  # validation tells it
