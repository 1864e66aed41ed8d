"""Waiting for an answer: told how far it is, ending it at once, and what is looked at while nobody asks."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from kdcore import glances, outputs, worker
from kdcore.engine import run as train
from kdcore.launch import Desk
from kdcore.patience import Stopped, Way, told
from kdcore.probes import embeddings
from kdcore.probes.feature_maps import FeatureMaps
from kdcore.probes.line_regions import LineRegions
from kdcore.probes.loss_line import LossLine
from kdcore.probes.loss_plane import LossPlane
from kdcore.probes.picture_plane import PicturePlane
from kdcore.recalled import recalled
from kdcore.recipe import Recipe
from kdcore.revive import revive
from kdcore.runs import Run, Shelf
from kdcore.side_by_side import side_by_side


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shelf, Run]]:
    shelf = Shelf(tmp_path_factory.mktemp("runs"))
    recipe = Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 300},
            "teacher": {"is": "plain", "width": 6},
            "student": {"is": "plain", "width": 4},
            "training": {"epochs": 1, "teacher_epochs": 1},
        }
    )
    run, _ = shelf.create(recipe)
    for event in train(recipe):
        run.append(event)
    yield shelf, run
    recalled.forget()


def last(run: Run) -> str:
    return run.history().snapshots[-1].name


class Enough(BaseException):
    """As Streamlit ends a script run."""


def test_steps_are_told_as_shares_and_whoever_is_told_may_end_them() -> None:
    shares: list[float] = []
    way = Way(4)
    way.step()
    with told(shares.append):
        way.step()
        way.step(2)
        way.step()
    way.step()
    assert shares == [0.5, 1.0, 1.0]

    def enough(share: float) -> None:
        raise Stopped

    with told(enough), pytest.raises(Stopped):
        Way(1).step()


def test_a_long_answer_tells_how_far_it_is(finished: tuple[Shelf, Run]) -> None:
    _, run = finished
    shares: list[float] = []
    with told(shares.append):
        LossPlane(grid=3, inputs=20).ask(revive(run, last(run)))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(set(shares)) >= 10


def test_an_answer_nobody_waits_for_is_ended_and_the_next_one_comes_at_once(finished: tuple[Shelf, Run]) -> None:
    shelf, run = finished
    desk = Desk(shelf, patience=60.0)
    long = {"grid": 51, "inputs": 5000, "reach": 0.7}
    try:
        desk.ask(run.id, "fidelity", {}, last(run))
        told_shares: list[float] = []

        def enough(share: float) -> None:
            told_shares.append(share)
            if share > 0.0:
                raise Enough

        with pytest.raises(Enough):
            desk.ask(run.id, "loss_plane", long, last(run), waits=enough)
        assert 0.0 < told_shares[-1] < 0.5
        pids = desk.pids()
        began = time.monotonic()
        answer = desk.ask(run.id, "calibration", {}, last(run))
        assert type(answer).__name__ == "Calibration"
        assert time.monotonic() - began < 5.0, "it does not wait for the other"
        assert desk.pids() == pids, "the same process answered"
        assert not list((run.folder / "answers").glob("loss_plane-*"))
        assert type(desk.ask(run.id, "loss_line", {"points": 5}, last(run))).__name__ == "LossLine"
    finally:
        desk.close()


class Quiet:
    """The worker's end of a line on which nobody asks anything, or someone does at that look."""

    def __init__(self, asked_at: int = 0) -> None:
        self.looks = itertools.count(1)
        self.asked_at = asked_at
        self.last = 0

    def idle(self, seconds: float) -> bool:
        self.last = next(self.looks)
        return self.last != self.asked_at


def asked_once(shelf: Shelf, run: Run, probe: str = "cka", **settings: object) -> worker.Answers:
    recalled.forget()
    desk = worker.Answers(shelf)
    ask = {"do": "ask", "run": run.id, "probe": probe, "settings": settings, "snapshot": last(run)}
    desk.answer({**ask, "key": f"{probe}-1"})
    return desk


