"""`sluice healthcheck`: is the proxy of this configuration ready? Cheap: only its bind is read, nothing validated."""

import os
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from proxy.cli.admin import DEFAULT, Admin, RefusedError, UnreachableError
from proxy.config.addresses import parse_bind
from proxy.config.problems import WrongError
from proxy.config.sources import find_config, read
from proxy.config.tree import Mapping

_WELL: Final = 0
_ILL: Final = 1


def healthcheck(config: Path | None, url: str | None) -> int:
    """Ask for /readyz; the exit status."""
    try:
        answer = Admin(url or address_of(config)).text("/readyz")
    except (UnreachableError, RefusedError, WrongError) as error:
        print(f"sluice: {error}", file=sys.stderr)
        return _ILL
    print(answer.strip())
    return _WELL


def address_of(config: Path | None) -> str:
    """Where the admin of a configuration is to be reached from this machine; WrongError where that cannot be told."""
    path = config or find_config()
    if path is None:
        return DEFAULT
    parsed = read(path, os.environ)
    if not isinstance(parsed.tree, Mapping):
        raise WrongError(f"{path} cannot be read: {parsed.problems[0] if parsed.problems else 'it is no mapping'}")
    bind = parsed.tree.section("admin").scalar("bind")
    return DEFAULT if bind is None else _reachable(str(bind), Path(bind.place.file).parent)


def _reachable(bind: str, directory: Path) -> str:
    address = parse_bind(bind, directory)
    if address.ip is None or not address.ip.is_unspecified:
        return address.text if address.is_unix else f"http://{address.text}"
    local = ip_address("127.0.0.1" if address.ip.version == 4 else "::1")
    return f"http://{local}:{address.port}" if local.version == 4 else f"http://[{local}]:{address.port}"
