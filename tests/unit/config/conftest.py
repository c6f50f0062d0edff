from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from proxy.config.load import Loaded, load

PLAIN = """\
listeners: [{bind: 127.0.0.1:8080}]
services:
  shop:
    pools:
      blue: {endpoints: [127.0.0.1:9001]}
      green: {endpoints: [127.0.0.1:9002]}
    split: {blue: 90, green: 10}
routes:
  - service: shop
"""


@pytest.fixture
def plain() -> str:
    """A configuration without problems or warnings."""
    return PLAIN


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Loaded]:
    """Loads a text, as the file sluice.yaml."""

    def from_text(text: str | bytes, environ: Mapping[str, str] | None = None) -> Loaded:
        path = tmp_path / "sluice.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load(path, environ or {})

    return from_text


@pytest.fixture
def problems(loaded: Callable[..., Loaded], tmp_path: Path) -> Callable[..., list[str]]:
    """What is wrong with a text, each as `line:column: message (hint)`."""

    def of_text(text: str | bytes, environ: Mapping[str, str] | None = None) -> list[str]:
        result = loaded(text, environ)
        assert (result.document is None) is bool(result.problems)
        prefix = f"{tmp_path / 'sluice.yaml'}:"
        return [str(problem).removeprefix(prefix).strip() for problem in result.problems]

    return of_text


@pytest.fixture
def warnings(loaded: Callable[..., Loaded], tmp_path: Path) -> Callable[..., list[str]]:
    """The warnings about a text that has no problems."""

    def of_text(text: str) -> list[str]:
        result = loaded(text)
        assert result.problems == []
        return [str(warning).removeprefix(f"{tmp_path / 'sluice.yaml'}:") for warning in result.warnings]

    return of_text
