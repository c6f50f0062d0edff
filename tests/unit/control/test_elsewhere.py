"""Where webhooks may not lead: our own admin, however it is written."""

import pytest

from proxy.control.elsewhere import HOME, Elsewhere, homes
from proxy.control.webhooks import Webhooks
from proxy.snapshot.document import Admin, Document

URLS = [
    ("127.0.0.1:9900", "http://127.0.0.1:9900/v1", False),
    ("127.0.0.1:9900", "http://localhost:9900/v1", False),
    ("127.0.0.1:9900", "http://localhost.:9900/v1", False),
    ("127.0.0.1:9900", "http://LOCALHOST:9900/v1", False),
    ("127.0.0.1:9900", "http://user:pass@127.0.0.1:9900/v1", False),
    ("127.0.0.1:9900", "https://127.0.0.1:9900/v1", False),
    ("127.0.0.1:9900", "http://[::ffff:127.0.0.1]:9900/v1", False),
    ("127.0.0.1:9900", "http://0.0.0.0:9900/v1", False),
    ("0.0.0.0:9900", "http://127.0.0.2:9900/v1", False),
    ("[::1]:9900", "http://[::1]:9900/v1", False),
    ("[::]:9900", "http://127.0.0.1:9900/v1", False),
    ("127.0.0.1:80", "http://127.0.0.1/v1", False),
    ("127.0.0.1:443", "https://127.0.0.1/v1", False),
    ("10.0.0.1:9900", "http://10.0.0.1:9900/v1", False),
    ("127.0.0.1:9900", "http://127.0.0.1:9901/v1", True),
    ("127.0.0.1:9900", "http://10.0.0.1:9900/v1", True),
    ("127.0.0.1:80", "https://127.0.0.1/v1", True),
    ("127.0.0.1:9900", "http://ci.example.com:9900/v1", True),  # until it is resolved
    ("unix:/run/admin.sock", "http://127.0.0.1:9900/v1", True),
]


@pytest.mark.parametrize(("own", "url", "allowed"), URLS)
async def test_admin_is_known_however_it_is_written(own: str, url: str, allowed: bool) -> None:
    assert Elsewhere([own]).allows(url) is allowed


NAMES = ["127.1", "2130706433", "0x7f000001", "localhost"]  # the system takes all of them for 127.0.0.1


@pytest.mark.parametrize("name", NAMES)
async def test_name_that_resolves_to_the_admin_is_refused(name: str) -> None:
    elsewhere = Elsewhere(["127.0.0.1:9900"])
    with pytest.raises(OSError, match=HOME):
        await elsewhere.resolve(name, 9900)
    assert elsewhere.refused
    assert await Elsewhere(["127.0.0.1:9900"]).resolve(name, 9901)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_hook_says_so(host: str) -> None:
    result = await Webhooks(lambda _: None, lambda: ["127.0.0.1:9"]).ask(f"http://{host}:9/x", {}, retries=0)
    assert (result.ok, result.text) == (False, f"http://{host}:9 {HOME}")


def test_home_is_the_admin_and_the_status() -> None:
    assert homes(Document((), admin=Admin("127.0.0.1:1"), status="0.0.0.0:2")) == ("127.0.0.1:1", "0.0.0.0:2")
    assert homes(Document(())) == ("127.0.0.1:9900",)
