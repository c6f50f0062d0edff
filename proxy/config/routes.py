"""The section of the YAML about a route: which requests, and where they go."""

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, create_model

from proxy.config.plugins import all_of, options_type
from proxy.config.services import AnyFilter, Retry, Timeouts
from proxy.config.shapes import Section
from proxy.config.values import MaybeName, choice
from proxy.filters import ACTIONS
from proxy.routing.matches import MATCHES
from proxy.snapshot.document import Plugin

if TYPE_CHECKING:
    Match = tuple[Plugin, ...]
else:
    Match = all_of(MATCHES, "Match")


class Destination(Section):
    """Which requests, and where they go: to a service, or to a reply of our own. The first route that matches wins."""

    name: MaybeName = Field(default=None, description="How it is called in logs and metrics; `share` needs it.")
    match: Match = Field(default=(), description="What must hold, all of it; without: every request.")
    service: MaybeName = Field(default=None, description="The service it leads to.")
    pool: MaybeName = Field(default=None, description="This pool, whatever the split says.")
    otherwise: Annotated[Literal["split"] | None, choice("split")] = Field(
        default=None, description="When the pool has no usable endpoint; without: 503."
    )
    timeouts: Timeouts | None = Field(default=None, description="Merged over the service's.")
    retry: Retry | None = Field(default=None, description="Merged over the service's.")
    filters: list[AnyFilter] = Field(default=[], description="What is changed on the way of its requests.")


ACTION_NAMES: Final = ACTIONS.names()
_ACTIONS: dict[str, Any] = {
    name: (options_type(action) | None, Field(default=None, description=action.__doc__)) for name, action in ACTIONS
}
if TYPE_CHECKING:
    Route = Destination
else:
    Route = create_model("Route", __base__=Destination, __doc__=Destination.__doc__, **_ACTIONS)
