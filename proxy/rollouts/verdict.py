"""What the judge says of a run."""

from typing import Final, Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal["harm", "safe", "not_yet"]


class Verdict(Struct, frozen=True):
    """What is known of the candidate now, in one `sentence`, with its `numbers` by name.

    `only_pauses` where harm is certain enough to stop but not to take traffic back; `at_once` where waiting for
    anything would be wrong.
    """

    kind: Kind = "not_yet"
    sentence: str = "nothing was seen yet"
    numbers: dict[str, float] = {}
    only_pauses: bool = False
    at_once: bool = False


NOTHING_YET: Final = Verdict()
