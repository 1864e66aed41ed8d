"""Each probe against a slow computation of its own or a closed form."""

from __future__ import annotations

from collections.abc import Callable

import numpy
import pytest
import torch

from kdcore.beside import connected, explained, sides
from kdcore.contours import zero_lines
from kdcore.probe import ProbeError
from kdcore.probes.boundaries import Boundaries
from kdcore.probes.feature_maps import FeatureMaps
from kdcore.probes.layer_assignment import LayerAssignment
from kdcore.probes.sign_agreement import SignAgreement, agreement_of_partners, of_constant
from kdcore.revive import Revived

Given = Callable[..., Revived]


def test_zero_lines_lie_on_a_circle_and_close_it() -> None:
    axis = numpy.linspace(-2, 2, 81)
    x, y = numpy.meshgrid(axis, axis)
    points = zero_lines((x**2 + y**2 - 1)[None], x=axis, y=axis)
    line = points[:-1]
    assert numpy.isnan(points[-1]).all()
    assert not numpy.isnan(line).any(), "one closed line"
    numpy.testing.assert_allclose(numpy.hypot(*line.T), 1.0, atol=0.01)
    numpy.testing.assert_array_equal(line[0], line[-1])
    length = numpy.hypot(*numpy.diff(line, axis=0).T).sum()
    assert length == pytest.approx(2 * numpy.pi, rel=0.01)


def test_a_straight_zero_line_needs_two_points_in_the_axes_own_units() -> None:
    x, y = numpy.linspace(10, 20, 11), numpy.linspace(-1, 1, 21)
    field = numpy.broadcast_to(x - 14.3, (21, 11))
    points = zero_lines(field[None], x=x, y=y)
    numpy.testing.assert_allclose(points[:2], [[14.3, -1], [14.3, 1]], atol=1e-5)
    assert len(points) == 3


def test_no_zero_no_line_and_a_saddle_has_two() -> None:
    axis = numpy.array([0.0, 1.0])
    assert len(zero_lines(numpy.ones((3, 2, 2)), x=axis, y=axis)) == 0
    saddle = numpy.array([[1.0, -1.0], [-1.0, 1.0]])
    assert numpy.isnan(zero_lines(saddle[None], x=axis, y=axis)[:, 0]).sum() == 2


def test_explained_is_one_for_a_linear_map_and_nothing_for_noise() -> None:
    torch.manual_seed(0)
    ours = torch.randn(40, 3, 4, 4)
    theirs = torch.einsum("oc,nchw->nohw", torch.randn(5, 3), ours) + 2.0
    assert explained(ours, theirs) == pytest.approx(1.0, abs=1e-4)
    assert explained(ours, torch.randn(40, 5, 4, 4)) < 0.05
    half = theirs + theirs.std() * torch.randn_like(theirs)
    assert explained(ours, half) == pytest.approx(0.5, abs=0.1)


def test_maps_are_what_the_networks_saw(revived: Given) -> None:
    moment = revived("pictures", "kd")
    answer = FeatureMaps(picture=3, student_layer=1, teacher_layer=2).ask(moment)
    image = moment.data.validation.images[3:4]
    ours = moment.networks["student"].look(image).maps[1][0].detach().numpy()
    theirs = moment.networks["teacher"].look(image).maps[2][0].detach().numpy()
    numpy.testing.assert_allclose(answer.rows["Student"], ours, atol=1e-5)
    numpy.testing.assert_allclose(answer.rows["Teacher"], theirs[answer.channels["Teacher"]], atol=1e-5)
    assert len(answer.rows["Teacher"]) == 16
    assert set(answer.rows) == {"Teacher", "Student", "Student alone"}, "no connector was learned"
    numpy.testing.assert_allclose(answer.picture[..., 0], moment.data.pixels(image)[0, 0].numpy())
    assert answer.looks["teacher"].sum() == pytest.approx(1.0, abs=1e-4)


def test_maps_after_the_connector_are_the_methods_own(revived: Given) -> None:
    moment = revived("pictures", "fitnet")
    answer = FeatureMaps(picture=5).ask(moment)
    (s, t), *_ = moment.lessons[-1].objective.shares["fitnet"].pairing.pairs
    image = moment.data.validation.images[5:6]
    connector = moment.lessons[-1].objective.methods["fitnet"].connector
    ours = connector(moment.networks["student"].look(image).maps[s])[0].detach().numpy()
    theirs = moment.networks["teacher"].look(image).maps[t][0].detach().numpy()
    kept = answer.channels["Teacher"]
    numpy.testing.assert_allclose(answer.rows["Student after the connector"], ours[kept], atol=1e-5)
    numpy.testing.assert_allclose(answer.rows["Difference"], (ours - theirs)[kept], atol=1e-5)
    assert answer.scales["Teacher"] == answer.scales["Student after the connector"]


