"""Classes by `module:Class`: from files that came with a document, and installed ones."""

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from proxy.plugins.files import PluginFiles, split_use
from proxy.plugins.library import Library, forget, in_time, is_of_plugin, loaded_library, made

GOOD = """
from dataclasses import dataclass

@dataclass
class Good:
    size: int = 1
    name: str = "x"

    def on_request(self, request, facts):
        return VALUE

VALUE = {value}
"""


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    forget(())


def library(**modules: str) -> Library:
    return Library(PluginFiles("/plug-ins", {name.replace("__", "."): text for name, text in modules.items()}))


def test_class_is_found_in_its_file() -> None:
    found = library(good=GOOD.format(value=7))
    found.load(["good:Good"])
    assert made(found.get("good:Good"), {"size": 3}).size == 3
    assert is_of_plugin(found.get("good:Good").__module__)


def test_versions_live_beside_each_other_until_forgotten() -> None:
    old, new = library(good=GOOD.format(value=1)), library(good=GOOD.format(value=2))
    for each in (old, new):
        each.load(["good:Good"])
    hooks = [each.make("good:Good", {}).on_request for each in (old, new)]
    assert [hook(None, None) for hook in hooks] == [1, 2]
    assert old.version("good:Good") != new.version("good:Good")
    forget([new.version("good:Good")])
    assert [hook(None, None) for hook in hooks] == [1, 2]
    assert not [name for name in sys.modules if old.version("good:Good") in name]


def test_modules_import_each_other_by_a_dot() -> None:
    found = library(a="from . import b\nfrom .deep.c import X\nfrom dataclasses import dataclass\n"
                    "@dataclass\nclass A:\n    def on_end(self, record): return b.WORD + X\n",
                    b="WORD = 'b'", deep__c="X = 'c'")  # fmt: skip
    found.load(["a:A"])
    assert found.make("a:A", {}).on_end(None) == "bc"


def test_installed_class_is_found() -> None:
    found = loaded_library(None, [f"{__name__}:Installed"])
    assert found.get(f"{__name__}:Installed") is Installed
    assert found.version(f"{__name__}:Installed") == ""


@dataclass
class Installed:
    def on_end(self, record: object) -> None: ...


@pytest.mark.parametrize(
    ("use", "text", "complaint"),
    [
        ("nobody:X", "", r"it cannot be imported: ModuleNotFoundError"),
        ("m:X", "X = 5", "module m has no class X"),
        ("m:X", "class X: pass", "it is not a dataclass"),
        ("m:X", "from dataclasses import dataclass\n@dataclass\nclass X: pass", "it has none of on_request"),
        ("m:X", "1 / 0", r"ZeroDivisionError: division by zero \(/plug-ins/m.py:1\)"),
        ("m:X", "import sys\nsys.exit(4)", r"SystemExit: 4 \(/plug-ins/m.py:2\)"),
        ("m:X", "def f(:", "SyntaxError"),
        ("m:X", "from . import away", "ImportError: cannot import name 'away'"),
        (
            "m:X",
            "from dataclasses import dataclass\n@dataclass\nclass X:\n    def on_request(self, request): pass",
            "on_request must take 2 arguments beside self",
        ),
    ],
)
def test_class_that_is_none_is_told(use: str, text: str, complaint: str) -> None:
    found = library(m=text)
    found.load([use])
    with pytest.raises(ValueError, match=complaint):
        found.get(use)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"sise": 1}, "no option 'sise'; there is size, name"), ({"size": "1"}, "Expected `int`"), ({"name": 1}, "`str`")],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], complaint: str) -> None:
    found = library(good=GOOD.format(value=1))
    found.load(["good:Good"])
    with pytest.raises(ValueError, match=complaint):
        found.make("good:Good", options)


@pytest.mark.parametrize("use", ["", "a", "a:", ":B", "a:b:c", "a b:C", "a.:C", "../a:B", "a:B.c"])
def test_use_that_names_no_class_is_refused(use: str) -> None:
    with pytest.raises(ValueError, match="write module:Class"):
        split_use(use)


def test_work_that_never_ends_is_left_and_ended() -> None:
    threads = []

    def forever() -> None:
        threads.append(threading.current_thread())
        while True:
            pass

    with pytest.raises(TimeoutError):
        in_time(forever, 0.01)
    threads[0].join(10)
    assert not threads[0].is_alive()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_work_that_raises_raises_where_it_is_waited_for(error: BaseException) -> None:
    def work() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        in_time(work)
    assert caught.value is error


def test_work_that_is_done_in_time_returns() -> None:
    assert in_time(lambda: 3) == 3
