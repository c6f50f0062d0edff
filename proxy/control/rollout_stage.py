"""What rollouts need of the process around them."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.control.control import Control, Who
from proxy.core.clock import Clock
from proxy.rollouts.plan import Plan
from proxy.rollouts.step import Job, Result


class Jobs(Protocol):
    """Who does what takes time outside."""

    async def do(self, job: Job, plan: Plan) -> Result:
        """Do it; what goes wrong is a result, too."""
        ...

    def tell(self, url: str, event: Mapping[str, Any]) -> None:
        """Tell a webhook, without anybody waiting for it."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """What the conductor needs around it.

    `keep` keeps bytes for the next controller, `later` calls back after so many seconds, `cut` closes the tunnels of a
    pool, `persist` writes a service's split into the file, `discreet` takes out of a
    sentence what is secret.
    """

    control: Control
    jobs: Jobs
    clock: Clock
    keep: Callable[[bytes], None]
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    later: Callable[[float, Callable[[], None]], Any]
    cut: Callable[[str, str], Awaitable[Any]]
    persist: Callable[[str, Who], Awaitable[None]]
    discreet: Callable[[str], str] = lambda text: text


def replace_who(who: Who, *, force: bool) -> Who:
    """The same, with force."""
    return Who(who.name, who.reason, force=force)
