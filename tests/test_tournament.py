"""The tournament pairs seeds, gives intervals, goes on where it stopped, and keeps those that cannot take part."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from kdcore import tournament as module
from kdcore.engine import run
from kdcore.events import Finished
from kdcore.recipe import Recipe, RecipeError
from kdcore.standings import ALONE, PAIRS, PLAIN, Row, Standings, StandingsError, mean_and_half
from kdcore.tournament import contenders, counted, entry, fresh, hold
from kdcore.tournament_table import markdown

TINY = Recipe.from_json(
    {
        "data": {"is": "digits", "train_size": 300},
        "teacher": {"is": "plain", "width": 8, "stage_count": 2},
        "student": {"is": "mlp", "width": 8},
        "training": {"epochs": 2, "teacher_epochs": 2},
    }
)


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    yield


def held(standings: Standings, said: Callable[[Standings], None] = lambda standings: None) -> Standings:
    hold(standings, said=said, turn=at_once)
    return standings


@pytest.fixture(scope="module")
def played() -> tuple[Standings, list[str]]:
    """Four contenders over two seeds, and what was heard meanwhile."""
    standings = fresh("digits", TINY, seeds=2, limit=100.0)
    standings.rows = [row for row in standings.rows if row.key in (ALONE, PLAIN, "sp", "fsp")]
    heard: list[str] = []
    return held(standings, lambda now: heard.append(now.now)), heard


def test_plain_kd_comes_first_and_every_method_with_a_teacher_takes_part() -> None:
    found = contenders()
    assert found[0] == PLAIN
    assert len(found) == len(set(found)) > 10
    assert "ce" not in found


def test_an_interval_is_students_t_over_paired_differences() -> None:
    mean, half = mean_and_half([0.01, 0.03, 0.02])
    assert mean == pytest.approx(0.02)
    assert half == pytest.approx(4.302652729911275 * 0.01 / math.sqrt(3))
    assert mean_and_half([0.5]) == (0.5, math.inf)


def test_a_small_tournament_is_held_to_its_end(played: tuple[Standings, list[str]]) -> None:
    standings, heard = played
    assert standings.finished
    assert [row.key for row in standings.rows] == [ALONE, PLAIN, "fsp", "sp"]
    for row in standings.rows:
        if row.key != "fsp":
            assert len(row.accuracy) == len(row.seconds) == 2
            assert min(row.seconds) > 0
            assert row.bytes > 0
    assert standings.row("fsp").refusal  # type: ignore[union-attr]  # two layers; the student has one
    assert standings.steps() == (8, 8)
    assert heard[0] == "seed 0: the teacher and the student alone"
    assert "seed 1: kd" in heard
    told = markdown(standings)
    assert "| `sp` |" in told
    assert "`fsp` does not take part" in told


def test_a_contender_comes_out_as_its_own_run_does(played: tuple[Standings, list[str]]) -> None:
    standings, _ = played
    *_, last = run(entry(standings.base, PLAIN, 1))
    assert isinstance(last, Finished)
    assert standings.row(PLAIN).accuracy[1] == last.results["student"]["test_accuracy"]  # type: ignore[union-attr]
    assert standings.row(ALONE).accuracy[1] == last.results["baseline"]["test_accuracy"]  # type: ignore[union-attr]
    assert standings.teacher[1] == last.results["teacher"]["test_accuracy"]


def test_what_stopped_goes_on_and_ends_with_the_same_numbers(played: tuple[Standings, list[str]]) -> None:
    whole = played[0]
    half = Standings.from_json(json.loads(json.dumps(whole.to_json())))
    half.finished, half.teacher = False, half.teacher[:1]
    for row in half.rows:
        if row.key != PLAIN:
            row.accuracy, row.seconds = row.accuracy[:1], row.seconds[:1]
    kept = half.row(PLAIN).seconds[1]  # type: ignore[union-attr]
    held(half)
    assert [row.accuracy for row in half.rows] == [row.accuracy for row in whole.rows]
    assert half.row(PLAIN).seconds[1] == kept  # type: ignore[union-attr]


def test_one_that_takes_too_long_stays_out() -> None:
    standings = fresh("digits", TINY.with_setting("training.epochs", 300), seeds=2, limit=0.05)
    standings.base = standings.base.with_setting("training.epochs", 300)
    standings.rows = [Row("sp")]
    ground = module.Ground(standings.base.with_setting("training.epochs", 1), 0)
    ground.base = standings.base
    object.__setattr__(ground._stage, "budget", standings.base.budget())
    ground.measure(standings.rows[0], 0.05)
    assert "s that are allowed" in standings.rows[0].refusal
    assert not standings.rows[0].accuracy


def test_a_tournament_wants_the_offline_scheme_with_its_baseline() -> None:
    with pytest.raises(RecipeError, match="scheme=offline"):
        fresh("digits", TINY.with_setting("scheme.baseline", False), seeds=2, limit=10.0)


def test_memory_is_counted_to_the_byte() -> None:
    def work() -> torch.Tensor:
        first = torch.zeros(1_000_000)
        second = first + 1
        del first
        return second * 2

    _, left, most = counted(work)
    assert left == 4_000_000
    assert 8_000_000 <= most < 8_001_000


def test_a_teacher_s_kept_maps_cost_memory(played: tuple[Standings, list[str]]) -> None:
    standings, _ = played
    small, large = standings.row(ALONE), standings.row(PLAIN)
    assert small is not None
    assert large is not None
    images = 255  # 300 less those for validation
    assert large.bytes - small.bytes >= images * 10 * 4  # at least the teacher's logits for every picture


def table(**found: list[float]) -> Standings:
    rows = [Row(key, accuracies, [cost] * len(accuracies), 10**6) for cost, (key, accuracies) in
            enumerate(found.items(), start=1)]  # fmt: skip
    return Standings("digits", TINY, 3, 60.0, teacher=[0.9, 0.9, 0.9], rows=rows)


def test_the_verdict_needs_an_interval_beyond_zero() -> None:
    told = table(
        alone=[0.7, 0.7, 0.7], kd=[0.8, 0.81, 0.79], at=[0.9, 0.91, 0.89], nst=[0.9, 0.7, 0.83], sp=[0.7, 0.71, 0.69]
    )
    assert [told.verdict(row) for row in told.rows] == ["worse", "level", "better", "level", "worse"]
    words = markdown(told)
    assert "Clearly better than plain KD here: `at`. Clearly worse: `sp`." in words


def test_two_seeds_give_no_verdict() -> None:
    told = table(alone=[0.7, 0.7], kd=[0.8, 0.8], at=[0.9, 0.9])
    assert [told.verdict(row) for row in told.rows] == ["level", "level", "level"]
    told.teacher = [0.9, 0.9]
    assert "With fewer than three seeds nobody is clearly better" in markdown(told)


def test_the_frontier_holds_whom_no_other_beats_for_less() -> None:
    told = table(alone=[0.7, 0.7], kd=[0.8, 0.8], at=[0.75, 0.75], nst=[0.9, 0.9], sp=[0.9, 0.9])
    assert [row.key for row in told.frontier("seconds")] == ["alone", "kd", "nst"]
    assert [row.key for row in told.frontier("megabytes")] == ["nst"]  # all cost the same; the first of the best


def test_standings_come_back_from_their_file(played: tuple[Standings, list[str]], tmp_path: Path) -> None:
    standings, path = played[0], tmp_path / "digits.json"
    standings.write(path)
    assert Standings.read(path) == standings
    path.write_text('{"version": 1, "rows": []}')
    with pytest.raises(StandingsError, match="no standings of a tournament"):
        Standings.read(path)
    path.write_text(json.dumps({**standings.to_json(), "teacher": [float("nan")]}))
    with pytest.raises(StandingsError, match="no number"):
        Standings.read(path)


def test_it_goes_on_only_with_the_same_pair_and_code(played: tuple[Standings, list[str]]) -> None:
    standings = played[0]
    other = fresh("digits", TINY, seeds=2, limit=100.0)
    assert standings.same_as(other)
    assert not standings.same_as(fresh("digits", TINY, seeds=3, limit=100.0))
    assert not standings.same_as(fresh("digits", TINY.with_setting("student.width", 9), seeds=2, limit=100.0))
    other.made["code"] = "another"
    assert not standings.same_as(other)


def test_every_pair_can_be_begun() -> None:
    for name, base in PAIRS.items():
        assert fresh(name, base, seeds=2, limit=10.0).steps()[0] == 0