def test_semckd_projects_the_pair_that_is_asked_for(revived: Given) -> None:
    moment = revived("pictures", "semckd")
    who = sides(moment)
    seen = who.look(moment.data.validation, 6)
    method = moment.lessons[-1].objective.methods["semckd"]
    for s in range(2):
        for t in range(3):
            found = connected(who, seen["student"], seen["teacher"], (s, t))
            assert found is not None
            pooled = torch.nn.functional.adaptive_avg_pool2d(seen["student"].maps[s], found.teacher.shape[2:])
            torch.testing.assert_close(found.student, method.projections[3 * s + t](pooled))


def test_a_neuron_agrees_with_its_twin_wherever_it_stands() -> None:
    torch.manual_seed(0)
    theirs = (torch.randn(60, 4, 2, 2) > 0).float()
    assert agreement_of_partners(theirs[:, [2, 0, 3, 1]], theirs) == 1.0
    assert agreement_of_partners((torch.randn(400, 9, 2, 2) > 0).float(), theirs.repeat(7, 1, 1, 1)[:400]) < 0.56
    assert of_constant(torch.cat([torch.ones(3, 1, 1, 1), torch.zeros(1, 1, 1, 1)])) == 0.75


def test_signs_through_the_connector_are_counted_neuron_by_neuron(revived: Given) -> None:
    moment = revived("pictures", "ab")
    answer = SignAgreement().ask(moment)
    method = moment.lessons[-1].objective.methods["ab"]
    pairs = moment.lessons[-1].objective.shares["ab"].pairing.pairs
    images = moment.data.validation.images
    ours, theirs = (moment.networks[role].look(images).preacts for role in ("student", "teacher"))
    for number, (s, t) in enumerate(pairs):
        theirs_t = torch.nn.functional.adaptive_avg_pool2d(theirs[t], ours[s].shape[2:])
        same = ((method.connectors[number](ours[s]) > 0) == (theirs_t > 0)).float().mean()
        assert answer.series["student"][number] == pytest.approx(float(same), abs=1e-5)
    assert len(answer.categories) == len(pairs) == 2


def test_attention_rows_or_columns_add_up_to_one(revived: Given) -> None:
    rows = LayerAssignment().ask(revived("pictures", "semckd"))
    assert rows.attends == "student"
    numpy.testing.assert_allclose(rows.mean.sum(axis=1), 1.0, atol=1e-5)
    columns = LayerAssignment().ask(revived("pictures", "afd_attn"))
    assert columns.attends == "teacher"
    numpy.testing.assert_allclose(columns.mean.sum(axis=0), 1.0, atol=1e-5)


def test_the_plane_says_what_the_networks_decide_in_the_datas_own_units(revived: Given) -> None:
    moment = revived("points")
    answer = Boundaries(grid=12).ask(moment)
    row, column = 7, 3
    point = torch.tensor([[answer.x[column], answer.y[row]]])
    image = (point - moment.data.mean) / moment.data.std
    assert answer.decisions["teacher"][row, column] == int(moment.networks["teacher"].look(image).logits.argmax())
    numpy.testing.assert_allclose(
        answer.points[0], (moment.data.test.images[0] * moment.data.std + moment.data.mean).numpy(), atol=1e-5
    )
    said = [moment.networks[role].look(moment.data.test.images).logits.argmax(1) for role in ("teacher", "student")]
    assert answer.agreement["student"] == pytest.approx(float((said[0] == said[1]).float().mean()))
    numpy.testing.assert_array_equal(
        answer.disagreement["student"], answer.decisions["student"] != answer.decisions["teacher"]
    )


def test_zero_lines_of_a_layer_are_where_its_neurons_are_zero(revived: Given) -> None:
    moment = revived("points")
    answer = Boundaries(grid=40).ask(moment)
    points = torch.tensor(answer.lines["student"])
    points = points[~points.isnan().any(dim=1)]
    preacts = moment.networks["student"].look((points - moment.data.mean) / moment.data.std).preacts[0].flatten(1)
    off = preacts.abs().min(dim=1).values
    assert float(off.max()) < 1e-3, "a first layer's neurons are linear, so the grid adds no error"


@pytest.mark.parametrize(
    ("probe", "key", "words"),
    [
        (FeatureMaps(), ("points",), "points have no feature maps"),
        (FeatureMaps(picture=9999), ("pictures", "kd"), "picture=9999: there are 30"),
        (FeatureMaps(student_layer=7), ("pictures", "kd"), "student_layer=7: the student has layers 0 to 1"),
        (Boundaries(), ("pictures", "kd"), "more than two dimensions"),
        (LayerAssignment(), ("pictures", "kd"), "semckd and afd_attn"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(
    probe: FeatureMaps, key: tuple[str, ...], words: str, revived: Given
) -> None:
    with pytest.raises(ProbeError, match=words):
        probe.ask(revived(*key))
