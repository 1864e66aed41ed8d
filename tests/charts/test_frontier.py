"""The frontier shows every contender at its cost, marks the two to compare with, and says the number."""

from __future__ import annotations

import math

import pytest

from app.charts import frontier
from app.theme import COLOURS
from kdcore.recipe import Recipe
from kdcore.standings import Row, Standings

FAMILIES = {"kd": "response", "at": "feature", "sp": "relation", "semckd": "feature"}


@pytest.fixture
def standings() -> Standings:
    rows = [
        Row("alone", [0.70, 0.72, 0.71], [1.0] * 3, 2_000_000),
        Row("kd", [0.80, 0.82, 0.81], [2.0] * 3, 3_000_000),
        Row("at", [0.75, 0.77, 0.76], [4.0] * 3, 20_000_000),
        Row("sp", [0.90, 0.92, 0.91], [8.0] * 3, 5_000_000),
        Row("semckd", refusal="it would take about 300 s"),
    ]
    return Standings("digits", Recipe(), 3, 60.0, teacher=[0.95] * 3, rows=rows)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("cost", ["seconds", "megabytes"])
def test_every_contender_stands_at_its_cost_and_accuracy(standings: Standings, cost: str, dark: bool) -> None:
    figure = frontier.draw(standings, FAMILIES, cost=cost, dark=dark)
    marks = {told[0]: (x, y) for trace in figure.data if trace.mode == "markers"
             for told, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)}  # fmt: skip
    assert set(marks) == {"student alone", "kd (plain KD)", "at", "sp"}
    assert marks["at"] == (4.0 if cost == "seconds" else 20.0, pytest.approx(0.76))
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text


def test_the_line_joins_those_that_no_other_beats(standings: Standings) -> None:
    figure = frontier.draw(standings, FAMILIES, cost="seconds", dark=False)
    line = next(trace for trace in figure.data if trace.name == "frontier")
    assert list(line.x) == [1.0, 2.0, 8.0]
    assert [label.text for label in figure.layout.annotations] == ["student alone", "kd (plain KD)", "sp"]


def test_plain_kd_and_the_student_alone_have_their_own_colours(standings: Standings) -> None:
    figure = frontier.draw(standings, FAMILIES, cost="seconds", dark=True)
    colours = {trace.name: trace.marker.color for trace in figure.data if trace.mode == "markers"}
    assert colours["student alone"] == COLOURS["baseline"]
    assert colours["plain KD"] == COLOURS["student"]
    assert len(set(colours.values())) == len(colours)


def test_intervals_are_drawn_and_one_seed_has_none(standings: Standings) -> None:
    figure = frontier.draw(standings, FAMILIES, cost="seconds", dark=False)
    trace = next(trace for trace in figure.data if trace.name == "plain KD")
    assert trace.error_y.array[0] == pytest.approx(4.302652729911275 * 0.01 / math.sqrt(3))
    for row in standings.rows:
        row.accuracy, row.seconds = row.accuracy[:1], row.seconds[:1]
    figure = frontier.draw(standings, FAMILIES, cost="seconds", dark=False)
    assert all(trace.error_y.array[0] == 0.0 for trace in figure.data if trace.mode == "markers")


def test_the_sentence_has_the_numbers(standings: Standings) -> None:
    told = frontier.sentence(standings, "seconds")
    assert "sp with 91.0 % at 8 s" in told
    assert "Of 2 other methods 1 lie above plain KD, 1 of them clearly" in told
    assert frontier.sentence(Standings("digits", Recipe(), 3, 60.0), "seconds") == ""


def test_the_file_also_names_those_left_out(standings: Standings) -> None:
    heads, *lines = frontier.rows(standings, FAMILIES)
    assert heads[0] == "contender"
    assert [line[0] for line in lines] == ["sp", "kd", "at", "alone", "semckd"]
    assert all(len(line) == len(heads) for line in lines)
    assert lines[-1][-1] == "it would take about 300 s"
    assert lines[0][3] == "0.91"


def test_before_anything_is_measured_it_is_empty() -> None:
    figure = frontier.draw(Standings("digits", Recipe(), 3, 60.0), FAMILIES, cost="seconds", dark=False)
    assert not [trace for trace in figure.data if trace.mode == "markers"]
