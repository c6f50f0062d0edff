from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from proxy import _identity

OURS = "Sluicegate: a programmable L7 reverse proxy"


def rival_in(folder: Path) -> Distribution:
    info = folder / "proxy.py-2.4.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: proxy.py\nVersion: 2.4\n")
    return PathDistribution(info)


def test_package_of_this_repository_is_ours() -> None:
    _identity.check()


def test_rival_in_another_directory_does_no_harm(tmp_path: Path) -> None:
    rival = rival_in(tmp_path / "site-packages")
    assert _identity.complaint_about(tmp_path / "checkout" / "proxy" / "__init__.py", OURS, rival) is None


@pytest.mark.parametrize("doc", [OURS, None, "proxy.py"])
def test_rival_in_the_same_directory_is_told(tmp_path: Path, doc: str | None) -> None:
    complaint = _identity.complaint_about(tmp_path / "proxy" / "__init__.py", doc, rival_in(tmp_path))
    assert complaint is not None
    assert "proxy.py is installed over Sluicegate" in complaint
    assert "\n" not in complaint


def test_package_of_somebody_else_is_told(tmp_path: Path) -> None:
    complaint = _identity.complaint_about(tmp_path / "proxy" / "__init__.py", "\n    proxy.py\n", None)
    assert complaint is not None
    assert "is not Sluicegate's" in complaint


def test_package_without_docstrings_is_taken(tmp_path: Path) -> None:
    assert _identity.complaint_about(tmp_path / "proxy" / "__init__.py", None, None) is None
