"""What clients that follow the flags are told: that those which they may see are others than before."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from proxy.filters.effects import Event
from proxy.filters.flagging import FlagBoard


@dataclass(frozen=True, slots=True)
class FlagNews:
    """The news of who sees all flags, or the public ones."""

    sees_all: bool

    def latest(self, flags: FlagBoard) -> Event:
        """The event of these flags: what they come to, everybody asks for themselves."""
        version = version_of(flags, sees_all=self.sees_all)
        return Event(version.encode(), event(version))


def event(version: str) -> bytes:
    """`refetchEvaluation` as OFREP 0.3.0 has it (ADR-0008)."""
    data = msgspec.json.encode({"type": "refetchEvaluation", "etag": f'"{version}"'})
    return b"id: %b\nevent: message\ndata: %b\n\n" % (version.encode(), data)


def version_of(flags: FlagBoard, *, sees_all: bool) -> str:
    """What changes with the answers to who sees all, or the public flags: no change of another one is told."""
    if sees_all:
        return flags.version
    settings, found = flags.settings, flags.flags
    seen: list[Any] = [settings.code_default, settings.context, settings.key_from, settings.public]
    seen += [found.generation, found.metadata, found.shared]
    for key in settings.public:
        flag = found.flags.get(key)
        if flag is not None:
            seen.append((key, flag.enabled, flag.variants, flag.default, flag.targeting, flag.problem, flag.metadata))
    return blake2b(msgspec.json.encode(seen, order="sorted"), digest_size=16).hexdigest()
