"""A split is written into the file, and the file takes over."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]
S = "/v1/services/shop"
TEXT = """\
# grüße 😀 {blue: 90}
services:
  shop:
    pools: {blue: {endpoints: [127.0.0.1:1]}, canary: {endpoints: [127.0.0.1:2]}}
    split: { blue: 90,   canary: '10' } # stays
routes: [{service: shop}] # the end"""


async def test_split_is_persisted_and_its_override_ends(sluice: Factory, api: Any) -> None:
    proxy = await sluice(TEXT)
    admin = api(proxy)
    proxy.config.chmod(0o640)
    before, was = proxy.config.read_bytes(), proxy.config.stat()
    await admin("PUT", f"{S}/split", {"blue": 2, "canary": 1})
    said = await admin("POST", f"{S}/persist?reason=for%20good")
    assert (said.status, said.body["split_from"]) == (200, "file")
    assert said.body["split"]["canary"] == pytest.approx(100 / 3)
    after = proxy.config.read_bytes()
    assert after == before.replace(b"blue: 90,  ", b"blue: 66.666666667,  ").replace(b"'10'", b"'33.333333333'")
    now = proxy.config.stat()
    assert (now.st_mode, now.st_uid, now.st_gid) == (was.st_mode, was.st_uid, was.st_gid)
    assert [each for each in os.listdir(proxy.config.parent) if each.endswith(".new")] == []  # noqa: PTH208
    assert (await admin("GET", "/v1/config/diff")).body["overrides"] == []
    kinds = [(each["kind"], each["reason"]) for each in (await admin("GET", "/v1/events")).body]
    assert ("persisted", "for good") in kinds
    assert (await admin("POST", "/v1/reload")).body["changed"] is False
    undone = await admin("POST", f"{S}/undo")
    assert undone.body["split"] == {"blue": 90, "canary": 10}


async def test_persisting_what_the_file_says_leaves_it_as_it_is(sluice: Factory, api: Any) -> None:
    proxy = await sluice(TEXT)
    before = proxy.config.stat()
    assert (await api(proxy)("POST", f"{S}/persist")).status == 200
    assert proxy.config.stat() == before


async def test_link_stays_a_link(sluice: Factory, api: Any) -> None:
    proxy = await sluice(TEXT)
    admin, real = api(proxy), proxy.config.with_name("real.yml")
    proxy.config.rename(real)
    proxy.config.symlink_to(real.name)
    await admin("POST", f"{S}/flip", {"to": "canary"})
    assert (await admin("POST", f"{S}/persist")).status == 200
    assert proxy.config.is_symlink()
    assert "canary: '100'" in real.read_text()


REFUSED = [
    ("canary: '10'", "canary: '${TEN:-10}'", "comes from a variable"),
    ("{ blue: 90,   canary: '10' }", "&s { blue: 90,   canary: '10' }\n  other:\n    pools: {blue: {endpoints: [127.0.0.1:3]}, canary: {endpoints: [127.0.0.1:4]}}\n    split: *s", "the anchor &s"),  # noqa: E501 - one replacement
    ("{ blue: 90,   canary: '10' }", "{ blue: 100 }", "does not name canary"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), REFUSED)
async def test_what_is_not_literally_there_is_a_conflict(
    sluice: Factory, api: Any, old: str, new: str, expected: str
) -> None:
    proxy = await sluice(TEXT.replace(old, new))
    admin, before = api(proxy), proxy.config.read_bytes()
    await admin("PUT", f"{S}/split", {"blue": 1, "canary": 1})
    said = await admin("POST", f"{S}/persist")
    assert said.status == 409
    assert expected in said.body["detail"]
    assert proxy.config.read_bytes() == before
    assert (await admin.service())["split_from"] == "override"


async def test_file_that_is_broken_just_now_is_a_conflict(sluice: Factory, api: Any) -> None:
    proxy = await sluice(TEXT)
    admin = api(proxy)
    await admin("POST", f"{S}/flip", {"to": "canary"})
    proxy.config.write_text(TEXT + "\n  nonsense")
    said = await admin("POST", f"{S}/persist")
    assert (said.status, len(said.body["problems"])) == (409, 1)
    assert proxy.config.read_text() == TEXT + "\n  nonsense"


async def test_directory_has_it_written_where_the_service_is(
    start_sluice: Factory, api: Any, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    admin_port = free_port()
    (folder / "a.yaml").write_text(
        f"listeners: [{{bind: 127.0.0.1:{free_port()}}}]\nadmin: {{bind: 127.0.0.1:{admin_port}}}\n"
    )
    (folder / "b.yaml").write_text("services: {other: {pools: {p: {endpoints: [127.0.0.1:3]}}, split: {p: 100}}}\n")
    (folder / "c.yaml").write_text(TEXT.replace("\n", "\r\n"), newline="")
    others = {name: (folder / name).read_bytes() for name in ("a.yaml", "b.yaml")}
    proxy = await start_sluice(tmp_path, TEXT)
    command = [*proxy.process.args[:-1], str(folder)]
    await proxy.stop()
    environ = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}
    process = await asyncio.create_subprocess_exec(*command, env=environ, cwd=tmp_path)
    try:
        proxy.admin_port = admin_port
        async with asyncio.timeout(15):
            while await proxy.admin("/readyz") != 200:
                await asyncio.sleep(0.02)
        admin = api(proxy)
        await admin("POST", f"{S}/flip", {"to": "canary"})
        assert (await admin("POST", f"{S}/persist")).body["split_from"] == "file"
    finally:
        process.terminate()
        await process.wait()
    assert (folder / "c.yaml").read_bytes() == TEXT.replace("\n", "\r\n").replace("blue: 90,", "blue: 0,").replace(
        "'10'", "'100'"
    ).encode()
    assert {name: (folder / name).read_bytes() for name in others} == others
