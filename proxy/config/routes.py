"""The section of the YAML about a route: which requests, and where they go."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, create_model

from proxy.config.plugins import all_of, options_type
from proxy.config.services import ANY_FILTER, Retry, Timeouts
from proxy.config.shapes import Section
from proxy.config.values import MaybeName, choice
from proxy.filters import ACTIONS
from proxy.routing.matches import MATCHES

Match = all_of(MATCHES, "Match")


class Destination(Section):
    """Which requests, and where they go: to a service, or to a reply of our own. The first route that matches wins."""

    name: MaybeName = Field(None, description="How it is called in logs and metrics; `share` needs it.")
    match: Match = Field((), description="What must hold, all of it; without: every request.")
    service: MaybeName = Field(None, description="The service it leads to.")
    pool: MaybeName = Field(None, description="This pool, whatever the split says.")
    otherwise: Annotated[Literal["split"] | None, choice("split")] = Field(
        None, description="When the pool has no usable endpoint; without: 503."
    )
    timeouts: Timeouts | None = Field(None, description="Merged over the service's.")
    retry: Retry | None = Field(None, description="Merged over the service's.")
    filters: list[ANY_FILTER] = Field([], description="What is changed on the way of its requests.")


ACTION_NAMES: Final = ACTIONS.names()
_ACTIONS: dict[str, Any] = {
    name: (options_type(action) | None, Field(None, description=action.__doc__)) for name, action in ACTIONS
}
Route: type[Destination] = create_model("Route", __base__=Destination, __doc__=Destination.__doc__, **_ACTIONS)
