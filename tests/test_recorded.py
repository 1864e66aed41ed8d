"""The runs that ship with the lab: finished, with a clear gain, and every probe can be asked of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdcore.catalog import PROBES, catalog
from kdcore.check import faults
from kdcore.probe import ProbeError
from kdcore.revive import revive
from kdcore.runs import Run, Shelf

RECORDED = [run for run in Shelf(Path("no-such-folder")).runs() if run.recorded]


def test_there_are_recorded_runs() -> None:
    assert len(RECORDED) >= 2


@pytest.mark.parametrize("run", RECORDED, ids=lambda run: run.id)
def test_it_is_finished_and_shows_a_clear_gain(run: Run) -> None:
    history = run.history()
    assert run.state() == history.outcome == "finished"
    assert history.results["student"]["test_accuracy"] > history.results["baseline"]["test_accuracy"] + 0.05
    assert faults(run.recipe, catalog()) == []


@pytest.mark.parametrize("run", RECORDED, ids=lambda run: run.id)
def test_every_probe_answers_or_says_why_not(run: Run) -> None:
    told = {name: _asked(run, name) for name in PROBES}
    assert all(len(words) > 20 for words, _ in told.values()), told
    assert sum(answered for _, answered in told.values()) >= 2


def test_each_picture_of_the_product_has_a_recorded_run() -> None:
    for name in ("boundaries", "layer_assignment", "feature_maps"):
        assert any(_asked(run, name)[1] for run in RECORDED), name


def _asked(run: Run, probe: str) -> tuple[str, bool]:
    """(what the probe says of the last snapshot, whether that is an answer and not a refusal)."""
    try:
        return PROBES[probe]().ask(revive(run, run.history().snapshots[-1].name)).says, True
    except ProbeError as refusal:
        return str(refusal), False