def test_while_nobody_asks_it_looks_at_what_the_other_sections_will_want(
    finished: tuple[Shelf, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, run = finished
    desk = asked_once(shelf, run)
    quiet = Quiet()
    desk.look_ahead(quiet)  # type: ignore[arg-type]
    assert quiet.last > 20, "it asks between its steps whether someone came"
    monkeypatch.setattr(outputs, "_said", lambda *_: pytest.fail("it was looked at"))
    for key in ("fidelity", "calibration", "confusion"):
        desk.answer(
            {"do": "ask", "run": run.id, "probe": key, "settings": {}, "snapshot": last(run), "key": f"{key}-1"}
        )
    before = quiet.last
    desk.look_ahead(quiet)  # type: ignore[arg-type]
    assert quiet.last == before + 1, "once is enough"


def test_looking_ahead_ends_as_soon_as_something_is_asked(finished: tuple[Shelf, Run]) -> None:
    shelf, run = finished
    desk = asked_once(shelf, run)
    busy = Quiet(asked_at=4)
    desk.look_ahead(busy)  # type: ignore[arg-type]
    assert busy.last == 4
    desk.look_ahead(quiet := Quiet())  # type: ignore[arg-type]
    assert quiet.last > 4, "it takes it up again"


def test_a_run_that_trains_is_left_alone(finished: tuple[Shelf, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, run = finished
    desk = asked_once(shelf, run)
    monkeypatch.setattr(Run, "state", lambda _: "running")
    desk.look_ahead(quiet := Quiet())  # type: ignore[arg-type]
    assert quiet.last == 1


def test_the_present_question_is_looked_at_with_a_control_moved_on(
    finished: tuple[Shelf, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, run = finished
    recalled.forget()
    desk = worker.Answers(shelf)
    epochs = [snapshot.name for snapshot in run.history().snapshots]
    for number, moment in enumerate((epochs[-1], epochs[-2])):  # as a film asks: first what is looked at
        desk.answer(
            {"do": "ask", "run": run.id, "probe": "embeddings", "settings": {"way": "pca", "inputs": 40},
             "snapshot": moment, "key": f"embeddings-{number}"}
        )  # fmt: skip
    desk.look_ahead(Quiet())  # type: ignore[arg-type]
    monkeypatch.setattr(embeddings, "tsne", lambda *_, **__: pytest.fail("it was laid out"))
    desk.answer(
        {"do": "ask", "run": run.id, "probe": "embeddings", "settings": {"way": "tsne", "inputs": 40},
         "snapshot": epochs[-1], "key": "embeddings-tsne"}
    )  # fmt: skip


def test_moving_a_control_on_stays_within_its_bounds() -> None:
    assert [one.settings()["picture"] for one in LineRegions(picture=3).beside()] == [4]
    assert [one.settings()["picture"] for one in LineRegions(picture=999_999).beside()] == [999_999]
    assert [one.settings()["batch_norm"] for one in LossPlane(reach=0.5).beside()] == ["re-estimated"]
    assert LossPlane(reach=0.5).beside()[0].settings()["reach"] == 0.5
    other, same = LossLine(loss="kl").beside()
    assert isinstance(other, LossPlane), "the section's other picture, of the same loss"
    assert (other.settings()["loss"], same.settings()["batch_norm"]) == ("kl", "interpolated")


def test_lots_side_by_side_come_in_their_order_are_told_of_and_can_be_ended() -> None:
    def square(number: int) -> int:
        time.sleep(0.01 * (3 - number % 3))
        way.step()
        return number * number

    way, shares = Way(9), list[float]()
    with told(shares.append):
        assert list(side_by_side(square, range(9))) == [number * number for number in range(9)]
    assert len(shares) == 9
    assert max(shares) == 1.0

    def nested(number: int) -> int:
        return sum(side_by_side(square, range(number)))

    assert list(side_by_side(nested, [3, 4, 5, 6, 7, 8])) == [5, 14, 30, 55, 91, 140], "no thread waits for its own"

    done: list[int] = []

    def enough(share: float) -> None:
        done.append(1)
        raise Stopped

    with told(enough), pytest.raises(Stopped):
        list(side_by_side(square, range(200)))
    time.sleep(0.2)
    assert len(done) < 20, "what nobody wants is not begun"


def test_what_is_linked_is_looked_at_ahead_as_it_is_chosen(
    finished: tuple[Shelf, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, run = finished
    desk = asked_once(shelf, run, "feature_maps", picture=5)
    ask = {"do": "ask", "run": run.id, "snapshot": last(run)}
    desk.look_ahead(Quiet())  # type: ignore[arg-type]
    monkeypatch.setattr(glances, "seen_anew", lambda *_: pytest.fail("it was looked at"))
    desk.answer({**ask, "probe": "picture_plane", "settings": {"picture": 5}, "key": "picture_plane-5"})
    with pytest.raises(pytest.fail.Exception, match="looked at"):
        desk.answer({**ask, "probe": "picture_plane", "settings": {"picture": 9}, "key": "picture_plane-9"})


def test_a_choice_that_another_question_refuses_is_left_out_of_it() -> None:
    assert (
        FeatureMaps.following(PicturePlane(picture=-1, student_layer=1)).settings()
        == FeatureMaps(student_layer=1).settings()
    ), "-1 stands for a picture of each class, which maps of one picture cannot show"
    assert PicturePlane.following(FeatureMaps(picture=7, channels=4)).picture == 7
