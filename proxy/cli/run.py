"""`sluice run`: become the master process. What can be wrong is said by the controller that it starts."""

import os
import sys
from pathlib import Path

from proxy.config.sources import find_config
from proxy.supervisor.child import environment


def run(config: Path | None) -> int:  # noqa: RET503 - the rest is another program
    """Serve the configuration; returns only if that is not possible."""
    path = config or find_config()
    if path is None:
        print(
            "sluice: no configuration: name one, or put it at ./sluice.yaml or /etc/sluice/sluice.yaml", file=sys.stderr
        )
        return 1
    sys.stdout.flush()
    sys.stderr.flush()
    # -P: a folder called proxy where the user happens to stand is not ours.
    arguments = [sys.executable, "-P", "-m", "proxy.supervisor", str(path)]
    os.execve(sys.executable, arguments, environment())  # noqa: S606 - the same program, with fewer imports
