"""Whatever a test draws unchecked, plotly checks here."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import plotly.graph_objects as go
import pytest

from app.charts import drawn


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def figure(*, data: Any, layout: Any, _validate: bool) -> go.Figure:
        found, checked = (go.Figure(data=data, layout=layout, _validate=check) for check in (_validate, True))
        assert json.loads(found.to_json()) == json.loads(checked.to_json()), "plotly writes something otherwise"
        return found

    monkeypatch.setattr(drawn, "go", SimpleNamespace(Figure=figure))
