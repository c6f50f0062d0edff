"""Every operation of the admin API, a row each."""

from typing import Any, Final

from proxy.admin import events, flags, ofrep, process, rollouts, services
from proxy.admin.body import (
    AFTER,
    FORCE,
    REASON,
    SESSIONS,
    CheckOrder,
    DrainOrder,
    FlipOrder,
    NewEndpoint,
    Split,
)  # fmt: skip
from proxy.admin.operation import Call, Nothing, Operation, Table
from proxy.control.flag_views import EvaluationView, FlagView, OutcomeView
from proxy.control.journal import Event
from proxy.control.rollout_views import PlanView, RolloutView
from proxy.control.views import CheckView, DiffView, ReloadView, ServiceView, StatusView
from proxy.flags.spec import FlagOverride

_SERVICE: Final = "/v1/services/{service}"
_POOL: Final = f"{_SERVICE}/pools/{{pool}}"
_ENDPOINT: Final = f"{_POOL}/endpoints/{{address}}"
_ROLLOUT: Final = "/v1/rollouts/{rollout}"
_FLAG: Final = "/v1/flags/{flag}"
_VERB: Final = (FORCE, REASON)


def _verb(method: Any, path: str, summary: str, do: Any, body: Any = Nothing, query: Any = _VERB) -> Operation:
    """A change of one service, which is answered with the service."""
    return Operation(
        method, path, summary, "change", do, ServiceView, body, query, refuses=(404, 409, 412), is_about_service=True
    )  # fmt: skip


def _rollout_verb(name: str, summary: str, do: Any, body: Any = Nothing) -> Operation:
    """A change of one rollout, which is answered with the rollout."""
    return Operation(
        "POST", f"{_ROLLOUT}/{name}", summary, "change", do, RolloutView, body, (REASON,), refuses=(404, 409)
    )  # fmt: skip


def _flag_verb(method: Any, name: str, summary: str, do: Any, body: Any = Nothing) -> Operation:
    """A change of one flag, which is answered with the flag."""
    return Operation(
        method, f"{_FLAG}/{name}", summary, "change", do, FlagView, body, _VERB, refuses=(404, 409)
    )  # fmt: skip


def _flags_asked(name: str, summary: str, answer: Any) -> Operation:
    """OFREP 0.3.0, which has its own words for what goes wrong."""
    return Operation(
        "POST", f"{ofrep.PATH}{name}", summary, "read", ofrep.evaluate, answer, ofrep.Asking, ofrep.KNOWN,
        refuses=(404,), takes=ofrep.LARGEST, failure=ofrep.Failure, ways=("bearer", "api_key"),
    )  # fmt: skip


async def _in_server(_call: Call) -> None:
    raise NotImplementedError("the server answers this one itself")


HEALTHZ: Final = Operation(
    "GET", "/healthz", "Is the process there?", "nothing", process.healthz, None, kind="text/plain"
)
READYZ: Final = Operation(
    "GET", "/readyz", "Does every worker serve what is in force?", "nothing", process.readyz, None,
    kind="text/plain", refuses=(503,),
)  # fmt: skip
METRICS: Final = Operation(
    "GET", "/metrics", "Counters and gauges, for Prometheus.", "read", _in_server, None, kind="text/plain"
)
OPENAPI: Final = Operation("GET", "/openapi.json", "This description.", "read", _in_server, dict[str, Any])
EVENTS: Final = Operation(
    "GET", "/v1/events", "What has happened; Accept: text/event-stream follows.", "read", events.history,
    list[Event], query=(AFTER,), refuses=(503,),
)  # fmt: skip
FLAG_EVENTS: Final = Operation(
    "GET", ofrep.EVENTS, "Tells, as server-sent events, when flags have changed.", "read", _in_server, None,
    query=ofrep.FOLLOWING, kind="text/event-stream", refuses=(404, 503), failure=ofrep.Failure,
    ways=("bearer", "api_key", "ticket"),
)  # fmt: skip

