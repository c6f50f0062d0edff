"""Changes while traffic flows: no request fails, and what was answered is in force."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Factory = Callable[..., Awaitable[Any]]

# `make soak` runs them in full.
REPEAT = int(os.environ.get("SLUICE_SOAK", "0"))
RELOADS = 200 if REPEAT else 20
FLIPS = 200 if REPEAT else 25


async def split(proxy: Any) -> tuple[dict[str, float], str]:
    status, service = await proxy.call("GET", "/v1/services/shop")
    assert status == 200
    return {name: share for name, share in service["split"].items() if share}, service["split_from"]


def with_split(proxy: Any, text: str) -> str:
    """The configuration with another split."""
    lines = proxy.text().split("\n")
    return "\n".join(f"    split: {text}" if line.startswith("    split:") else line for line in lines)


async def test_reloads_in_a_row_fail_no_request_and_cut_no_tunnel(live: Factory) -> None:
    proxy = await live(workers=2)
    tunnel = await proxy.tunnel()
    async with proxy.load(8) as load:
        for number in range(1, RELOADS + 1):
            blue = number % 99 + 1
            proxy.write(with_split(proxy, f"{{blue: {blue}, green: {100 - blue}}}"))
            status, body = await proxy.call("POST", "/v1/reload")
            assert status == 200, body
            assert await split(proxy) == ({"blue": blue, "green": 100 - blue}, "file")
            if number % 5 == 0:
                text = proxy.text()
                for broken in ("", "services: [oops", text[: len(text) // 2]):
                    proxy.write(broken)
                    assert (await proxy.call("POST", "/v1/reload"))[0] == 422
                proxy.write(text)
        await load.more(50)
    print(f"{RELOADS} reloads, and {RELOADS // 5 * 3} of broken files")
    assert not load.failures
    await tunnel.echo(b"not cut")
    await tunnel.close()


async def test_every_response_after_an_answered_flip_has_its_colour(live: Factory) -> None:
    proxy = await live(workers=2)
    clock = asyncio.get_running_loop().time
    began = clock()
    async with proxy.load(4) as load:
        for number in range(FLIPS):
            if REPEAT:  # one every 50 ms for 10 s, and not as many as are answered
                await asyncio.sleep(began + number * 0.05 - clock())
            colour = ("green", "blue")[number % 2]
            status, _ = await proxy.call("POST", "/v1/services/shop/flip", {"to": colour})
            assert status == 200
            assert await proxy.colours(5) == {colour}
    assert not load.failures
    print(f"{FLIPS} flips in {clock() - began:.1f} s")


@pytest.mark.parametrize("text", ["", "services: [oops", "x" * 10, "listeners: 5\n", "\0"])
async def test_invalid_file_changes_nothing_and_is_reported(live: Factory, text: str) -> None:
    proxy = await live()
    good = proxy.text()
    async with proxy.load(2) as load:
        generation = (await proxy.status())["generation"]
        proxy.write(text)
        status = await proxy.until_status(lambda status: status["problems"])
        assert status["reloads"]["rejected"] >= 1
        assert status["generation"] == generation
        assert str(proxy.config) in status["problems"][0]
        refused, problem = await proxy.call("POST", "/v1/reload")
        assert refused == 422
        assert problem["problems"]
        proxy.write(good)
        await proxy.until_status(lambda status: not status["problems"])
        await load.more(10)
    assert not load.failures


@pytest.mark.parametrize("way", ["in place", "renamed", "removed and made"])
async def test_edit_is_noticed_however_it_is_written(live: Factory, way: str) -> None:
    proxy = await live()
    text = with_split(proxy, "{blue: 1, green: 3}")
    if way == "in place":
        proxy.config.write_text(text)
    elif way == "renamed":
        proxy.write(text)
    else:
        proxy.config.unlink()
        await proxy.until_status(lambda status: status["problems"])
        proxy.config.write_text(text)
    await proxy.until_status(lambda status: status["generation"] == 2)
    assert await split(proxy) == ({"blue": 25, "green": 75}, "file")


async def test_swapped_link_of_a_config_map_is_noticed(live: Factory, tmp_path: Path) -> None:
    def publish(folder: Path, number: int, text: str) -> None:
        """As the kubelet does: a new folder, then the link `..data` is swapped."""
        (folder / f"..{number}").mkdir()
        (folder / f"..{number}" / "sluice.yaml").write_text(text)
        (folder / "..new").symlink_to(f"..{number}")
        (folder / "..new").rename(folder / "..data")

    mounted = tmp_path / "mounted"
    mounted.mkdir()
    proxy = await live(mounted=mounted)
    publish(mounted, 2, with_split(proxy, "{green: 100}"))
    await proxy.until_status(lambda status: status["generation"] == 2)
    assert await proxy.colours(10) == {"green"}


async def test_last_writer_wins(live: Factory) -> None:
    proxy = await live()
    assert (await proxy.call("POST", "/v1/services/shop/flip", {"to": "green"}))[0] == 200
    proxy.write(proxy.text() + "# another edit\n")
    assert (await proxy.call("POST", "/v1/reload"))[0] == 200
    assert await split(proxy) == ({"green": 100}, "override")
    proxy.write(with_split(proxy, "{blue: 2, canary: 1}").replace("2, canary: 1", "75, canary: 25"))
    assert (await proxy.call("POST", "/v1/reload"))[0] == 200
    assert await split(proxy) == ({"blue": 75, "canary": 25}, "file")
    assert (await proxy.call("POST", "/v1/services/shop/undo"))[0] == 200
    assert await split(proxy) == ({"green": 100}, "override")
    assert (await proxy.call("DELETE", "/v1/services/shop/split"))[0] == 200
    assert await split(proxy) == ({"blue": 75, "canary": 25}, "file")


async def test_override_survives_the_process(live: Factory) -> None:
    proxy = await live()
    assert (await proxy.call("PUT", "/v1/services/shop/split", {"blue": 1, "green": 3}))[0] == 200
    assert await proxy.again() == 0
    assert await split(proxy) == ({"blue": 25, "green": 75}, "override")
    assert (await proxy.call("POST", "/v1/services/shop/undo"))[0] == 200
    assert await split(proxy) == ({"blue": 100}, "file")


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b"this is no database" * 100),
        lambda file: file.write_bytes(file.read_bytes()[:5000]),
    ],
    ids=["garbage", "truncated"],
)
async def test_damaged_store_is_put_aside_and_the_file_is_in_force(live: Factory, damage: Any) -> None:
    proxy = await live()
    assert (await proxy.call("POST", "/v1/services/shop/flip", {"to": "green"}))[0] == 200
    store = proxy.config.with_suffix(".state")

    def damaged() -> None:
        for name in ("sluice.db-wal", "sluice.db-shm"):
            (store / name).unlink(missing_ok=True)
        damage(store / "sluice.db")

    assert await proxy.again(damaged) == 0
    status = await proxy.status()
    assert any("damaged" in problem for problem in status["problems"])
    assert await split(proxy) == ({"blue": 100}, "file")
    assert list(store.glob("sluice.db.damaged-*"))
    assert (await proxy.call("POST", "/v1/services/shop/flip", {"to": "green"}))[0] == 200


async def test_listener_added_and_taken_away_by_a_reload(live: Factory, free_port: Callable[[], int]) -> None:
    proxy = await live(workers=2)
    port = free_port()
    both = proxy.text().replace(
        f"[{{bind: 127.0.0.1:{proxy.port}}}]", f"[{{bind: 127.0.0.1:{proxy.port}}}, {{bind: 127.0.0.1:{port}}}]"
    )
    one = proxy.text()
    async with proxy.load(2) as load:
        proxy.write(both)
        assert (await proxy.call("POST", "/v1/reload"))[0] == 200
        assert {(await proxy.ask_at(port)) for _ in range(10)} == {"blue"}
        proxy.write(one)
        assert (await proxy.call("POST", "/v1/reload"))[0] == 200
        with pytest.raises(ConnectionError):
            await proxy.ask_at(port)
    assert not load.failures


async def test_address_that_is_taken_refuses_the_reload_with_its_place(live: Factory) -> None:
    proxy = await live()
    port = proxy.admin_port
    proxy.write(
        proxy.text().replace("[{bind:", f"[{{bind: 127.0.0.2:{proxy.port}}}, {{bind: 192.0.2.1:{port}}}, {{bind:")
    )
    status, problem = await proxy.call("POST", "/v1/reload")
    assert status == 422
    assert "cannot listen on 192.0.2.1" in problem["problems"][0]
    assert await proxy.colours(3) == {"blue"}


async def test_number_of_workers_changes_with_the_file(live: Factory) -> None:
    proxy = await live(workers=1)
    async with proxy.load(4) as load:
        for count in (3, 1, 2):
            proxy.write(
                "\n".join(
                    f"workers: {count}" if line.startswith("workers:") else line for line in proxy.text().split("\n")
                )
            )
            assert (await proxy.call("POST", "/v1/reload"))[0] == 200
            await proxy.until_workers(count, without=[])
            await load.more(20)
    assert not load.failures
