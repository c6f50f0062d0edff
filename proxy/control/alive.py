"""Who is alive: probes, ejections and names of every endpoint in force, told to all workers whenever it changes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from msgspec.structs import replace

from proxy.config.addresses import parse_bind
from proxy.control.ejections import Ejections
from proxy.control.health import combined, encode
from proxy.control.probes import Prober, Target
from proxy.control.resolver import Resolver, name_of
from proxy.core.clock import Clock
from proxy.pools.endpoint import State
from proxy.pools.registry import EndpointKey
from proxy.pools.report import Report, Reported
from proxy.snapshot.document import Document, Endpoint, Pool, Service

_KNOWN: Final = {"up": State.UP, "ejected": State.UP, "down": State.DOWN, "unproven": State.UNPROVEN}


class Surroundings(Protocol):
    """What happens when something has changed."""

    def tell_health(self, report: bytes) -> None:
        """Tell every worker."""
        ...

    def readdressed(self, why: str) -> None:
        """A host name has other addresses: the document is to be made anew."""
        ...

    def later(self, seconds: float, action: Callable[[], None]) -> Any:
        """Call back after so long."""
        ...


class Alive:
    """Looks after the endpoints of the document in force. `before` is what an earlier controller had told."""

    def __init__(self, clock: Clock, around: Surroundings, before: Mapping[EndpointKey, Reported]) -> None:
        self._clock = clock
        self._around = around
        self._before = dict(before)
        self._prober = Prober(clock, lambda _: self._tell_soon(), self._tell_soon)
        self._resolver = Resolver(clock, 5.0, self._readdressed)
        self._ejections = Ejections()
        self._endpoints: dict[EndpointKey, Endpoint] = {}
        self._services: dict[str, Service] = {}
        self._told: Report | None = None
        self._is_telling = False

    @property
    def is_told(self) -> bool:
        """Is the first round of probes over, and what it has shown on its way to the workers?"""
        return self._prober.is_settled and not self._is_telling and self._told is not None

    # -- names

    def watch_names(self, *documents: Document) -> None:
        """Resolve every name in these."""
        names, link_local = set(), set()
        for service in (service for document in documents for service in document.services):
            for pool in service.pools:
                for endpoint in pool.endpoints:
                    name = name_of(endpoint.address)
                    if name is not None:
                        names.add(name)
                        link_local |= {name} if pool.allow_link_local else set()
        self._resolver.interval = documents[-1].dns_interval
        ours = {bind for document in documents for bind in document.binds}
        self._resolver.watch(names, link_local, (parse_bind(bind, Path()) for bind in sorted(ours)))

    async def names_settled(self) -> None:
        """Until every name was answered or has failed once; a name is given up on after five seconds."""
        await self._resolver.settled()

    def resolve(self, document: Document) -> Document:
        """The document with addresses in the place of names; one that never was resolved has none."""
        return replace(document, services=tuple(map(self._resolved, document.services)))

    def _resolved(self, service: Service) -> Service:
        if all(name_of(endpoint.address) is None for pool in service.pools for endpoint in pool.endpoints):
            return service
        return replace(service, pools=tuple(map(self._resolved_pool, service.pools)))

    def _resolved_pool(self, pool: Pool) -> Pool:
        found: dict[str, Endpoint] = {}
        for endpoint in pool.endpoints:
            name = name_of(endpoint.address)
            addresses = (endpoint.address,) if name is None else self._resolver.addresses(name)
            for address in addresses:
                resolved = endpoint if name is None else replace(endpoint, address=address, name=endpoint.address)
                there = found.get(address)  # two names of one address are one endpoint, and a backup only if both are
                if there is None or (there.backup and not resolved.backup):
                    found[address] = resolved
        return replace(pool, endpoints=tuple(found.values()))

    def _readdressed(self, name: tuple[str, int], addresses: tuple[str, ...]) -> None:
        self._around.readdressed(f"{name[0]} is {', '.join(addresses)}")

    # -- endpoints

    def look_after(self, wanted: Document, document: Document) -> None:
        """This is in force now: what is wanted, with its names resolved."""
        self.watch_names(wanted)
        known: dict[EndpointKey, State] = {}
        targets: dict[EndpointKey, Target] = {}
        endpoints: dict[EndpointKey, Endpoint] = {}
        for service in document.services:
            for pool in service.pools:
                for endpoint in pool.endpoints:
                    key = (service.name, pool.name, endpoint.address)
                    endpoints[key] = replace(endpoint, drain=endpoint.drain or pool.drain)
                    # What drains is not probed, so that what comes back is proven again.
                    if service.health is not None and not endpoints[key].drain:
                        host = endpoint.name or endpoint.address
                        targets[key] = Target(endpoint.address, host, service.health)
                        there = self._endpoints.get(key)
                        if (key in self._before) if there is None else not there.drain:
                            # It serves already: that its first probe here is yet to come does not take it out.
                            known[key] = _KNOWN[self._state(key)]
        drained = {key for key, endpoint in endpoints.items() if endpoint.drain}
        self._ejections.forget((self._endpoints.keys() - endpoints.keys()) | drained)
        self._endpoints = endpoints
        self._services = {service.name: service for service in document.services}
        self._prober.watch(targets, known)
        self._tell_soon()

    def failed(self, key: EndpointKey) -> bool:
        """A worker reports that requests keep failing here; whether that ejects the endpoint."""
        service = self._services.get(key[0])
        if service is None or service.ejection is None:
            return False
        members = {
            member: not endpoint.drain and endpoint.weight > 0 and self._state(member) == "up"
            for member, endpoint in self._endpoints.items()
            if member[:2] == key[:2]
        }
        if not self._ejections.failed(key, members, service.ejection, self._clock.monotonic()):
            return False
        self._wait_for_readmission()
        self._tell_soon()
        return True

    def _wait_for_readmission(self) -> None:
        due = self._ejections.next_due()
        if due is not None:
            self._around.later(max(0.0, due - self._clock.monotonic()), self._readmit)

    def _readmit(self) -> None:
        if self._ejections.readmit_due(self._clock.monotonic()):
            self._tell_soon()

    # -- what others ask

    def is_usable(self, service: str, pool: str, address: str) -> bool:
        """May requests go there, as far as health is concerned?"""
        return self._state((service, pool, address)) == "up"

    def why(self, key: EndpointKey) -> str | None:
        """Why an endpoint is in its state, in one sentence; None where there is nothing to say."""
        until = self._ejections.until(key)
        if until is not None:
            return f"requests kept failing; back in {max(0.0, until - self._clock.monotonic()):.0f} s"
        last = self._prober.last(key)
        if last is not None:
            return last.sentence
        name = name_of(key[2])
        problem = None if name is None else self._resolver.problems().get(name)
        return None if problem is None else problem.sentence

    def problems(self) -> tuple[str, ...]:
        """What is wrong with names now."""
        return tuple(problem.sentence for problem in self._resolver.problems().values())

    async def close(self) -> None:
        """End all probes and lookups."""
        await self._prober.close()
        await self._resolver.close()

    # -- inside

    def _state(self, key: EndpointKey) -> Reported:
        if self._told is not None and key in self._told:
            return self._told[key]
        if key in self._before:
            return self._before[key]
        service = self._services.get(key[0])
        return "up" if service is None or service.health is None else "unproven"

    def _tell_soon(self) -> None:
        """Once for all that changes within one turn of the loop."""
        if not self._is_telling:
            self._is_telling = True
            self._around.later(0.0, self._tell)

    def _tell(self) -> None:
        self._is_telling = False
        table = combined(self._endpoints, self._prober.states, self._ejections)
        if table != self._told:
            self._told = table
            self._around.tell_health(encode(table))
