"""Sweeps: what is searched, that the same seed searches the same, that weak runs are stopped, and that it goes on."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kdcore import engine, searching
from kdcore.beginnings import begun
from kdcore.catalog import catalog
from kdcore.events import Checkpoint, Event, Failed, Finished, PhaseStarted, Scored, Started
from kdcore.foundation import Foundations
from kdcore.recipe import Part, Pick, Recipe
from kdcore.runs import Shelf
from kdcore.scribe import LOOK_EVERY, write
from kdcore.searching import UNPRUNED, Search
from kdcore.slots import Slots
from kdcore.start import Start
from kdcore.sweep import (
    KEPT_OUT,
    MOST_RUNS,
    Plan,
    Span,
    Sweep,
    SweepError,
    Try,
    checked_runs,
    plan,
    searchable,
    span,
    usual_span,
)  # fmt: skip
from kdcore.sweeps import Sweeps
from tests.app.asking import on_pictures

CATALOG = catalog()
RECIPE = Recipe(training={"epochs": 10})
TEMPERATURE = "methods.0.temperature"
needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="Optuna is not installed")


def planned(*spans: str, recipe: Recipe = RECIPE, sampler: str = "random", seed: int = 0, pruner: str = "none") -> Plan:
    return plan(recipe, spans or (f"{TEMPERATURE}=1..16:log",), CATALOG, sampler=sampler, seed=seed, pruner=pruner)


class Lab:
    """A shelf whose runs are written by threads of this process, from a curve made up of the recipe."""

    def __init__(
        self, root: Path, *, reached: Callable[[Recipe], float] | None = None, pace: float = 0.0, fails: float = 0.0
    ) -> None:
        """`reached`: validation accuracy at the end; `pace`: seconds an epoch; hotter than `fails`, a run fails."""
        self.shelf = Shelf(root, recorded=root / "none")
        self.board = Sweeps(root)
        self.board.folder.mkdir(parents=True, exist_ok=True)
        self.reached = reached or (lambda recipe: 0.9 - abs(temperature_of(recipe) - 4.0) / 20)
        self.pace, self.fails = pace, fails
        self.written: list[str] = []
        self.stop = False

    def write(self, id: str) -> None:
        self.written.append(id)
        run = self.shelf.run(id)
        slots = Slots(self.shelf.root / "slots", "cpu", 4)
        threading.Thread(target=lambda: write(run, self.source, slots=slots), daemon=True).start()

    def source(self, recipe: Recipe) -> Iterator[Event]:
        now, epochs, top = time.time(), recipe.budget().epochs, self.reached(recipe)
        yield Started(now, recipe.to_json(), {"student": {"part": "student"}}, {"validation": 200}, "cpu", 1)
        yield PhaseStarted(now, 0, "student", "", epochs, epochs, ["student"], [])
        for epoch in range(1, epochs + 1):
            time.sleep(self.pace)
            if self.fails and temperature_of(recipe) > self.fails:
                yield Failed(now, "the loss became nan")
                return
            yield Scored(now, 0, epoch, float(epoch), "student", "validation", top * epoch / epochs, 1.0, 200, [], {})
        told = {"part": "student", "validation_accuracy": top, "test_accuracy": 1.0 - top, "count": 100}
        yield Finished(now, 1.0, {"student": told})

    def search(self, sweep: Sweep, *, stop: Callable[[], bool] = lambda: False, at_once: int = 1) -> Sweep:
        def held(now: Sweep, keep: Callable[[Sweep], None]) -> None:
            Search(
                now, shelf=self.shelf, catalog=CATALOG, journal=self.board.journal(now.plan.id), write=self.write,
                keep=keep, stop=stop, at_once=at_once,
            ).run()  # fmt: skip

        return self.board.hold(sweep, held)


def temperature_of(recipe: Recipe) -> float:
    return float(recipe.methods[0].method.settings["temperature"])


def values_of(sweep: Sweep) -> list[dict[str, object]]:
    return [one.values for one in sweep.tries]


# What is asked for


def test_a_range_says_where_and_how_a_setting_is_searched() -> None:
    assert span(f"{TEMPERATURE}=1..16", RECIPE, CATALOG) == Span(TEMPERATURE, 1.0, 16.0)
    assert span("student.width=8..512", RECIPE, CATALOG) == Span("student.width", 8, 512, log=True, whole=True)
    assert span("training.rate=1e-4..0.1:linear", RECIPE, CATALOG).log is False
    assert span("training.optimizer=adamw, sgd", RECIPE, CATALOG).choices == ("adamw", "sgd")
    assert span("student.depth=1, 3", RECIPE, CATALOG).choices == (1, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{TEMPERATURE}=16..1", "goes from 16 down to 1; 1..16 is right"),
        (f"{TEMPERATURE}=4..4", "nothing to search"),
        (f"{TEMPERATURE}=4", "nothing to search"),
        (f"{TEMPERATURE}=0.1..4", "lies outside"),
        (f"{TEMPERATURE}=a..b", "'a' is not a number"),
        (f"{TEMPERATURE}=1..4:cubic", "log or linear is right"),
        ("methods.0.weight=0..4:log", "begins above 0"),
        ("student.width=8.5..16", "not a whole number"),
        ("methods.7.weight=1..2", "no setting of this recipe"),
        ("../../etc=1..2", "no setting of this recipe"),
        ("training.optimizer=adamw..sgd", "has no range"),
        ("training.optimizer=adamw, adam", "is none of"),
        ("nothing", "PATH=low..high is right"),
        ("seed=0..9", "luck"),
        ("data.validation=0.1..0.2", "different pictures"),
    ],
)
def test_what_cannot_be_searched_is_said(text: str, words: str) -> None:
    with pytest.raises(SweepError, match=words):
        span(text, RECIPE, CATALOG)


def test_every_setting_that_is_offered_has_a_usual_range_that_can_be_read_back() -> None:
    for path, knob in searchable(Recipe(), CATALOG).items():
        assert path not in KEPT_OUT
        usual = usual_span(Recipe(), path, knob)
        assert span(usual.text, Recipe(), CATALOG) == usual, path


def test_a_plan_says_what_is_wrong_with_it() -> None:
    twice = f"{TEMPERATURE}=1..2"
    for spans, words in (((), "nothing is varied"), ((twice, twice), "varied twice")):
        with pytest.raises(SweepError, match=words):
            plan(RECIPE, spans, CATALOG, sampler="tpe", seed=0, pruner="none")
    with pytest.raises(SweepError, match="cannot be run"):
        planned(recipe=Recipe(methods=(Part(Pick("kdd")),)))
    with pytest.raises(SweepError, match="tpe or random"):
        planned(sampler="grid")
    for runs in (0, -1, MOST_RUNS + 1):
        with pytest.raises(SweepError, match=f"1 to {MOST_RUNS} is right"):
            checked_runs(runs)


def test_numbers_that_are_tried_are_short_and_inside_their_range() -> None:
    one = Span("training.rate", 0.00123456, 0.1)
    assert one.settle(0.0123456) == 0.01235
    assert one.settle(0.00123456) == 0.001235
    assert Span("training.rate", 0.1, 0.20001).settle(0.200009) == 0.2
    assert Span("x", 1, 9, whole=True).settle(9) == 9


def test_a_sweep_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    sweep = Sweep(
        planned(), 3, tries=[Try(0, {TEMPERATURE: 2.0}, "pruned", "0" * 16, 0.5, [(1, 0.4), (2, 0.5)], "weak")]
    )
    sweep.write(tmp_path / "one.json")
    assert Sweep.read(tmp_path / "one.json") == sweep
    assert planned().id == planned().id != planned(seed=1).id


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("plan",), {}),
        (("plan", "recipe"), {"data": 3}),
        (("plan", "spans"), []),
        (("plan", "sampler"), "cma"),
        (("runs",), "many"),
        (("runs",), 10**9),
        (("began",), float("nan")),
        (("plan", "spans"), [{"path": "methods.9.weight", "low": 1, "high": 2, "choices": []}]),
        (("plan", "spans"), [{"path": "student.width", "low": 0, "high": 2, "log": True, "choices": []}]),
        (("plan", "spans"), [{"path": "student.width", "choices": [[], {}]}]),
        (("tries",), [{"number": 0}]),
        (("tries",), [{"number": 0, "values": {"other": 1}}]),
        (("tries",), [{"number": 0, "values": {TEMPERATURE: 1}, "accuracy": "high"}]),
        (("tries",), [{"number": 0, "values": {TEMPERATURE: 1}, "state": "won"}]),
        (("importance",), {"x": None}),
    ],
)
def test_a_damaged_file_is_no_sweep(tmp_path: Path, path: tuple[str, ...], value: object) -> None:
    told = Sweep(planned(), 3).to_json()
    place = told
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    board = Sweeps(tmp_path)
    board.folder.mkdir()
    board.path("0" * 16).write_text(json.dumps(told))
    with pytest.raises(SweepError, match="damaged"):
        board.read("0" * 16)
    board.path("0" * 16).write_text("[" * 100_000)
    with pytest.raises(SweepError, match="damaged"):
        board.read("0" * 16)


def test_a_name_from_outside_reaches_no_other_file(tmp_path: Path) -> None:
    board = Sweeps(tmp_path)
    for name in ("../../etc/passwd", "", "0" * 15, "0" * 16 + "\n", "going"):
        with pytest.raises(SweepError, match="no id of a sweep"):
            board.path(name)
    with pytest.raises(SweepError, match="no sweep"):
        board.read("0" * 16)


# The search


@needs_optuna
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_same_seed_searches_the_same(tmp_path: Path, sampler: str) -> None:
    spans = (f"{TEMPERATURE}=1..16:log", "student.width=8..64", "training.optimizer=adamw, sgd")
    first, second, other = (
        Lab(tmp_path / name).search(Sweep(planned(*spans, sampler=sampler, seed=seed), 10))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert values_of(first) == values_of(second)
    assert values_of(first) != values_of(other)
    assert len({json.dumps(values) for values in values_of(first)}) == 10


@needs_optuna
def test_tpe_looks_where_good_ones_were(tmp_path: Path) -> None:
    sweep = Lab(tmp_path).search(Sweep(planned(f"{TEMPERATURE}=1..16:linear", sampler="tpe"), 24))
    away = [abs(float(one.values[TEMPERATURE]) - 4.0) for one in sweep.tries]
    assert sum(away[12:]) < 0.7 * sum(away[:12])


@needs_optuna
def test_each_try_is_a_run_on_the_shelf_and_the_recipe_as_it_stands_goes_first(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    sweep = lab.search(Sweep(planned(), 4), at_once=3)
    assert sweep.finished
    assert sweep.start.run == lab.written[0] == RECIPE.id
    for one in sweep.tries:
        assert lab.shelf.run(one.run).recipe == sweep.plan.with_values(one.values)
        assert one.state == "finished"
    assert lab.board.read(sweep.plan.id) == sweep


@needs_optuna
def test_validation_decides_and_never_test(tmp_path: Path) -> None:
    """In this lab test accuracy is best where validation accuracy is worst."""
    sweep = Lab(tmp_path).search(Sweep(planned(), 6))
    best = sweep.best
    assert best is not None
    assert best.accuracy == max(one.accuracy for one in sweep.tries if one.accuracy is not None)
    assert abs(float(best.values[TEMPERATURE]) - 4.0) == min(
        abs(float(one.values[TEMPERATURE]) - 4.0) for one in sweep.tries
    )
    assert "test" not in json.dumps(sweep.to_json()["tries"])


@needs_optuna
def test_a_weak_run_is_stopped_and_is_told_as_such(tmp_path: Path) -> None:
    """From the sixth try on, all are hopeless."""
    lab = Lab(tmp_path, pace=0.03)
    seen = iter(range(100))
    lab.reached = lambda recipe: 0.9 if next(seen) <= UNPRUNED else 0.1
    sweep = lab.search(Sweep(planned(pruner="median"), UNPRUNED + 2))
    assert [one.state for one in sweep.tries] == ["finished"] * UNPRUNED + ["pruned"] * 2
    for one in sweep.tries[UNPRUNED:]:
        run = lab.shelf.run(one.run)
        assert run.state() == "stopped"
        scored = [event for event in run.events()[0] if isinstance(event, Scored)]
        assert len(scored) < 10
        assert "below the median" in one.why
    assert sweep.best is sweep.tries[0]


@needs_optuna
def test_without_a_pruner_all_go_to_their_end(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    seen = iter(range(100))
    lab.reached = lambda recipe: 0.9 if next(seen) <= UNPRUNED else 0.1
    assert lab.search(Sweep(planned(), UNPRUNED + 2)).count("finished") == UNPRUNED + 2


@needs_optuna
def test_refused_and_failed_tries_are_counted_as_such(tmp_path: Path) -> None:
    recipe = RECIPE.replace(methods=(Part(Pick("kd", {"temperature": 4.0})), Part(Pick("fitnet"))))
    lab = Lab(tmp_path, fails=8.0)
    sweep = lab.search(Sweep(planned("training.batch=2, 64", f"{TEMPERATURE}=1..16", recipe=recipe), 16))
    refused = [one for one in sweep.tries if one.values["training.batch"] == 2]
    failed = [one for one in sweep.tries if one not in refused and float(one.values[TEMPERATURE]) > 8.0]
    assert refused
    assert failed
    assert len(refused) + len(failed) < 16
    assert sweep.count("refused") == len(refused)
    assert all(one.run == "" and "4 pictures or more" in one.why for one in refused)
    assert [one.why for one in failed] == ["the loss became nan"] * len(failed)
    assert sweep.count("failed") == len(failed)
    again = lab.search(lab.board.read(sweep.plan.id))
    assert [one.state for one in again.tries] == [one.state for one in sweep.tries]


@needs_optuna
def test_where_everything_is_refused_it_says_so(tmp_path: Path) -> None:
    recipe = RECIPE.replace(methods=(Part(Pick("kd", {"temperature": 4.0})), Part(Pick("fitnet"))))
    sweep = Lab(tmp_path).search(Sweep(planned("training.batch=2, 3", recipe=recipe), 3))
    assert sweep.finished
    assert sweep.best is None
    assert "No try has a result: 3 refused" in sweep.now
    assert "4 pictures or more" in sweep.now


@needs_optuna
def test_a_recipe_that_does_not_run_ends_the_sweep(tmp_path: Path) -> None:
    lab = Lab(tmp_path, fails=1.0)
    with pytest.raises(SweepError, match="did not run to its end: the loss became nan"):
        lab.search(Sweep(planned(), 3))
    assert lab.board.read(planned().id).now.startswith("It ended early")


@needs_optuna
def test_stopped_and_gone_on_with_it_searches_what_it_would_have_searched(tmp_path: Path) -> None:
    whole = Lab(tmp_path / "whole").search(Sweep(planned(sampler="tpe"), 12))
    lab = Lab(tmp_path / "parts", pace=0.04)
    with pytest.raises(KeyboardInterrupt):
        lab.search(Sweep(planned(sampler="tpe"), 12), stop=lambda: len(lab.written) == 6)
    stopped = lab.board.read(planned(sampler="tpe").id)
    assert not stopped.finished
    assert 3 <= stopped.count("finished") <= 5
    assert lab.shelf.run(stopped.tries[-1].run).state() == "stopped"
    assert lab.board.going() == ""
    gone_on = lab.search(stopped)
    assert values_of(gone_on) == values_of(whole)
    assert gone_on.count("finished") == 12


class Training(Lab):
    """A lab that really trains and keeps a checkpoint of every epoch."""

    def __init__(self, root: Path, *, holds: int = 0) -> None:
        """`holds`: the run, counted from 1, that waits at its first checkpoint of phase 2 until it is to stop."""
        super().__init__(root)
        self.holds = holds
        self.began: list[tuple[str, int]] = []
        """(run, phase from which it was trained), -1 for one that began at the beginning."""

    def write(self, id: str) -> None:
        self.written.append(id)
        run = self.shelf.run(id)

        def train(recipe: Recipe, *, start: Start | None = None, laid: Foundations) -> Iterator[Event]:
            self.began.append((id, -1 if start is None else start.phase))
            for event in engine.run(recipe, start=start, laid=laid, checkpoint_every=0.0):
                yield event
                if isinstance(event, Checkpoint) and event.phase == 2 and len(self.written) == self.holds:
                    self.holds = 0
                    until = time.monotonic() + 60
                    while not run.stop_requested() and time.monotonic() < until:
                        time.sleep(0.01)
                    time.sleep(2 * LOOK_EVERY)  # the search has left, and at its next event the run looks

        slots = Slots(self.shelf.root / "slots", "cpu", 1)
        threading.Thread(
            target=lambda: write(run, begun(run, self.shelf, train), slots=slots), daemon=True
        ).start()  # fmt: skip

    def weights(self, id: str) -> dict[str, dict[str, Tensor]]:
        run = self.shelf.run(id)
        return {one.name: run.tensors(one.name) for one in run.history().snapshots}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Training, Sweep]:
    """A search that really trained from beginning to end."""
    lab = Training(tmp_path_factory.mktemp("straight"))
    recipe = on_pictures(epochs=6, methods=[{"is": "kd", "temperature": 2.0}])
    return lab, lab.search(Sweep(planned(recipe=recipe), 2))


@needs_optuna
@pytest.mark.parametrize("patience", [2.0, 0.0], ids=["its run has stopped", "its run is still stopping"])
@pytest.mark.parametrize("which", [1, 2], ids=["the recipe as it stands", "a try"])
def test_a_try_that_was_stopped_goes_on_from_its_checkpoint_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: tuple[Training, Sweep], which: int, patience: float
) -> None:
    monkeypatch.setattr(searching, "PATIENCE", patience)
    straight, whole = uninterrupted
    lab, meant = Training(tmp_path, holds=which), whole.plan

    def half_trained() -> bool:
        found = lab.shelf.run(lab.written[-1]).interrupted_at() if len(lab.written) == which else None
        return found is not None and found["phase"] == 2

    with pytest.raises(KeyboardInterrupt):
        lab.search(Sweep(meant, 2), stop=half_trained)
    gone_on = lab.search(lab.board.read(meant.id))
    assert (gone_on.start, gone_on.tries) == (whole.start, whole.tries)
    assert {run.id for run in lab.shelf.runs()} == {run.id for run in straight.shelf.runs()}, "no further attempt"
    stopped = lab.written[which - 1]
    assert [phase for id, phase in lab.began if id == stopped] == [-1, 2], "the phases before were not trained again"
    for id in {gone_on.start.run, *(one.run for one in gone_on.tries)}:
        ours, theirs = lab.weights(id), straight.weights(id)
        assert ours.keys() == theirs.keys()
        for name, tensors in ours.items():
            assert tensors.keys() == theirs[name].keys()
            assert all(torch.equal(value, theirs[name][part]) for part, value in tensors.items())


@needs_optuna
def test_a_try_that_was_stopped_before_its_first_checkpoint_is_begun_anew(tmp_path: Path) -> None:
    lab = Lab(tmp_path, pace=0.04)
    with pytest.raises(KeyboardInterrupt):
        lab.search(Sweep(planned(), 2), stop=lambda: len(lab.written) == 2)
    gone_on = lab.search(lab.board.read(planned().id))
    assert gone_on.count("finished") == 2
    assert gone_on.tries[0].run == f"{lab.written[1]}-2"


@needs_optuna
def test_a_sweep_goes_on_with_more_tries(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    first = values_of(lab.search(Sweep(planned(), 3)))
    more = lab.board.read(planned().id)
    more.runs = 5
    assert values_of(lab.search(more))[:3] == first
    assert len(more.tries) == 5


@needs_optuna
def test_what_a_killed_process_leaves_half_written_hinders_nothing(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    sweep = lab.search(Sweep(planned(), 3))
    journal = lab.board.journal(sweep.plan.id)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-2]) + lines[-2][: len(lines[-2]) // 2])  # the last try is open again
    Path(f"{journal}.lock").write_text("held by nobody")
    sweep.runs = 4
    again = lab.search(sweep)
    assert [one.state for one in again.tries] == ["finished"] * 4
    assert len(set(lab.written)) == len(lab.written)  # its run had finished and was found again


@needs_optuna
def test_a_run_named_in_a_foreign_journal_is_looked_up_and_not_trusted(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        lab.search(Sweep(planned(), 3), stop=lambda: len(lab.written) == 2)
    journal = lab.board.journal(planned().id)
    text = journal.read_text().replace(lab.written[1], "../../../etc")
    assert "../../../etc" in text
    journal.write_text(text)
    assert lab.search(lab.board.read(planned().id)).count("finished") == 3


@needs_optuna
@pytest.mark.parametrize("content", [b"\x80\x04\x95garbage\n{}\n", b'{"op_code": 99}\n', b"[]\n", b"null\n" * 3])
def test_a_damaged_storage_is_said(tmp_path: Path, content: bytes) -> None:
    lab = Lab(tmp_path)
    lab.board.journal(planned().id).write_bytes(content)
    with pytest.raises(SweepError, match="is damaged"):
        lab.search(Sweep(planned(), 3))
    assert lab.written == []


@needs_optuna
def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import optuna.importance  # its libraries derive from the unpickler that is taken away below

    assert optuna.importance

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    lab = Lab(tmp_path)
    sweep = lab.search(Sweep(planned("student.width=8..64", f"{TEMPERATURE}=1..16", sampler="tpe"), 10))
    sweep.runs = 12
    assert lab.search(sweep).count("finished") == 12
    json_only = [json.loads(line) for line in lab.board.journal(sweep.plan.id).read_text().splitlines()]
    assert len(json_only) > 12


@needs_optuna
def test_what_decides_is_estimated_where_several_settings_vary(tmp_path: Path) -> None:
    sweep = Lab(tmp_path).search(Sweep(planned(f"{TEMPERATURE}=1..16", "student.width=8..64"), 30))
    assert sum(sweep.importance.values()) == pytest.approx(1.0)
    assert sweep.importance[TEMPERATURE] > sweep.importance["student.width"]


# Its process


def test_one_at_a_time_and_only_with_the_same_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdcore.sweeps.installed", lambda: True)
    board = Sweeps(tmp_path, command=[sys.executable, "-c", "import time; time.sleep(60)"])
    sweep = Sweep(planned(), 3)
    try:
        board.start(sweep)
        assert Sweeps(tmp_path).going() == sweep.plan.id
        with pytest.raises(SweepError, match="one at a time"):
            board.start(Sweep(planned(seed=1), 3))
        with pytest.raises(SweepError, match="stop it first"):
            board.forget(sweep.plan.id)
    finally:
        board.stop()
    assert board.going() == ""
    assert board.ids() == [sweep.plan.id]
    board.forget(sweep.plan.id)
    assert board.ids() == []
    old = Sweep(Plan(RECIPE, planned().spans, "tpe", 0, "none", "older"), 3)
    with pytest.raises(SweepError, match="another version of the code"):
        board.start(old)


def test_without_optuna_the_lab_imports_and_says_how_to_get_it(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['optuna'] = None\n"
        "import kdcore.sweep, kdcore.sweeps, kdcore.searching, kdcore.sweep_command\n"
        "from kdcore.commands import main\n"
        "assert 'torch' not in sys.modules\n"
        "sys.exit(main(['sweep', 'recipe.json', '--vary', 'x=1..2', '--root', sys.argv[1]]))"
    )
    told = run_here("-c", script, str(tmp_path))
    assert told.returncode == 2, told.stderr
    assert "pip install optuna" in told.stderr
    assert "Traceback" not in told.stderr


@needs_optuna
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--vary", f"{TEMPERATURE}=9..2"], "goes from 9 down to 2"),
        (["--vary", f"{TEMPERATURE}=1..4", "--runs", "0"], "0 tries; 1 to"),
        ([], "nothing is varied"),
        (["--go-on", "0" * 16], "is right"),
    ],
)
def test_the_command_line_says_what_is_wrong(tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "recipe.json").write_text('{"methods": [{"is": "kd"}]}')
    told = run_here(
        "-m", "kdcore", "sweep", str(tmp_path / "recipe.json"), *arguments, "--root", str(tmp_path / "runs")
    )
    assert told.returncode == 2, told.stderr
    assert says in told.stderr
    assert "Traceback" not in told.stderr


@needs_optuna
@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_and_trains_nothing_twice(tmp_path: Path) -> None:
    """With real training: the driver is killed, then the same command goes on to the end."""
    (tmp_path / "recipe.json").write_text(
        '{"data": {"is": "digits", "train_size": 200}, "methods": [{"is": "kd", "temperature": 2.0}], '
        '"training": {"epochs": 2, "teacher_epochs": 2}}'
    )
    root = tmp_path / "runs"
    command = [
        sys.executable, "-m", "kdcore", "sweep", str(tmp_path / "recipe.json"), "--vary", f"{TEMPERATURE}=1..16",
        "--runs", "5", "--root", str(root),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "KDLAB_SLOTS": "1"}
    child = subprocess.Popen(command, cwd=Path(__file__).parent.parent, env=environment, stderr=subprocess.DEVNULL)
    board = Sweeps(root)
    try:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and child.poll() is None:
            if board.ids() and board.read(board.ids()[0]).count("finished") >= 1:
                break
            time.sleep(0.05)
        assert board.going()
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert board.going() == ""
    before = {one.number: one for one in board.read(board.ids()[0]).tries if one.state == "finished"}
    assert before
    told = subprocess.run(
        command, cwd=Path(__file__).parent.parent, env=environment, capture_output=True, text=True, timeout=300
    )
    assert told.returncode == 0, told.stderr
    after = board.read(board.ids()[0])
    assert after.finished
    assert after.count("finished") == 5
    assert all(after.tries[number].run == one.run for number, one in before.items())
    assert len({one.run for one in after.tries}) == 5
    assert "picked on validation pictures among 5 finished tries" in told.stdout


def run_here(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=120
    )
