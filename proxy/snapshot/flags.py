"""Flags of a document, compiled."""

from collections.abc import Generator

from proxy.filters.flag_guards import guardings
from proxy.filters.flagging import FlagBoard
from proxy.flags.definitions import FlagSet, reading
from proxy.flags.overrides import with_overrides
from proxy.flags.spec import Flags
from proxy.snapshot.document import Document
from proxy.snapshot.services import Sources


def compile_flags(
    document: Document, sources: Sources, version: str, before: FlagBoard | None
) -> Generator[None, None, FlagBoard]:
    """The board of a document's flags, in slices; `before` is one of the same definitions.

    What is wrong with single flags was told when the configuration was read; they fail alone.
    """
    flags = document.flags or Flags({"flags": {}})
    defined: FlagSet
    if before is not None:
        defined = before.defined
    else:
        defined = yield from reading(flags.document, flags.settings.bucketing)
    made = with_overrides(defined, document.flag_overrides)
    guards = guardings(made, defined, flags.settings, sources.seeing)
    return FlagBoard(made, flags.settings, version, sources.outcomes, sources.token, defined, guards)
