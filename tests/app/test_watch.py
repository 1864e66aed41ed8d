"""Watch on an empty shelf and on runs in every state; what the live component is given; what a verdict says."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import state
from app.live.series import MOST, live_data, term_name
from app.verdict import against, against_parent, independent, paired, weak_teacher, wilson
from kdcore.catalog import catalog
from kdcore.events import Event, Finished, Started, Step
from kdcore.history import History, Series, fold
from kdcore.recipe import Pick, Recipe
from kdcore.run import Run
from kdcore.runs import Shelf
from tests.app.asking import words

Story = Callable[..., Iterator[Event]]


def watch() -> None:
    from app.screens.watch import show

    show()


def open_watch(run: str = "") -> AppTest:
    page = AppTest.from_function(watch, default_timeout=20)
    if run:
        page.query_params["run"] = run
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def drawn(page: AppTest) -> dict:
    return json.loads(page.get("bidi_component")[0].proto.json)


def of_points(story: Story, recipe: Recipe) -> Iterator[Event]:
    for event in story(recipe):
        data = {"shape": [2], "classes": 2, "class_names": ["class 0", "class 1"]}
        yield replace(event, data={**event.data, **data}) if isinstance(event, Started) else event


def test_a_run_on_points_speaks_of_points_and_shows_no_pictures_that_are_none(shelf: Shelf, story: Story) -> None:
    run, _ = shelf.create(Recipe(seed=21))
    for event in of_points(story, Recipe(seed=21)):
        run.append(event)
    page = open_watch(run.id)
    assert drawn(page)["score_title"] == "Accuracy on 297 validation points"
    said = words(page)
    assert "500 test points" in said
    assert "pictures" not in said
    assert not page.get("html")


def test_the_short_names_of_losses_are_explained_below_the_curves(
    finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "catalog_at_hand", catalog)
    assert "**ce**: Cross-entropy · **kd**: Soft targets (KD)" in words(open_watch(finished.id)).replace("\\", "")


def test_of_two_learners_each_has_its_colour_and_each_term_its_dash(shelf: Shelf, story: Story) -> None:
    events = list(story(Recipe(seed=22)))
    both = [
        replace(event, learner="baseline") if isinstance(event, Step) and event.phase == 2 and odd else event
        for event in events for odd in ((False, True) if isinstance(event, Step) and event.phase == 2 else (False,))
    ]  # fmt: skip
    losses = [one for one in live_data(fold(both), run="x", running=False)["losses"] if one["phase"] == 2]
    weighted = {one["name"]: one for one in losses if one["kind"] == "weighted"}
    mine, other = ([weighted[f"{who}: {term}"] for term in ("sum of all terms", "ce", "kd")]
                   for who in ("student", "student alone"))  # fmt: skip
    assert len({one["colour"] for one in mine}) == len({one["colour"] for one in other}) == 1
    assert mine[0]["colour"] != other[0]["colour"]
    assert [one["dash"] for one in mine] == [one["dash"] for one in other] == ["solid", "dash", "dot"]


@pytest.mark.parametrize(("reached", "said"), [(0.70, "11.0 points less"), (0.93, "12.0 points more")])
def test_a_student_without_data_is_not_said_to_be_hurt(
    shelf: Shelf, story: Story, monkeypatch: pytest.MonkeyPatch, reached: float, said: str
) -> None:
    monkeypatch.setattr(state, "catalog_at_hand", catalog)
    recipe = Recipe(seed=23, scheme=Pick("zskt"))
    run, _ = shelf.create(recipe)
    for event in story(recipe):
        if isinstance(event, Finished):
            event.results["student"]["test_accuracy"] = reached
            if reached < 0.8:
                event.results["baseline"] |= {"won": 10, "lost": 65}
        run.append(event)
    found = words(open_watch(run.id))
    assert f"Learned without a real picture: {said} than the student alone, which had them and their labels." in found
    assert "Distillation" not in found


def test_an_empty_shelf_says_what_will_stand_here_and_leads_to_begin(shelf: Shelf) -> None:
    page = open_watch()
    assert "Watch a distillation happen" in words(page)
    assert page.button(key="watch.begin").label == "Begin a distillation"
    assert not page.get("bidi_component")


def test_without_a_run_the_newest_is_offered_and_opens(finished: Run) -> None:
    page = open_watch()
    page.button(key=f"watch.open.{finished.id}").click().run()
    assert page.query_params["run"] == finished.id
    assert drawn(page)["run"] == finished.id


@pytest.mark.parametrize("named", ["0123456789abcdef", "../../etc/passwd", "x" * 5000, "<script>"])
def test_a_run_that_is_not_there_is_named_and_nothing_breaks(shelf: Shelf, named: str) -> None:
    page = open_watch(named)
    assert named[:12] in page.warning[0].value
    assert page.button(key="watch.begin")


def test_a_finished_run_says_what_the_teaching_was_worth(finished: Run) -> None:
    page = open_watch(finished.id)
    assert [(one.label, one.value) for one in page.metric] == [
        ("Student, test", "93.0 %"), ("Student alone, test", "81.0 %"), ("Teacher, test", "94.0 %"),
    ]  # fmt: skip
    assert "Distillation helps here: 12.0 points more than the student alone." in words(page)
    assert "500 test pictures" in words(page)
    assert "A note that explains something." in words(page)
    assert drawn(page)["running"] is False
    assert not [one for one in page.button if one.key == "watch.stop"]


def test_the_pictures_that_hurt_most_are_shown_with_label_answer_and_loss(finished: Run) -> None:
    page = open_watch(finished.id)
    shown = next(one.proto.body for one in page.get("html") if "kdlab-hardest" in one.proto.body)
    assert "data:image/png;base64,iVBOR" in shown
    assert "<s>3</s> 8 → 8" in shown
    assert "loss 4.2" in shown


def test_a_hidden_class_is_told_raw_and_corrected(hidden: Run) -> None:
    page = open_watch(hidden.id)
    assert "Class “3”, never shown to the student" in words(page)
    assert "student: **46.5 %** (0.0 % as it is)" in words(page)
    assert any(trace["hidden"] for trace in drawn(page)["scores"])


def test_a_running_run_shows_phase_pace_and_time_left_and_can_be_stopped(running: Run) -> None:
    page = open_watch(running.id)
    bar = page.get("progress")[0].proto
    assert "Phase 3 of 3: The student learns from the teacher" in bar.text
    assert "epoch 1 of 5" in bar.text
    assert "12,000 pictures/s" in bar.text
    assert "left in it" in bar.text
    assert 60 < bar.value < 80
    assert drawn(page)["running"] is True
    page.button(key="watch.stop").click().run()
    assert not page.exception
    assert running.stop_requested()
    assert "is being stopped" in words(page)


def test_a_run_that_waits_says_for_what(waiting: Run) -> None:
    page = open_watch(waiting.id)
    assert "Starting a worker" in page.get("progress")[0].proto.text
    os.utime(waiting.folder / "recipe.json", (time.time() - 60, time.time() - 60))
    page.run()
    assert "Waiting for a free core: other runs go first." in page.get("progress")[0].proto.text


def test_many_tabs_on_one_run_look_less_often_each(running: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real, paces = st.fragment, []

    def fragment(part: Callable[..., None], *, run_every: float | None = None) -> Callable[..., None]:
        paces.append((part.__name__, run_every))
        return real(part, run_every=run_every)

    monkeypatch.setattr(st, "fragment", fragment)
    monkeypatch.setattr(state, "WATCHED", 600.0)
    first = open_watch(running.id)
    assert dict(paces) == {"_present": 0.5, "_below": 1.5}
    for _ in range(6):
        open_watch(running.id)
    assert dict(paces) == {"_present": 2.0, "_below": 2.0}
    assert [pace for name, pace in paces if name == "_present"] == [0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 2.0]
    first.run()
    assert paces[-2:] == [("_present", 2.0), ("_below", 2.0)]
    monkeypatch.setattr(state, "WATCHED", 0.0)  # the others have gone
    first.run()
    assert paces[-2:] == [("_present", 0.5), ("_below", 1.5)]


def test_what_a_running_run_writes_appears_on_the_next_look(running: Run, story: Story) -> None:
    page = open_watch(running.id)
    before = sum(len(trace["x"]) for trace in drawn(page)["losses"])
    for event in list(story(Recipe(seed=2)))[len(running.events()[0]) :]:
        if not isinstance(event, Finished):
            running.append(event)
    page.run()
    assert sum(len(trace["x"]) for trace in drawn(page)["losses"]) > before


def test_a_failed_run_says_why_and_what_would_be_right(failed: Run) -> None:
    page = open_watch(failed.id)
    assert "became nan at step 7" in page.error[0].value
    assert "lower learning rate" in page.error[0].value
    assert page.button(key="watch.again")
    assert drawn(page)["losses"], "what was recorded is still drawn"


def test_a_stopped_run_keeps_what_it_recorded(stopped: Run) -> None:
    page = open_watch(stopped.id)
    assert "was stopped" in page.info[0].value
    assert drawn(page)["losses"]


def test_a_lost_run_says_what_happened_and_starts_again(lost: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_watch(lost.id)
    assert "gone without a word, in phase 1" in page.warning[0].value

    class Desk:
        def catalog_at_hand(self) -> None:
            return None

        def launch(self, recipe: Recipe) -> str:
            return state.shelf().create(recipe)[0].id

    monkeypatch.setattr(state, "desk", Desk)
    page.button(key="watch.again").click().run()
    assert not page.exception
    assert page.query_params["run"] == f"{lost.id}-2"


def test_words_of_others_are_shown_and_not_obeyed(shelf: Shelf) -> None:
    recipe = Recipe().with_setting("data", "![x](http://evil.example/a.png)<b>")
    run = shelf.create(recipe)[0]
    page = open_watch(run.id)
    assert "![x]" not in words(page)


def test_a_run_deleted_and_made_anew_is_read_from_its_start(finished: Run, shelf: Shelf) -> None:
    page = open_watch(finished.id)
    finished.delete()
    again = shelf.create(Recipe(seed=1))[0]
    page.run()
    assert not page.exception
    assert again.id == finished.id
    assert drawn(page)["losses"] == []


def test_the_component_gets_json_of_bounded_size(story: Story) -> None:
    history = fold(list(story(Recipe(), epochs=100, steps=50)))
    data = live_data(history, run="x", running=True)
    traces = data["losses"] + data["scores"]
    assert max(len(trace["x"]) for trace in traces) <= MOST
    assert all(len(trace["x"]) == len(trace["y"]) == len(trace["step"]) for trace in traces)
    assert len(json.dumps(data, allow_nan=False)) < 200_000
    assert all(trace["step"][-1] == 5000 for trace in data["losses"])


def test_thinned_points_stay_where_they_are_as_a_curve_grows(story: Story) -> None:
    history = fold(list(story(Recipe(), epochs=10, steps=50)))
    whole = live_data(history, run="x", running=True)["losses"][0]
    for name in ("steps", "epochs", "values"):
        series: Series = history.phases[0].loss["teacher"]
        setattr(series, name, getattr(series, name)[:-1])
    shorter = live_data(history, run="x", running=True)["losses"][0]
    assert shorter["step"][:-1] == whole["step"][: len(shorter["step"]) - 1]


def test_a_loss_that_is_no_number_leaves_a_gap(story: Story) -> None:
    history = fold(list(story(Recipe())))
    history.phases[0].loss["teacher"].values[3] = float("nan")
    history.phases[0].weighted["teacher"]["ce.ce"].values[3] = None
    assert None in live_data(history, run="x", running=False)["losses"][0]["y"]


@pytest.mark.parametrize(
    ("term", "said"), [("kd.kd", "kd"), ("ab.distance", "ab distance"), ("one←two: kd.kd", "one←two: kd")]
)
def test_terms_are_named_without_repetition(term: str, said: str) -> None:
    assert term_name(term) == said


def test_the_paired_interval_is_that_of_bonett_and_price() -> None:
    # 70 against 10 of 500: p = 71/502 and 11/502, (0.1195 ± 1.96 * sqrt((0.1633 - 0.01427) / 502))
    low, high = paired(70, 10, 500)
    assert low == pytest.approx(0.0857, abs=2e-4)
    assert high == pytest.approx(0.1533, abs=2e-4)


def test_newcombes_interval_is_that_of_his_paper() -> None:
    # Newcombe 1998, table II, method 10, for 10/10 - 0/10; Wilson for his first sample, 56 of 70.
    low, high = independent(1.0, 0.0, 10)
    assert low == pytest.approx(0.6075, abs=2e-4)
    assert high == 1.0
    assert wilson(0.8, 70) == pytest.approx((0.6918, 0.8769), abs=5e-3)


def test_a_small_difference_is_called_none_that_these_pictures_can_show(finished: Run) -> None:
    history = finished.history()
    history.results["baseline"] |= {"test_accuracy": 0.924, "won": 13, "lost": 10}
    found = against(history, "baseline")
    assert found is not None
    assert found.word == "unclear"
    assert found.sentence == "No difference that 500 test pictures can show."
    history.results["baseline"] |= {"test_accuracy": 0.99, "won": 1, "lost": 31}
    found = against(history, "baseline")
    assert found is not None
    assert found.word == "hurts"


def test_without_a_student_alone_nothing_is_claimed(finished: Run) -> None:
    history = finished.history()
    del history.results["baseline"]
    assert against(history, "baseline") is None


def test_the_page_finds_plotly_where_it_looks_and_it_draws_what_charts_are_made_of() -> None:
    from app.live import component

    assert component.ADDRESS.startswith(f"app/static/{component.LIBRARY.name}?")
    told = component.LIBRARY.read_text(encoding="utf-8")
    assert "plotly.js (cartesian" in told[:200]
    charts = Path(component.__file__).parents[1].rglob("*.py")
    kinds = {kind for chart in charts for kind in re.findall(r'\btrace\(\s*"(\w+)"', chart.read_text("utf-8"))}
    assert {"bar", "contour", "heatmap", "image", "scatter"} <= kinds
    for kind in kinds:
        assert f'name:"{kind}"' in told, f"{kind} is not in the drawing library"


def told(*, teacher: float, alone: float, student: float, pictures: int = 500) -> History:
    results = {"teacher": teacher, "baseline": alone, "student": student}
    said = {name: {"part": name, "test_accuracy": value, "count": pictures} for name, value in results.items()}
    return fold([Finished(0.0, 1.0, said)])


def test_a_teacher_that_never_learned_is_named_before_the_method_is_blamed() -> None:
    assert "The teacher itself reaches only 12.4 %" in weak_teacher(told(teacher=0.124, alone=0.46, student=0.08))
    assert weak_teacher(told(teacher=0.95, alone=0.9, student=0.8)) == ""
    assert weak_teacher(told(teacher=0.898, alone=0.9, student=0.8)) == "", "that may be chance"
    assert weak_teacher(fold([])) == ""


def test_a_fork_is_held_against_the_run_it_goes_on_from() -> None:
    parent = told(teacher=0.95, alone=0.8, student=0.9)
    found = against_parent(told(teacher=0.95, alone=0.8, student=0.7), parent)
    assert found is not None
    assert found.word == "hurts"
    assert found.value == pytest.approx(-0.2)
    same = against_parent(told(teacher=0.95, alone=0.8, student=0.904), parent)
    assert same is not None
    assert same.word == "unclear"
    assert against_parent(parent, fold([])) is None


def test_runs_in_a_list_are_told_apart_by_their_settings(shelf: Shelf) -> None:
    first = shelf.create(Recipe())[0]
    second = shelf.create(Recipe(seed=7).with_setting("methods.0.temperature", 8.0))[0]
    page = open_watch()
    labels = [page.button(key=f"watch.open.{run.id}").label for run in (first, second)]
    assert "60 % wrong labels" in labels[0]
    assert "temperature 8" in labels[1]
    assert "seed 7" in labels[1]
    assert first.id[:6] in labels[0]


def test_tabs_that_have_read_as_far_share_what_is_drawn(
    running: Run, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.screens import watch as screen

    made = []

    def counted(*told: object, **how: object) -> dict:
        made.append(1)
        return live_data(*told, **how)

    monkeypatch.setattr(screen, "live_data", counted)
    first, second = open_watch(running.id), open_watch(running.id)
    assert len(made) == 1
    assert drawn(first) == drawn(second)
    running.append(list(story(Recipe(seed=2)))[len(running.events()[0])])
    second.run()
    assert len(made) == 2, "what was written since is drawn"
