"""`python -m proxy.supervisor CONFIG`: what `sluice run` becomes; its pid is the master's."""

import sys

if __name__ == "__main__" and "--check-start" not in sys.argv:
    # asyncio does without TLS where there is none, and the master never needs it: 1.3 MiB and 14 ms less.
    sys.modules["ssl"] = None  # type: ignore[assignment]


import asyncio
import logging

from proxy.supervisor.handover import Handover
from proxy.supervisor.master import Master


async def serve(config: str, handover: Handover | None = None) -> int:
    """Be the master, from the start or after an exec."""
    master = Master(asyncio.get_running_loop(), config)
    if handover is not None:
        master.resume(handover)
    return await master.run()


def check_start(config: str) -> int:
    """Does this code start, and does it take the configuration? For a restart, before anything is given up."""
    from proxy.supervisor.trial import trial  # noqa: PLC0415 - heavy, and only for this

    return trial(config)


def main() -> int:
    """What the arguments ask for."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    match sys.argv[1:]:
        case ["--check-start", config]:
            return check_start(config)
        case ["--resume", descriptor]:
            handover = Handover.from_file(int(descriptor))
            return asyncio.run(serve(handover.config, handover))
        case [config]:
            return asyncio.run(serve(config))
    print("sluice: this is started by `sluice run`", file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
