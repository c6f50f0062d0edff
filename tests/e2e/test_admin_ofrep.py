"""OFREP on the admin's listener: all flags, by the context that the caller sends, behind the admin's guard."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.e2e.conftest import Shared

PATH = "/ofrep/v1/evaluate/flags"

EXTRA = """
admin:
  bind: 127.0.0.1:ADMIN
  token: an-admin-token
flags:
  flags:
    checkout:
      state: ENABLED
      variants: {on: true, off: false}
      defaultVariant: off
      targeting: {if: [{and: [{in: [{var: region}, [eu]]}, {"==": [{var: plan}, pro]}]}, on]}
flag_settings:
  key_from: [{header: x-user-id}]
  context: {region: {header: x-region}, plan: {value: pro}}
routes: [{respond: {}}]
"""


@pytest.fixture
async def asked(
    start_sluice: Callable[..., Awaitable[Any]],
    free_port: Callable[[], int],
    api: Callable[..., Any],
    shared: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Awaitable[Any]]:
    """The admin of a proxy that tests here share: they leave it as it was."""
    found = shared.get("admin_ofrep")
    if found is None or found.sluice.process.poll() is not None:
        text = EXTRA.replace("ADMIN", str(free_port()))
        found = shared["admin_ofrep"] = Shared(await start_sluice(tmp_path_factory.mktemp("ofrep"), text), 0)
    return api(found.sluice, "an-admin-token")


async def test_flags_are_evaluated_by_the_callers_context(asked: Any) -> None:
    context = {"context": {"targetingKey": "ann", "region": "eu", "plan": "free"}}
    found = await asked("POST", f"{PATH}/checkout", context, X_Region="us")
    assert (found.status, found.body["variant"], found.body["value"]) == (200, "on", True)
    every = await asked("POST", f"{PATH}?flagConfigEtag=%22x%22&flagConfigLastModified=1", context)
    assert [flag["value"] for flag in every.body["flags"]] == [True]
    again = await asked("POST", PATH, context, If_None_Match=every.headers["ETag"])
    assert (again.status, again.body) == (304, "")
    killed = await asked("POST", "/v1/flags/checkout/kill")
    assert killed.status == 200
    after = await asked("POST", PATH, context, If_None_Match=every.headers["ETag"])
    assert (after.status, after.body["flags"][0]["reason"]) == (200, "DISABLED")
    assert (await asked("DELETE", "/v1/flags/checkout/override")).status == 200
    cleared = await asked("POST", PATH, context, If_None_Match=every.headers["ETag"])
    assert cleared.status == 304


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "code"),
    [
        (f"{PATH}/gone", {}, {}, 404, "FLAG_NOT_FOUND"),
        (f"{PATH}/a/b", {}, {}, 404, "FLAG_NOT_FOUND"),
        (f"{PATH}/checkout", b"{", {}, 400, "PARSE_ERROR"),
        (f"{PATH}/checkout", {"context": 3}, {}, 400, "INVALID_CONTEXT"),
        (f"{PATH}/checkout", b'{"context":' * 5_000, {}, 400, "PARSE_ERROR"),
        (f"{PATH}/checkout", b" " * 70_000, {}, 413, "GENERAL"),
        (f"{PATH}/checkout", {}, {"Authorization": "Bearer no"}, 401, "GENERAL"),
        (f"{PATH}/checkout", {}, {"Origin": "https://evil.example"}, 403, "GENERAL"),
        (f"{PATH}?nothing=1", {}, {}, 400, "GENERAL"),
    ],
)
async def test_errors_are_in_the_protocols_words(
    asked: Any, path: str, body: Any, headers: dict[str, str], status: int, code: str
) -> None:
    found = await asked("POST", path, body, **headers)
    assert (found.status, found.headers["Content-Type"]) == (status, "application/json")
    assert found.body["errorCode"] == code
    assert found.body["errorDetails"]


async def test_other_methods_do_not_exist(asked: Any) -> None:
    found = await asked("GET", PATH)
    assert (found.status, found.headers["Allow"], "errorDetails" in found.body) == (405, "POST", True)