OPERATIONS: Final = (
    HEALTHZ,
    READYZ,
    METRICS,
    OPENAPI,
    Operation("GET", "/v1/status", "The whole proxy at a glance.", "read", process.status, StatusView),
    Operation("GET", "/v1/services", "Every service.", "read", services.all_services, list[ServiceView]),
    Operation(
        "GET", _SERVICE, "One service.", "read", services.one, ServiceView, refuses=(404,), is_about_service=True
    ),
    _verb("PUT", f"{_SERVICE}/split", "Set the split.", services.split, Split, (FORCE, REASON, SESSIONS)),
    _verb("DELETE", f"{_SERVICE}/split", "Back to the file's split.", services.reset),
    _verb("POST", f"{_SERVICE}/flip", "Give one pool everything, at once.", services.flip, FlipOrder),
    _verb("POST", f"{_SERVICE}/undo", "Back to the split before the last change.", services.undo),
    _verb("POST", f"{_SERVICE}/persist", "Write the split into the file.", services.persist),
    _verb("POST", f"{_POOL}/drain", "Nothing new to this pool.", services.drain, DrainOrder),
    _verb("POST", f"{_POOL}/restore", "Take the pool back in.", services.restore),
    _verb("POST", f"{_POOL}/endpoints", "Add an endpoint, or weigh one anew.", services.add_endpoint, NewEndpoint),
    _verb("DELETE", _ENDPOINT, "Remove an endpoint.", services.remove_endpoint),
    _verb("POST", f"{_ENDPOINT}/drain", "Nothing new to this endpoint.", services.drain, DrainOrder),
    _verb("POST", f"{_ENDPOINT}/restore", "Take the endpoint back in.", services.restore),
    Operation(
        "GET", "/v1/config", "What is in force; secrets are ***.", "read", process.config, dict[str, Any],
        refuses=(409,),
    ),
    Operation("GET", "/v1/config/diff", "How that differs from the file.", "read", process.diff, DiffView),
    Operation("POST", "/v1/config/check", "What a reload would find.", "read", process.check, CheckView, CheckOrder),
    Operation(
        "POST", "/v1/reload", "Read the configuration again.", "change", process.reload, ReloadView,
        query=(REASON,), refuses=(409, 422),
    ),
    Operation(
        "POST", "/v1/restart", "Restart everything with the code on disk.", "change", process.restart, Nothing,
        query=(REASON,),
    ),
    EVENTS,
    Operation("GET", "/v1/rollouts", "Every rollout.", "read", rollouts.every, list[RolloutView]),
    Operation(
        "POST", "/v1/rollouts", "Add a rollout that the file does not have.", "change", rollouts.add, RolloutView,
        dict[str, Any], (REASON,), refuses=(409,),
    ),
    Operation("GET", _ROLLOUT, "One rollout.", "read", rollouts.one, RolloutView, refuses=(404,)),
    Operation("GET", f"{_ROLLOUT}/plan", "What it is to do.", "read", rollouts.plan, PlanView, refuses=(404, 409)),
    _rollout_verb("start", "Begin it.", rollouts.start),
    _rollout_verb("promote", "On to the next step, or to the end.", rollouts.promote, rollouts.PromoteOrder),
    _rollout_verb("pause", "Stop where it is.", rollouts.verb("pause")),
    _rollout_verb("resume", "Go on.", rollouts.verb("resume")),
    _rollout_verb("abort", "Take the traffic back, at once.", rollouts.verb("abort")),
    _rollout_verb("retry", "Begin an aborted one again.", rollouts.verb("retry")),
    _rollout_verb("undo", "Take back one that has succeeded.", rollouts.verb("undo")),
    Operation("GET", "/v1/flags", "Every flag.", "read", flags.every, list[FlagView]),
    Operation("GET", _FLAG, "One flag.", "read", flags.one, FlagView, refuses=(404,)),
    Operation(
        "POST", f"{_FLAG}/evaluate", "What it comes to for somebody, and why.", "read", flags.evaluate,
        EvaluationView, flags.EvaluateOrder, refuses=(404,),
    ),
    _flags_asked("", "Every flag for somebody, as OFREP has it.", ofrep.Bulk),
    _flags_asked("/{key}", "One flag for somebody, as OFREP has it.", ofrep.Single),
    FLAG_EVENTS,
    Operation(
        "GET", f"{_FLAG}/outcome", "What came of each variant.", "read", flags.outcome, OutcomeView, refuses=(404,)
    ),
    _flag_verb("POST", "kill", "No outcome any more, whatever the file says.", flags.kill),
    _flag_verb("PUT", "override", "One variant for all, or another percentage.", flags.override, FlagOverride),
    _flag_verb("DELETE", "override", "What the definition says.", flags.clear),
)  # fmt: skip
TABLE: Final = Table(OPERATIONS)
STATUS_TABLE: Final = Table((HEALTHZ, READYZ, METRICS))
"""What the status listener answers."""
