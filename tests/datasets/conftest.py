"""An empty KDLAB_DATA for tests that fill it with stand-ins."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty KDLAB_DATA, and an empty cache beside it."""
    root = tmp_path / "data"
    root.mkdir()
    monkeypatch.setenv("KDLAB_DATA", str(root))
    monkeypatch.setenv("KDLAB_CACHE", str(tmp_path / "cache"))
    return root
