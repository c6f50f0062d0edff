"""`sluice schema`."""

import json

from proxy.config.schema import schema


def print_schema() -> int:
    """Print the JSON Schema of the YAML; the exit status."""
    print(json.dumps(schema(), indent=2, ensure_ascii=False))
    return 0
