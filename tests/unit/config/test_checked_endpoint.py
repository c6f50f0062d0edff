"""An endpoint's address that comes in while the proxy runs is refused for what the file would be refused for."""

from pathlib import Path

import pytest

from proxy.config.address_checks import checked_endpoint
from proxy.config.problems import WrongError

OURS = ("127.0.0.1:8080", "0.0.0.0:9900", "unix:/run/sluice.sock")


@pytest.mark.parametrize(
    ("text", "link_local", "address"),
    [
        ("10.0.0.1:80", False, "10.0.0.1:80"),
        ("Shop.Internal.:80", False, "shop.internal:80"),
        ("unix:shop.sock", False, "unix:/etc/sluice/shop.sock"),
        ("169.254.1.1:80", True, "169.254.1.1:80"),
        ("127.0.0.1:8081", False, "127.0.0.1:8081"),
    ],
)
def test_address_is_taken_in_the_form_of_the_document(text: str, link_local: bool, address: str) -> None:
    assert checked_endpoint(text, Path("/etc/sluice"), OURS, link_local=link_local).text == address


@pytest.mark.parametrize(
    ("text", "link_local", "why"),
    [
        ("169.254.1.1:80", False, "link-local"),
        ("[fe80::1]:80", False, "link-local"),
        ("127.0.0.1:8080", True, "leads back to ourselves"),
        ("127.0.0.1:9900", True, "leads back to ourselves"),
        ("unix:/run/sluice.sock", True, "leads back to ourselves"),
        ("shop", True, "not an address with a port"),
        ("shop:0", True, "port 0"),
    ],
)
def test_address_that_cannot_be_meant_is_refused(text: str, link_local: bool, why: str) -> None:
    with pytest.raises(WrongError, match=why):
        checked_endpoint(text, Path("/etc/sluice"), OURS, link_local=link_local)
