"""Pictures of one's own in the eyes of a run's networks: brought to what they know, named in the question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy
import pytest
import torch
import torch.nn.functional as F

from kdcore.fitting import fitted, ink_on_ground
from kdcore.own_pictures import OwnPicture, keep
from kdcore.probe import ProbeError
from kdcore.probes.attribution import AttributionOfClass
from kdcore.probes.dark_knowledge import DarkKnowledge
from kdcore.probes.disagreements import Disagreements
from kdcore.probes.feature_maps import FeatureMaps
from kdcore.revive import Revived
from kdcore.run import Run

Given = Callable[..., Revived]


def enlarged(pixels: torch.Tensor, *, side: int, paper: int, row: int, column: int) -> numpy.ndarray:
    """A digit (1, 8, 8) as dark ink on a sheet of paper, somewhere on it: (paper, paper, 1) uint8."""
    sheet = torch.zeros(paper, paper)
    sheet[row : row + side, column : column + side] = F.interpolate(pixels[None], size=(side, side), mode="bilinear")[
        0, 0
    ]
    return ((1.0 - sheet) * 255).round().to(torch.uint8).numpy()[..., None]


def test_the_digits_have_light_ink_on_a_dark_ground_that_fills_their_height(revived: Given) -> None:
    look = ink_on_ground(revived("pictures", "kd").data)
    assert look is not None
    assert look.ground == pytest.approx(0.0, abs=0.07)
    assert look.ink > 0.9
    assert look.longest == 8
    assert look.middle == pytest.approx((4.0, 4.0), abs=0.6)


def test_digits_drawn_dark_on_paper_anywhere_are_read_as_the_digits_they_are(revived: Given) -> None:
    data, dice = revived("pictures", "kd").data, numpy.random.default_rng(0)
    known = data.teacher_train
    pixels = data.pixels(data.test.images[:150])
    seen = []
    for one in pixels:
        side = int(dice.integers(40, 70))
        row, column = (int(dice.integers(2, 110 - side)) for _ in range(2))
        own = OwnPicture(enlarged(one, side=side, paper=112, row=row, column=column), "uploaded", (112, 112))
        found, says = fitted(own, data)
        assert "its dark and light swapped" in says
        seen.append(found)
    truth = data.test.truth[:150]
    reached = {}
    for name, shown in (("as they are", pixels), ("fitted", torch.cat(seen)), ("plain", None)):
        if shown is None:  # what only resizing would give: dark on light, small, somewhere
            shown = torch.cat(
                [
                    fitted(replace(OwnPicture(enlarged(one, side=50, paper=112, row=5, column=50), "uploaded",
                                              (112, 112)), fit="as it is"), data)[0]
                    for one in pixels
                ]
            )  # fmt: skip
        distance = torch.cdist(((shown - data.mean) / data.std).flatten(1), known.images.flatten(1))
        said = known.truth[distance.argmin(dim=1)]
        reached[name] = float((said == truth).float().mean())
    assert reached["as they are"] > 0.8
    assert reached["fitted"] > reached["as they are"] - 0.15
    assert reached["plain"] < 0.4


def test_fits_that_are_asked_for(revived: Given) -> None:
    data = revived("pictures", "kd").data
    ring = numpy.zeros((64, 64, 1), dtype=numpy.uint8)
    ring[10:30, 12:16] = 255
    automatic, says = fitted(OwnPicture(ring, "drawn", (64, 64)), data)
    assert automatic.shape == (1, 1, 8, 8)
    assert says == (
        "Your picture was drawn on a canvas of 64×64 pixels, its ink brought to the size and place that it has in the "
        "data, and resized to 8×8."
    )
    lit = (automatic[0, 0] > 0.5).nonzero()
    assert lit[:, 0].tolist()[0] == 0
    assert lit[:, 0].tolist()[-1] == 7, "as tall as a digit"
    swapped, said = fitted(OwnPicture(ring, "drawn", (64, 64), fit="swapped"), data)
    assert "swapped" in said
    torch.testing.assert_close(swapped.sum() + automatic.sum(), torch.tensor(64.0), atol=5.0, rtol=0.0)
    as_it_is, _ = fitted(OwnPicture(ring, "drawn", (64, 64), fit="as it is"), data)
    assert int((as_it_is > 0.1).sum()) < 12


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 128, 3), (128, 1, 1), (5, 3, 3), (128, 128, 3), (20, 128, 1)])
@pytest.mark.parametrize("fit", ["like the data", "swapped", "as it is"])
@pytest.mark.parametrize("kind", ["noise", "black", "white"])
def test_whatever_comes_has_the_datas_shape_and_range(
    shape: tuple[int, int, int], fit: str, kind: str, revived: Given
) -> None:
    values = {
        "noise": numpy.random.default_rng(1).integers(0, 256, shape, dtype=numpy.uint8),
        "black": numpy.zeros(shape, dtype=numpy.uint8),
        "white": numpy.full(shape, 255, dtype=numpy.uint8),
    }[kind]
    own = OwnPicture(values, "uploaded", (shape[1], shape[0]), fit)
    data = revived("pictures", "kd").data
    pixels, says = fitted(own, data)
    assert pixels.shape == (1, *data.shape)
    assert torch.isfinite(pixels).all()
    assert 0.0 <= float(pixels.min()) <= float(pixels.max()) <= 1.0
    assert says.endswith("resized to 8×8.")


def test_colours_are_kept_where_the_data_has_them_and_made_grey_where_not(revived: Given) -> None:
    grey = revived("pictures", "kd").data
    colour = replace(
        grey, shape=(3, 8, 8), mean=torch.full((3, 1, 1), 0.5), std=torch.ones(3, 1, 1),
        validation=replace(grey.validation, images=grey.validation.images.expand(-1, 3, -1, -1)),
    )  # fmt: skip
    red = numpy.zeros((30, 40, 3), dtype=numpy.uint8)
    red[..., 0] = 200
    own = OwnPicture(red, "uploaded", (40, 30))
    pixels, says = fitted(own, colour)
    assert pixels[0, :, 4, 4].tolist() == pytest.approx([200 / 255, 0.0, 0.0])
    assert "cut to its middle square" in says
    assert "made grey" in fitted(own, grey)[1]


def drawn_one(run: Run) -> str:
    pixels = numpy.zeros((64, 64, 1), dtype=numpy.uint8)
    pixels[8:56, 28:36] = 255
    return keep(run, OwnPicture(pixels, "drawn", (64, 64)))


def test_every_probe_of_one_picture_takes_ones_own(trained: Callable[..., Run], revived: Given) -> None:
    own = drawn_one(trained("pictures", "kd"))
    moment = revived("pictures", "kd")
    assert moment.kept is not None
    gallery = Disagreements(own=own).ask(moment)
    image = (torch.from_numpy(gallery.pictures).permute(0, 3, 1, 2) / 255 - moment.data.mean) / moment.data.std
    logits = {part: moment.networks[part](image) for part in ("teacher", "student", "baseline")}
    for part, values in logits.items():
        numpy.testing.assert_allclose(gallery.logits[part], values.detach().numpy(), atol=0.05)
    assert (gallery.places, gallery.truth.tolist()) == ([-1], [-1])
    word = moment.data.class_names[int(logits["teacher"].argmax())]
    assert f"The teacher says {word}" in gallery.says

    reasons = AttributionOfClass(own=own).ask(moment)
    assert f"“{word}” in your picture (truth unknown)" in reasons.title
    total, gap = reasons.completeness["teacher"]
    assert total == pytest.approx(gap, abs=0.05 * max(1.0, abs(gap)))

    maps = FeatureMaps(own=own).ask(moment)
    assert maps.picture_says.startswith("your own; teacher says")
    numpy.testing.assert_allclose(maps.picture[..., 0], gallery.pictures[0, ..., 0] / 255, atol=0.01)

    soft = DarkKnowledge(own=own).ask(moment)
    assert soft.picture_says == "your picture"
    numpy.testing.assert_allclose(soft.soft["teacher"][0], logits["teacher"].softmax(1)[0].detach(), atol=0.02)


def test_feature_maps_can_be_of_test_pictures(revived: Given) -> None:
    moment = revived("pictures", "kd")
    found = FeatureMaps(split="test", picture=3).ask(moment)
    wanted = moment.data.pixels(moment.data.test.images[3:4])[0].permute(1, 2, 0)
    numpy.testing.assert_allclose(found.picture, wanted, atol=1e-6)
    assert found.picture_says.startswith(f"a {moment.data.class_names[int(moment.data.test.truth[3])]};")


def test_grad_cam_explains_the_layers_that_are_chosen(revived: Given) -> None:
    moment = revived("pictures", "kd")
    usual = AttributionOfClass(picture=4).ask(moment)
    chosen = AttributionOfClass(picture=4, student_layer=0, teacher_layer=1).ask(moment)
    assert chosen.methods[-1] == "Grad-CAM, chosen layer"
    same = {"teacher": "second to last", "student": "second to last"}  # of three layers, and of two
    for part, place in same.items():
        numpy.testing.assert_array_equal(
            chosen.maps[f"{part}/Grad-CAM, chosen layer"], usual.maps[f"{part}/Grad-CAM, {place}"]
        )
    assert chosen.notes["student/Grad-CAM, chosen layer"] == "stage 1, 8×8"
    alone = AttributionOfClass(picture=4, student_layer=1).ask(moment)
    assert alone.notes["student/Grad-CAM, chosen layer"].startswith("stage 2")
    with pytest.raises(ProbeError, match="teacher_layer=7"):
        AttributionOfClass(picture=4, teacher_layer=7).ask(moment)


@pytest.mark.parametrize(
    ("probe", "key", "words"),
    [
        (FeatureMaps(own="0123456789abcdef"), ("pictures", "kd"), "not kept with this run"),
        (Disagreements(own="../../../etc"), ("pictures", "kd"), "is no name of a picture"),
        (DarkKnowledge(own="0123456789abcdef"), ("points",), "points in a plane"),
    ],
)
def test_one_that_is_not_there_is_refused_in_a_sentence(
    probe: FeatureMaps, key: tuple[str, ...], words: str, revived: Given
) -> None:
    with pytest.raises(ProbeError, match=words):
        probe.ask(revived(*key))


def test_nobody_knows_the_truth_of_ones_own(trained: Callable[..., Run], revived: Given) -> None:
    own = drawn_one(trained("pictures", "kd"))
    with pytest.raises(ProbeError, match="nobody told the class"):
        AttributionOfClass(own=own, explained=-3).ask(revived("pictures", "kd"))


def test_a_teacher_with_another_sensor_has_no_view_of_ones_own(trained: Callable[..., Run], revived: Given) -> None:
    own = drawn_one(trained("pictures", "kd"))
    moment = revived("pictures", "kd")
    elsewhere = replace(moment, data=replace(moment.data, partner_mean=moment.data.mean, partner_std=moment.data.std))
    with pytest.raises(ProbeError, match="another sensor"):
        FeatureMaps(own=own).ask(elsewhere)
    with pytest.raises(ProbeError, match="not kept anywhere"):
        FeatureMaps(own=own).ask(replace(moment, kept=None))
