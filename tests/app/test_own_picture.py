"""Draw or upload on the page Pictures and in the sections that take a picture of one's own; the networks answer it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable

import numpy
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.canvas.component import SIDE, unpacked
from app.views import own_picture
from kdcore.own_pictures import drawn, find, keep, uploaded
from kdcore.run import Run
from tests.app.asking import on_pictures, opened, words

RECIPES = {"pictures": on_pictures()}


def stroke(side: int = SIDE) -> bytes:
    paper = numpy.zeros((side, side), dtype=numpy.uint8)
    paper[side // 8 : -side // 8, side // 2 - 5 : side // 2 + 5] = 255
    return paper.tobytes()


def photo() -> bytes:
    kept = io.BytesIO()
    Image.fromarray(255 - numpy.frombuffer(stroke(), dtype=numpy.uint8).reshape(SIDE, SIDE)).save(kept, "PNG")
    return kept.getvalue()


@pytest.fixture
def run(written: Callable[..., Run]) -> Run:
    return written()


def gallery_of(page: AppTest) -> dict:
    return next(
        data for one in page.get("bidi_component") if "cards" in (data := json.loads(one.proto.json))
    )  # fmt: skip


def test_before_anything_is_drawn_it_says_what_will_stand_there(run: Run) -> None:
    assert "what the networks make of it stands here" in words(opened("pictures", run=run.id, pictures="Draw one"))
    assert "Choose a picture" in words(opened("pictures", run=run.id, pictures="Upload one"))


def test_a_link_to_a_drawing_shows_it_with_its_answers_and_reasons(run: Run) -> None:
    own = keep(run, drawn(SIDE, stroke()))
    page = opened("pictures", run=run.id, pictures="Draw one", own=own)
    assert "Your picture was drawn on a canvas of 112×112 pixels" in words(page)
    assert "in your picture (truth unknown)" in words(page)
    assert [card["place"] for card in gallery_of(page)["cards"]] == [-1]
    assert gallery_of(page)["cards"][0]["about"].startswith("Your picture: teacher")
    canvas = json.loads(page.get("bidi_component")[0].proto.json)
    assert canvas["start"].startswith("data:image/png"), "one can go on drawing"
    assert not canvas["colour"]
    assert "explain the truth" not in next(box for box in page.selectbox if box.label == "Class to explain").options


def test_its_maps_stand_in_the_same_place(run: Run) -> None:
    own = keep(run, drawn(SIDE, stroke()))
    page = opened("pictures", run=run.id, pictures="Draw one", own=own, **{"reasons.seen": "Feature maps"})
    assert "The picture is your own; teacher says" in words(page)


def test_the_way_it_is_fitted_is_kept_with_it(run: Run) -> None:
    own = keep(run, drawn(SIDE, stroke()))
    page = opened("pictures", run=run.id, pictures="Draw one", own=own)
    box = next(box for box in page.selectbox if box.label == "Brought to the data's shape")
    box.select("As it is, only resized").run()
    assert not page.exception
    named = page.query_params["own"]
    named = named[0] if isinstance(named, list) else named
    assert named != own
    assert find(run, named).fit == "as it is"
    assert "its ink brought" not in words(page)


def test_a_link_to_a_picture_that_is_not_kept_says_so(run: Run) -> None:
    for name in ("0123456789abcdef", "../../etc/passwd", "<b>"):
        page = opened("pictures", run=run.id, pictures="Draw one", own=name)
        assert "is not kept with this run" in words(page)
        assert name not in words(page)


def test_an_uploaded_file_is_shown_and_a_bad_one_answered_beside_the_widget(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class File:
        file_id = "one"

        def getvalue(self) -> bytes:
            return photo()

    class Broken(File):
        file_id = "two"

        def getvalue(self) -> bytes:
            return photo()[:90]

    chosen: list[File] = [File()]
    monkeypatch.setattr(own_picture.st, "file_uploader", lambda *_, **__: chosen[0])
    page = opened("pictures", run=run.id, pictures="Upload one")
    assert "Your picture was uploaded with 112×112 pixels, its dark and light swapped" in words(page)
    chosen[0] = Broken()
    for _ in range(2):
        page.run()
        assert not page.exception
        assert [box.value for box in page.error] == [
            "This is no PNG or JPEG picture that can be read; save it anew as PNG or JPEG."
        ]
        assert "own" not in page.query_params


def test_a_full_disk_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class File:
        file_id = "one"

        def getvalue(self) -> bytes:
            return photo()

    def full(self: Run, key: str, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(own_picture.st, "file_uploader", lambda *_, **__: File())
    monkeypatch.setattr(Run, "keep_answer", full)
    page = opened("pictures", run=run.id, pictures="Upload one")
    assert [box.value for box in page.error] == [
        "The picture cannot be kept: The disk is full. Free some space or delete old runs."
    ]


@pytest.mark.parametrize(
    ("page", "params", "says"),
    [
        ("look", {"view": "Feature maps"}, "The picture is your own"),
        ("gap", {"show": "Dark knowledge"}, "What each says of your picture"),
    ],
)
def test_feature_maps_and_soft_labels_take_it_too(run: Run, page: str, params: dict[str, str], says: str) -> None:
    own = keep(run, uploaded(photo()))
    found = opened(page, run=run.id, own=own, **params)
    drawings = [one.proto.json for one in found.get("bidi_component")]
    drawings += [one.proto.spec for one in found.get("plotly_chart")]
    assert any(says in json.loads(json.dumps(text)) for text in drawings)
    back = next(button for button in found.button if button.label == "Back to the data set")
    back.click().run()
    assert not found.exception
    assert "own" not in found.query_params


@pytest.mark.parametrize("said", [None, 3, "x", "é", "A" * 500_000, ["AA=="], "AA=\n"])
def test_what_is_no_drawing_is_none(said: object) -> None:
    assert unpacked(said) is None


def test_a_drawing_comes_as_bytes_and_a_wiped_canvas_as_none_at_all() -> None:
    assert unpacked(base64.b64encode(stroke()).decode()) == stroke()
    assert unpacked("") == b""
