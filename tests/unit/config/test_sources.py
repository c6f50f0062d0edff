import os
import stat
from pathlib import Path

import pytest

from proxy.config.load import find_config, load
from proxy.config.sources import MAX_BYTES

FILES = {
    "10-listeners.yaml": "listeners: [{bind: 127.0.0.1:8080}]\nx-a: 1\n",
    "20-shop.yaml": "services: {shop: {pools: {a: {endpoints: [unix:shop.sock]}}}}\n"
    "routes: [{match: {path: /a}, service: shop}]\n",
    "30-api.yaml": "services: {api: {pools: {a: {endpoints: [h:1]}}}}\nroutes: [{service: api}]\n",
    ".hidden.yaml": "a: [",
    "notes.txt": "a: [",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def said(path: Path) -> list[str]:
    return [str(problem).replace(f"{path}", "PATH") for problem in load(path, {}).problems]


def test_directory_is_merged_in_the_order_of_names(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, FILES), {})
    assert loaded.problems == []
    assert loaded.document is not None
    assert [service.name for service in loaded.document.services] == ["shop", "api"]
    assert [route.service for route in loaded.document.routes] == ["shop", "api"]


def test_relative_path_is_relative_to_its_file(tmp_path: Path) -> None:
    document = load(write(tmp_path, FILES), {}).document
    assert document is not None
    assert document.services[0].pools[0].endpoints[0].address == f"unix:{tmp_path}/shop.sock"


DUPLICATES = [
    (
        "services: {shop: {pools: {a: {endpoints: [h:1]}}}}\n",
        ["PATH/40.yaml:1:12: the key 'shop' stands here twice (first at PATH/20-shop.yaml:1:12)"],
    ),
    (
        "listeners: [{bind: 127.0.0.1:8080}]\n",
        ["PATH/40.yaml:1:20: '127.0.0.1:8080' is taken by a listener already (give each its own port)"],
    ),
    ("x-a: 2\n", ["PATH/40.yaml:1:1: the key 'x-a' stands here twice (first at PATH/10-listeners.yaml:2:1)"]),
    ("[1]\n", ["PATH/40.yaml:1:1: the top level must be a mapping, not a list"]),
    ("", ["PATH/40.yaml: the file is empty (an empty file changes nothing)"]),
]


@pytest.mark.parametrize(("text", "expected"), DUPLICATES)
def test_directory_refuses_what_stands_in_two_files(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert said(write(tmp_path, {**FILES, "40.yaml": text})) == expected


def test_value_of_an_anchor_does_not_grow_by_merging(tmp_path: Path) -> None:
    files = {
        "1.yaml": "listeners: [{bind: 127.0.0.1:1}]\nfilters: &f [{rewrite: {host: a}}]\n"
        "services: {s: {pools: {p: {endpoints: [h:1]}}, filters: *f}}\nroutes: [{service: s}]\n",
        "2.yaml": "filters: [{rewrite: {host: b}}]\n",
    }
    document = load(write(tmp_path, files), {}).document
    assert document is not None
    assert [plugin.options["host"] for plugin in document.filters] == ["a", "b"]
    assert [plugin.options["host"] for plugin in document.services[0].filters] == ["a"]


BYTES = [
    (b"", "PATH: the file is empty (an empty file changes nothing)"),
    (b"\xef\xbb\xbf", "PATH: the file is empty (an empty file changes nothing)"),
    (b"a: 1\n\xc3\xa9: \xff", "PATH:2:4: the byte 0xff is not UTF-8 (save the file as UTF-8)"),
    (b"\xff\xfea\x00", "PATH:1:1: the byte 0xff is not UTF-8 (save the file as UTF-8)"),
    (b"a: \xed\xa0\x80", "PATH:1:4: the byte 0xed is not UTF-8 (save the file as UTF-8)"),
    (b"a: 1\n\0", "PATH:2:1: the character '\\x00' may not stand in YAML"),
    (b"#" * (MAX_BYTES + 1), "PATH: the file is larger than 4 MiB"),
    (b"just a text", "PATH:1:1: the top level must be a mapping (it begins with listeners: …)"),
    (b"[]", "PATH:1:1: the top level must be a mapping (it begins with listeners: …)"),
]


@pytest.mark.parametrize(("data", "expected"), BYTES, ids=[row[1][:40] for row in BYTES])
def test_file_that_is_no_text_gets_one_line(tmp_path: Path, data: bytes, expected: str) -> None:
    path = tmp_path / "sluice.yaml"
    path.write_bytes(data)
    assert said(path) == [expected]


def test_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "sluice.yaml"
    path.write_bytes(b"\xef\xbb\xbflisteners: [{bind: 127.0.0.1:1}]\nroutes: [{respond: {}}]\n")
    assert said(path) == []


def test_missing_file_and_empty_directory_get_one_line(tmp_path: Path) -> None:
    assert said(tmp_path / "none.yaml") == ["PATH: there is no such file"]
    assert said(tmp_path) == ["PATH: the directory holds no *.yaml file"]
    assert said(tmp_path / ("x" * 300)) == ["PATH: the file cannot be read: File name too long"]
    assert len(said(tmp_path / "a\0b")) == 1


def test_directory_called_yaml_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    assert said(tmp_path) == ["PATH/a.yaml: is a directory"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file_gets_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.yaml": "x"}) / "a.yaml"
    path.chmod(stat.S_IWUSR)
    assert said(path) == ["PATH: the file may not be read"]


def test_config_is_found_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("proxy.config.sources.SEARCHED", (Path("sluice.yaml"), tmp_path / "etc.yaml"))
    assert find_config() is None
    write(tmp_path, {"etc.yaml": ""})
    assert find_config() == tmp_path / "etc.yaml"
    write(tmp_path, {"sluice.yaml": ""})
    assert find_config() == Path("sluice.yaml")
