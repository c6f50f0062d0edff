"""The controller's own flags: compiled of the document in force when somebody asks, as workers compile theirs."""

import os
from typing import TYPE_CHECKING

from proxy.flags.spec import FlagOverride, Flags
from proxy.snapshot.document import Document
from proxy.snapshot.parts import hashes, parts

if TYPE_CHECKING:
    from proxy.filters.flagging import FlagBoard
    from proxy.flags.definitions import FlagSet


class FlagBoards:
    """Remembers the last board, and compiles anew only what has changed."""

    def __init__(self) -> None:
        self._flags: Flags | None = None
        self._defined: FlagSet | None = None
        self._overrides: dict[str, FlagOverride] | None = None
        self._board: FlagBoard | None = None

    def board(self, document: Document) -> "FlagBoard | None":
        """The flags of a document; None where it has none."""
        if document.flags is None:
            return None
        if self._board is None or (document.flags, document.flag_overrides) != (self._flags, self._overrides):
            self._board = self._made(document, document.flags)
            self._overrides = document.flag_overrides
        return self._board

    def defined(self, document: Document) -> "FlagSet | None":
        """What a document defines, without overrides; None where it has no flags."""
        return None if document.flags is None else self._definitions(document.flags)

    def refuses(self, document: Document, key: str, override: FlagOverride) -> str | None:
        """Why a flag of this document cannot be overridden so; None where it can."""
        from proxy.flags.overrides import refused  # noqa: PLC0415 - 1.3 MiB for who has no flags

        return None if document.flags is None else refused(self._definitions(document.flags), key, override)

    def _definitions(self, flags: Flags) -> "FlagSet":
        from proxy.flags.definitions import read  # noqa: PLC0415

        if self._defined is None or flags != self._flags:
            self._defined = read(flags.document, flags.settings.bucketing)
            self._flags, self._board = flags, None
        return self._defined

    def _made(self, document: Document, flags: Flags) -> "FlagBoard":
        from proxy.filters.flagging import FlagBoard  # noqa: PLC0415
        from proxy.flags.overrides import with_overrides  # noqa: PLC0415
        from proxy.telemetry.flag_outcomes import FlagOutcomes  # noqa: PLC0415

        defined = self._definitions(flags)
        found = hashes(parts(document))
        version = (found["flags"] + found["flag_overrides"]).hex()
        made = with_overrides(defined, document.flag_overrides)
        return FlagBoard(made, flags.settings, version, FlagOutcomes(), os.urandom, defined)
