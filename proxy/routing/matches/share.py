"""Match key `share`."""

from dataclasses import dataclass

from proxy.core.hashing import stable_hash
from proxy.core.units import Share, format_share
from proxy.http1.facts import Facts
from proxy.routing.matches.registry import MATCHES, Place, Test


class Draw:
    """The test of a share: the same answer for one identity ever after, by chance where there is none.

    Its own salt, the route's name, makes it independent of the split and of other routes' shares. Who is in stays in
    when the share grows.
    """

    __slots__ = ("_below", "_place", "_salt", "_share")

    def __init__(self, share: float, name: str, place: Place) -> None:
        self._share = share
        self._below = round(share * 2**64)
        self._salt = name.encode()
        self._place = place

    def __call__(self, facts: Facts) -> bool:
        decided = self.decide(facts)
        return self._place.chance() < self._share if decided is None else decided

    def decide(self, facts: Facts) -> bool | None:
        """Whether the request's identity is in; None where chance decides."""
        identity = self._place.identity(facts)
        return None if identity is None else stable_hash(b"share", self._salt, identity) < self._below


@MATCHES.register("share")
@dataclass(frozen=True, slots=True)
class ShareOf:
    """This share of what matches otherwise, such as `10%`; the route needs a name.

    Where the route's service is sticky, a user who has shown an identity (session cookie or key) is in or out for good;
    all others are drawn request by request.
    """

    value: Share

    def __post_init__(self) -> None:
        if not 0.0 <= self.value <= 1.0:
            raise ValueError(f"{self.value!r} is not a share between 0% and 100%; write it like 10%")

    def compile(self, place: Place) -> Test:
        if not place.route:
            raise ValueError("`share` needs a route with a name: who is in depends on it")
        return Draw(self.value, place.route, place)

    def describe(self) -> str:
        return f"it is in the share of {format_share(self.value)}"
