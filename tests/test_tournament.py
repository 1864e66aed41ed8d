"""The tournament pairs seeds, gives intervals, and keeps those that do not go with the pair."""

from __future__ import annotations

import math

import pytest

from kdcore import tournament as module
from kdcore.recipe import Recipe
from kdcore.tournament import Row, contenders, markdown, mean_and_half, tournament

TINY = Recipe.from_json(
    {
        "data": {"is": "digits", "train_size": 300},
        "teacher": {"is": "plain", "width": 8, "stage_count": 2},
        "student": {"is": "mlp", "width": 8},
        "training": {"epochs": 2, "teacher_epochs": 2},
    }
)


def test_plain_kd_comes_first_and_every_method_with_a_teacher_takes_part() -> None:
    found = contenders()
    assert found[0] == "kd"
    assert len(found) == len(set(found)) > 10
    assert "ce" not in found


def test_an_interval_is_students_t_over_paired_differences() -> None:
    mean, half = mean_and_half([0.01, 0.03, 0.02])
    assert mean == pytest.approx(0.02)
    assert half == pytest.approx(4.302652729911275 * 0.01 / math.sqrt(3))
    assert mean_and_half([0.5]) == (0.5, math.inf)


def test_a_small_tournament_through_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "contenders", lambda: ["kd", "sp", "fsp"])
    heard: list[str] = []
    rows = list(tournament(TINY, 2, said=heard.append))
    assert [row.key for row in rows] == ["kd", "sp", "fsp"]
    assert rows[0].alone == rows[1].alone  # the same seeds, the same student alone
    assert len(rows[0].student) == 2
    assert all(seconds > 0 for seconds in rows[0].seconds)
    assert rows[2].refusal  # needs two layers; the student has one
    assert heard[:2] == ["1/3 kd, seed 0", "1/3 kd, seed 1"]
    told = markdown(TINY, rows, 2)
    assert "| `sp` |" in told
    assert "`fsp` does not go with this pair" in told


def test_the_verdict_needs_an_interval_beyond_zero() -> None:
    plain = Row("kd", [0.8, 0.81, 0.79], [0.7, 0.7, 0.7], [1.0] * 3)
    better = Row("at", [0.9, 0.91, 0.89], [0.7, 0.7, 0.7], [1.0] * 3)
    noisy = Row("nst", [0.9, 0.7, 0.83], [0.7, 0.7, 0.7], [1.0] * 3)
    told = markdown(TINY, [plain, better, noisy], 3)
    assert "Clearly better than plain KD here: `at`. Clearly worse: none." in told
