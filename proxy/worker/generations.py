"""The generations of one worker: the one in force, the one that is prepared, and the road between them."""

import asyncio
import gc
import os
import random
import time
from collections.abc import Generator, Mapping
from typing import Final

import msgspec

from proxy.filters.site import States
from proxy.plugins.library import Library
from proxy.pools.endpoint import Endpoint
from proxy.pools.registry import EndpointRegistry
from proxy.snapshot.compile import CompileError, Snapshot, compiling
from proxy.snapshot.document import Document
from proxy.snapshot.parts import DocumentReader, hashes
from proxy.snapshot.services import Sources
from proxy.telemetry.evidence import Seeing
from proxy.telemetry.flag_outcomes import FlagOutcomes
from proxy.worker.hosts import Hosts

SLICE: Final = 0.002  # seconds of compiling before traffic gets its turn


class OutOfStepError(Exception):
    """A change builds on a generation that is not in force here."""


class Generations:
    """Compiles documents in slices, and brings them into force. `snapshot` is the one in force."""

    def __init__(self, registry: EndpointRegistry) -> None:
        self._reader = DocumentReader()
        self._parts: dict[str, bytes] = {}
        self._prepared: tuple[Snapshot, Document, dict[str, bytes]] | None = None
        self.registry = registry
        self.states = States()
        self.seeing = Seeing()
        self.outcomes = FlagOutcomes()
        self.hosts = Hosts()
        self.snapshot: Snapshot | None = None
        self.document: Document | None = None

    @property
    def number(self) -> int:
        """The generation in force; 0 before the first."""
        return self.snapshot.generation if self.snapshot else 0

    async def prepare(
        self, generation: int, base: int, parts: Mapping[str, bytes], dropped: tuple[str, ...]
    ) -> Document:
        """Compile what `parts` and `dropped` make of the generation `base` (-1: of nothing); its document.

        CompileError where that has problems, OutOfStepError where `base` is not in force.
        """
        self._prepared = None
        found = self._merged(base, parts, dropped)
        try:
            document = self._reader.read(found)
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise CompileError([f"the document cannot be read: {error}"]) from error
        steps = self._steps(generation, document, found, await self.hosts.load(document))
        gc.disable()  # a look at everything that lives, in the middle of making more of it: 50 ms for 2,000 endpoints
        try:
            prepared = await self._walk(steps), document, found
        finally:
            gc.enable()
        await self.hosts.open_new(prepared[0], self.snapshot)
        self._prepared = prepared
        return document

    async def _walk(self, steps: Generator[None, None, Snapshot]) -> Snapshot:
        began = time.monotonic()  # the loop's own clock stands still within a turn
        while True:
            try:
                next(steps)
            except StopIteration as done:
                snapshot: Snapshot = done.value
                return snapshot
            if time.monotonic() - began > SLICE:
                await asyncio.sleep(0)
                began = time.monotonic()

    def commit(self, generation: int) -> list[Endpoint]:
        """Bring what was prepared into force; returns endpoints that are gone, whose idle connections are to close."""
        prepared, self._prepared = self._prepared, None
        if prepared is None or prepared[0].generation != generation:
            raise OutOfStepError(f"generation {generation} was not prepared")
        self.snapshot, self.document, self._parts = prepared
        self.snapshot.activate()
        self.hosts.retire(self.snapshot)
        gone = self.registry.sweep()
        gc.freeze()  # it lives until the next one; what it replaces goes by its reference counts alone
        return gone

    async def abandon(self) -> None:
        """Forget what was prepared."""
        self._prepared = None
        await self.hosts.close_unused(self.snapshot)

    def _merged(self, base: int, parts: Mapping[str, bytes], dropped: tuple[str, ...]) -> dict[str, bytes]:
        if base == -1:
            return dict(parts)
        if base != self.number:
            raise OutOfStepError(f"the change builds on generation {base}, and {self.number} is in force")
        return {name: data for name, data in {**self._parts, **parts}.items() if name not in dropped}

    def _steps(
        self, generation: int, document: Document, found: Mapping[str, bytes], library: Library
    ) -> Generator[None, None, Snapshot]:
        workers = document.workers if isinstance(document.workers, int) else 1
        sources = Sources(
            self.registry,
            random.random,
            document.cookie_keys,
            os.urandom,
            workers,
            self.states,
            library,
            self.seeing,
            self.outcomes,
        )
        before = self.snapshot.hashes if self.snapshot else {}
        same = {name: before[name] for name, data in found.items() if self._parts.get(name) is data}
        digests = {**hashes({name: data for name, data in found.items() if name not in same}), **same}
        return compiling(document, digests, generation, sources, self.snapshot)
