"""Channel partners and the methods' own views against what the networks and methods say when asked directly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy
import pytest
import torch

from kdcore.beside import sides
from kdcore.probe import Probe, ProbeError
from kdcore.probes.channel_partners import GRID, ChannelPartners
from kdcore.probes.method_view import MethodView
from kdcore.revive import Revived

Given = Callable[..., Revived]
EVERY = ("at", "sp", "rkd", "fsp", "dkd", "nst", "hkd", "lwm", "afd_attn", "jacobian_match", "ab")
METHODS = [{"is": name, **({"own_stage": 0.0} if name in ("ab", "fsp") else {})} for name in EVERY]
"""All at once, none in a stage of its own before the others."""


def test_partners_are_those_of_the_networks_own_maps(revived: Given) -> None:
    moment = revived("pictures", "fitnet")
    answer = ChannelPartners(inputs=28).ask(moment)
    seen = sides(moment).look(moment.data.validation, 28)
    ours, theirs = seen["student"].maps[0], seen["teacher"].maps[0]
    if "stage 2" in answer.layers["student"]:
        ours, theirs = seen["student"].maps[1], seen["teacher"].maps[1]
    for own, partner, value in answer.links["student"]:
        pair = [side[:, int(channel)].flatten().numpy() for side, channel in ((ours, own), (theirs, partner))]
        expected = 0.0 if min(numpy.ptp(one) for one in pair) < 1e-6 else numpy.corrcoef(*pair)[0, 1]
        assert value == pytest.approx(expected, abs=1e-4)
    assert len(answer.links["student"]) == 4
    assert answer.explained["student"].shape == (theirs.shape[1],)
    mean = float(answer.links["student"][:, 2].mean())
    assert f"at {mean:.2f} on average".replace("-", "−") in answer.says


def test_small_maps_are_the_pictures_own_in_standard_deviations(revived: Given) -> None:
    moment = revived("pictures", "fitnet")
    answer = ChannelPartners(picture=3, student_layer=0, teacher_layer=0).ask(moment)
    seen = sides(moment).look(moment.data.validation)
    every = seen["student"].maps[0]
    for place, number in enumerate(answer.shown["student"]):
        channel = int(answer.links["student"][number, 0])
        spread = float(every[:, channel].std(unbiased=False))
        expected = (every[3, channel] - every[:, channel].mean()) / spread if spread > 1e-6 else every[3, channel] * 0
        numpy.testing.assert_allclose(answer.maps["student"][place], expected, atol=1e-3)
    assert "validation picture 3" in answer.map_says


def test_a_network_that_is_its_teacher_with_other_names_for_its_channels_is_found_out(revived: Given) -> None:
    moment = revived("pictures", "fitnet", student={"is": "plain", "width": 6})
    student, teacher = (moment.networks[role] for role in ("student", "teacher"))
    kept = {name: value.clone() for name, value in student.state_dict().items()}
    try:
        student.load_state_dict(teacher.state_dict())
        answer = ChannelPartners(student_layer=1, teacher_layer=1).ask(moment)
        alive = answer.links["student"][answer.links["student"][:, 2] > 0]
        numpy.testing.assert_array_equal(alive[:, 0], alive[:, 1])
        numpy.testing.assert_allclose(alive[:, 2], 1.0, atol=1e-5)
        assert answer.explained["student"][alive[:, 1].astype(int)] == pytest.approx(1.0, abs=1e-3)
        assert answer.says.endswith("the student is nearer.")
    finally:
        student.load_state_dict(kept)


def test_neurons_without_a_plane_are_drawn_over_the_inputs_or_by_class(revived: Given) -> None:
    points = ChannelPartners().ask(revived("points"))
    assert points.maps["student"].shape[1:] == (GRID, GRID)
    assert "plane of inputs" in points.map_says
    moment = revived("pictures", "kd", student={"is": "mlp", "width": 8})
    answer = ChannelPartners(student_layer=0, teacher_layer=2).ask(moment)
    seen = sides(moment).look(moment.data.validation)
    truth = moment.data.validation.truth
    count = len(truth.unique())
    assert answer.maps["student"].shape[1:] == answer.maps["student/teacher"].shape[1:] == (1, count)
    channel = int(answer.links["student"][0, 0])
    values = seen["student"].maps[0][:, channel, 0, 0]
    expected = (values[truth == truth.min()].mean() - values.mean()) / values.std(unbiased=False)
    assert answer.maps["student"][0, 0, 0] == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        (ChannelPartners(student_layer=7), "student_layer=7: the student has layers 0 to 1"),
        (ChannelPartners(teacher_layer=3), "teacher_layer=3: the teacher has layers 0 to 2"),
        (ChannelPartners(picture=5000), "picture=5000: there are 30 validation inputs"),
        (MethodView(picture=5000), "picture=5000: there are 30 validation inputs"),
        (MethodView(method="sp"), "method='sp': this run has fitnet to show"),
        (MethodView(part=4), "part=4: FitNets .hints. compares 1 things"),
    ],
)
def test_what_is_not_there_is_refused_in_a_sentence(probe: Probe, words: str, revived: Given) -> None:
    with pytest.raises(ProbeError, match=words):
        probe.ask(revived("pictures", "fitnet"))


def test_partners_need_a_few_pictures(revived: Given) -> None:
    moment = revived("pictures", "fitnet")
    few = replace(moment.data, validation=moment.data.validation.of(torch.arange(5)))
    with pytest.raises(ProbeError, match="5 validation inputs are too few"):
        ChannelPartners().ask(replace(moment, data=few))


@pytest.mark.parametrize("name", EVERY)
def test_a_view_is_what_the_method_makes_of_both_networks(name: str, revived: Given) -> None:
    moment = revived("pictures", methods=METHODS)
    answer = MethodView(method=name, picture=2, inputs=20).ask(moment)
    assert answer.method == name
    assert set(answer.methods) == set(EVERY)
    assert answer.parts
    assert len(answer.drawn) == min(3, len(answer.parts))
    for number, about in enumerate(answer.drawn):
        arrays = [answer.values[key] for key in answer.values if key.startswith(f"{number}/")]
        assert len({array.shape for array in arrays}) == 1
        assert len(arrays) == (3 if "baseline" in answer.distance else 2)
        assert all(numpy.isfinite(array).all() for array in arrays)
        assert about["value"]
        dimensions = {"plane": 2, "channels": 3, "matrix": 2, "images": 2, "classes": 1, "numbers": 1}
        assert arrays[0].ndim == dimensions[about["kind"]]
    learned = any(True for _ in moment.lessons[0].objective.methods[name].parameters())  # type: ignore[operator]
    assert ("baseline" in answer.distance) == (not learned or name == "afd_attn")
    assert answer.says.endswith(".")
    assert all(value >= 0 for found in answer.distance.values() for value in found)


def test_attention_maps_are_those_of_the_loss(revived: Given) -> None:
    moment = revived("pictures", methods=METHODS)
    answer = MethodView(method="at", picture=2, inputs=20).ask(moment)
    seen = sides(moment).look(moment.data.validation.of(torch.tensor([2])))
    for number, about in enumerate(answer.drawn):
        layers = [int(word.split("stage ")[1]) - 1 for word in about["layers"].split(" ↔ ")]
        for part, layer in zip(("student", "teacher"), layers, strict=True):
            where = seen[part].maps[layer][0].square().mean(dim=0)
            if part == "student":
                side = seen["teacher"].maps[layers[1]].shape[2]
                pooled = torch.nn.functional.adaptive_avg_pool2d(seen[part].maps[layer], min(side, where.shape[0]))
                where = pooled[0].square().mean(dim=0)
            expected = where / where.norm()
            numpy.testing.assert_allclose(answer.values[f"{number}/{part}"], expected, atol=1e-5)


def test_the_distance_is_that_of_all_the_views_together(revived: Given) -> None:
    moment = revived("pictures", methods=METHODS)
    answer = MethodView(method="dkd", inputs=20).ask(moment)
    who = sides(moment)
    truth = moment.data.validation.truth
    places = torch.cat([(truth == kind).nonzero().flatten()[:2] for kind in truth.unique()])
    assert sorted(answer.labels) == sorted(truth[places].tolist())
    seen = who.look(moment.data.validation.of(places))
    method = moment.lessons[0].objective.methods["dkd"]
    for part in ("student", "baseline"):
        ours, theirs = method.view(seen[part], seen["teacher"])  # type: ignore[operator]
        expected = [float((a - b).norm() / b.norm()) for a, b in zip(ours, theirs, strict=True)]
        assert answer.distance[part] == pytest.approx(expected, rel=1e-4)


def test_relations_are_ordered_by_class_and_hold_the_chosen_picture(revived: Given) -> None:
    moment = revived("pictures", methods=METHODS)
    last = len(moment.data.validation) - 1
    answer = MethodView(method="rkd", picture=last, inputs=20).ask(moment)
    assert answer.labels == sorted(answer.labels)
    assert int(moment.data.validation.truth[last]) in answer.labels
    assert [about["name"] for about in answer.drawn] == ["distances", "angles at the chosen input"]
    distances, angles = answer.values["0/teacher"], answer.values["1/teacher"]
    assert distances.shape == angles.shape == (len(answer.labels),) * 2
    own = numpy.flatnonzero((angles == 0).all(axis=1))
    assert len(own) >= 1, "there is no angle between an input and itself"
    assert answer.labels[own[0]] == int(moment.data.validation.truth[last])


def test_the_same_networks_are_no_way_apart(revived: Given) -> None:
    moment = revived("pictures", "kd", "at", student={"is": "plain", "width": 6})
    student, teacher = (moment.networks[role] for role in ("student", "teacher"))
    kept = {name: value.clone() for name, value in student.state_dict().items()}
    try:
        student.load_state_dict(teacher.state_dict())
        answer = MethodView(method="kd").ask(moment)
        assert answer.distance["student"] == [0.0]
        assert answer.distance["baseline"][0] > 0
        assert answer.says.endswith("the student is nearer.")
    finally:
        student.load_state_dict(kept)


def test_each_tensor_of_weights_has_its_name(revived: Given) -> None:
    moment = revived("pictures", "weight_distance", student={"is": "plain", "width": 6})
    answer = MethodView(inputs=12).ask(moment)
    parameters = dict(moment.networks["student"].named_parameters())
    assert answer.parts == [f"weights, {name}" for name in parameters]
    first, last = (list(parameters.values())[place].detach() for place in (0, -1))
    numpy.testing.assert_array_equal(answer.values["0/student"], first.reshape(len(first), -1))
    numpy.testing.assert_array_equal(answer.values["2/student"], last.reshape(len(last), -1))
    expected = [
        float((a - b).norm() / b.norm().clamp(min=1e-12))
        for a, b in zip(parameters.values(), moment.networks["teacher"].parameters(), strict=True)
    ]
    assert answer.distance["student"] == pytest.approx(expected, rel=1e-4)


def test_a_student_alone_with_other_layers_is_left_out_and_that_is_said(revived: Given) -> None:
    moment = revived("pictures", "kd", "sp", scheme={"is": "byot"})
    answer = MethodView(inputs=20).ask(moment)
    assert set(answer.distance) == {"student"}
    assert answer.says.endswith("The student alone is left out: it has other layers.")


def test_where_peers_teach_one_another_the_student_s_own_lesson_is_looked_at(revived: Given) -> None:
    who = sides(revived("pictures", "kd", scheme={"is": "dml"}))
    assert (who.student, who.teacher) == ("student", "peer 2")


def test_methods_that_need_no_teacher_are_not_offered_and_a_run_of_points_has_views_too(revived: Given) -> None:
    answer = MethodView().ask(revived("points"))
    assert list(answer.methods) == ["kd"]
    assert answer.picture.size == 0
    assert answer.drawn[0]["kind"] == "classes"
    assert "points" in answer.says


def test_a_run_whose_only_method_has_no_view_says_why(revived: Given) -> None:
    moment = revived("pictures", "kd")
    objective = moment.lessons[0].objective
    from kdcore.methods.nst import NeuronSelectivity

    old = objective.methods["kd"]
    objective.methods["kd"] = NeuronSelectivity(kernel="gaussian")
    try:
        with pytest.raises(ProbeError, match="infinitely many"):
            MethodView().ask(moment)
        with pytest.raises(ProbeError, match="infinitely many"):
            MethodView(method="kd").ask(moment)
    finally:
        objective.methods["kd"] = old
