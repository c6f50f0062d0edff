"""The section of the YAML about the access log."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from proxy.config.problems import WrongError
from proxy.config.shapes import OrOff, OrScalar, Section, Shaped, under
from proxy.config.tree import Scalar
from proxy.config.values import FilePath, Share, StatusRange, Time, Written
from proxy.telemetry.access_log import line_of

_STANDARD = ("stdout", "stderr")
_FILE: Written = FilePath.__metadata__[0]  # type: ignore[attr-defined]  # what Annotated keeps


def _path(scalar: Scalar) -> str:
    return str(scalar) if scalar in _STANDARD else str(_FILE.parse(scalar))


def _format(scalar: Scalar) -> str:
    line_of(str(scalar))
    return str(scalar)


LogPath = Annotated[str, Written(_path, _FILE.schema)]
Format = Annotated[str, Written(_format, {"type": "string", "minLength": 1})]


class Conditions(Section):
    """Which requests are logged; one that holds is enough."""

    status: Annotated[Any, Shaped(scalar=StatusRange, sequence=Annotated[list[StatusRange], Field(min_length=1)])] = (
        Field(default=None, description="A status, a range of them, or a list of both.")
    )
    slower_than: Time | None = Field(default=None, description="How long a request has to take in all.")

    @model_validator(mode="after")
    def _holds_something(self) -> "Conditions":
        if self.status is None and self.slower_than is None:
            raise WrongError("no condition stands here", "write status: 500-599, slower_than: 1s, or both")
        return self


class AccessLog(Section):
    """Where requests are logged, how, and which."""

    path: LogPath = Field(description="A file, relative to this one, or stdout or stderr.")
    format: Format = Field(default="json", description="json, combined, or a text with fields such as {status}.")
    sample: Share | None = Field(
        default=None, description="The share of requests that is logged; with `if`, of those that it does not mean."
    )
    condition: Conditions | None = Field(default=None, alias="if", description="Which requests are logged.")


AnyAccessLog = Annotated[AccessLog | None, OrScalar(under("path"), {"type": "string", "minLength": 1}), OrOff()]
