"""What stands in the list of runs: one row per run, and the curves to compare. No Streamlit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from app.draft import particulars, sentence, tidy
from kdcore.cards import Catalog
from kdcore.history import History
from kdcore.recipe import Recipe, RecipeError
from kdcore.run import Run


@dataclass(frozen=True)
class Row:
    """One run, as far as it has come."""

    id: str
    when: float
    """Seconds since the epoch."""
    what: str
    settings: str
    """What it sets beside that, in a few words; "" where nothing."""
    state: str
    recorded: bool
    student: float | None
    """Test accuracy in [0, 1]; None before the end."""
    alone: float | None
    teacher: float | None
    seconds: float | None
    size: int
    """Bytes on disk."""
    recipe: Recipe | None
    """None if the run's file was damaged."""

    @property
    def gain(self) -> float | None:
        """Student less student alone."""
        return None if self.student is None or self.alone is None else self.student - self.alone

    @property
    def name(self) -> str:
        """What it is, told apart from others."""
        return " · ".join(filter(None, [self.short_name, self.settings]))

    @property
    def short_name(self) -> str:
        """The same without networks and scheme: short enough for a legend."""
        return f"{self.short_id} · {' · '.join(self.what.split(' · ')[:2])}"

    @property
    def short_id(self) -> str:
        """As much of the id as tells runs apart: its first six letters and the number of the attempt."""
        return self.id[:6] + self.id[16:]


_ENDED: dict[tuple[str, float, str, str], Row] = {}
"""Rows of runs that have ended: they do not change any more."""


def row_of(run: Run, catalog: Catalog) -> Row:
    """The run's row. What has ended is read once."""
    now = run.state()
    if now in ("waiting", "running"):
        return _row(run, catalog, now)
    key = (str(run.folder), run.created, now, catalog.version)
    if key not in _ENDED:
        while len(_ENDED) >= 2000:
            _ENDED.pop(next(iter(_ENDED)))
        _ENDED[key] = _row(run, catalog, now)
    return _ENDED[key]


def _row(run: Run, catalog: Catalog, now: str) -> Row:
    try:
        recipe = run.recipe
        what, settings = sentence(recipe, catalog), particulars(tidy(recipe, catalog))
    except RecipeError as error:
        recipe, what, settings = None, str(error), ""
    history = run.history()
    taken = history.seconds
    if taken is None and history.started:
        taken = max(0.0, history.last - history.started.time)
    return Row(
        id=run.id,
        when=run.created,
        what=what,
        settings=settings,
        state=now,
        recorded=run.recorded,
        student=_tested(history, "student"),
        alone=_tested(history, "baseline"),
        teacher=_tested(history, "teacher"),
        seconds=taken,
        size=run.size(),
        recipe=recipe,
    )


def _tested(history: History, part: str) -> float | None:
    """Test accuracy of the part; of several students (peers, generations) the last."""
    found = [result for role, result in history.results.items() if _part(history, role, result) == part]
    if not found and part == "student":
        found = [result for role, result in history.results.items() if _part(history, role, result) == "peer"]
    return found[-1].get("test_accuracy") if found else None


def _part(history: History, role: str, result: dict[str, Any]) -> str:
    if "part" in result:
        return str(result["part"])
    known = history.started.roles if history.started else {}
    return str(known.get(role, {}).get("part", role))


def student_curve(history: History) -> tuple[list[float], list[float | None]]:
    """(epochs, validation accuracy in [0, 1]) of the student; epochs are counted from where its own phases begin."""
    roles = [
        role for role, what in (history.started.roles if history.started else {}).items() if what["part"] == "student"
    ]
    if not roles:
        roles = [
            role for role, what in (history.started.roles if history.started else {}).items() if what["part"] == "peer"
        ]
    for role in reversed(roles):
        epochs: list[float] = []
        values: list[float | None] = []
        offset = 0.0
        for phase in history.phases:
            if role in phase.scores:
                epochs += [offset + epoch for epoch in phase.scores[role].epochs]
                values += phase.scores[role].values
                offset += phase.epochs
        if epochs:
            return epochs, values
    return [], []


def ago(when: float) -> str:
    """ "just now", "5 min ago", "3 h ago", or the day."""
    past = time.time() - when
    if when <= 0:
        return "–"
    if past < 60:
        return "just now"
    if past < 3600:
        return f"{past / 60:.0f} min ago"
    if past < 86400:
        return f"{past / 3600:.0f} h ago"
    return time.strftime("%Y-%m-%d", time.localtime(when))
