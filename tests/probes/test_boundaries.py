"""Activation boundaries: regions along a line in closed form, planes through pictures, flips and agreement counted
slowly, and what cannot be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy
import pytest
import torch
from torch import Tensor

from kdcore.beside import see, sides
from kdcore.catalog import NETWORKS
from kdcore.chosen_pictures import choose_pictures
from kdcore.earlier import kept_until, network_at
from kdcore.methods.ab import ActivationBoundaries, boundary_error
from kdcore.network import Network
from kdcore.probe import ProbeError
from kdcore.probes.boundaries import Boundaries
from kdcore.probes.boundary_distance import BoundaryDistance
from kdcore.probes.line_regions import LineRegions, line_across
from kdcore.probes.neuron_agreement import NeuronAgreement
from kdcore.probes.picture_plane import PicturePlane, axes_through, corners, mixtures, shares_of
from kdcore.probes.sign_flips import SignFlips
from kdcore.regions import crossings, smooth_part, switches_between
from kdcore.revive import Revived
from kdcore.vocabulary import Seen

Given = Callable[..., Revived]


BESIDE = [{"is": "ab", "own_stage": 0.0}]
"""AB all the time, so that its connector is there at the end."""


def hand_made(depth: int = 1) -> Network:
    """A multilayer perceptron on points in double precision whose weights are set by hand afterwards."""
    network = NETWORKS["mlp"](width=4, depth=depth)
    network.build((2,), 2)
    return network.double().eval().requires_grad_(False)


def with_data(moment: Revived, rows: Tensor) -> Revived:
    data = moment.data
    return replace(moment, data=replace(data, validation=data.validation.of(rows)))


def test_a_line_through_one_hidden_layer_meets_a_region_more_than_hyperplanes_it_crosses() -> None:
    network = hand_made()
    # along (0, 0) -> (1, 0): zeros at x = 0.25, 0.5, beyond the end, and a neuron whose plane runs along the line
    network.hidden[0].weight.copy_(torch.tensor([[4.0, 1.0], [-2.0, 3.0], [1.0, 0.0], [0.0, 1.0]]))
    network.hidden[0].bias.copy_(torch.tensor([-1.0, 1.0, -2.0, -1.0]))
    found = switches_between(network, torch.zeros(2), torch.tensor([1.0, 0.0]), pieces=4, most=500)
    assert found.exact
    torch.testing.assert_close(found.places, torch.tensor([0.25, 0.5], dtype=torch.float64), rtol=0, atol=1e-9)


def test_two_neurons_with_one_boundary_make_one_switch() -> None:
    network = hand_made()
    network.hidden[0].weight.copy_(torch.tensor([[1.0, 0.0], [2.0, 0.0], [-3.0, 0.0], [0.0, 1.0]]))
    network.hidden[0].bias.copy_(torch.tensor([-0.375, -0.75, 1.125, 1.0]))
    found = switches_between(network, torch.zeros(2), torch.tensor([1.0, 0.0]), pieces=8, most=500)
    assert found.places.tolist() == pytest.approx([0.375])


def test_a_neuron_that_switches_twice_within_a_piece_is_found() -> None:
    network = hand_made(depth=2)
    # the second layer makes a tent of relu(x - 0.52) and relu(x - 0.53): on for 0.5203 < x < 0.5397 only
    for layer in network.hidden:
        layer.weight.zero_()
        layer.bias.fill_(-1.0)
    network.hidden[0].weight[:2, 0] = 1.0
    network.hidden[0].bias[:2] = torch.tensor([-0.52, -0.53])
    network.hidden[1].weight[0, :2] = torch.tensor([1.0, -2.0])
    network.hidden[1].bias[0] = -0.0003
    found = switches_between(network, torch.zeros(2), torch.tensor([1.0, 0.0]), pieces=2, most=2_000)
    assert found.exact
    assert found.places.tolist() == pytest.approx([0.52, 0.5203, 0.53, 0.5397], abs=1e-7)


def test_without_patience_the_count_is_a_bound_and_says_so() -> None:
    def wave(places: Tensor) -> Tensor:
        return (places[:, None] * 40 * torch.pi).sin() + 0.1

    assert not crossings(wave, pieces=8, most=5).exact
    assert len(crossings(wave, pieces=200, most=5).places) == 40


def test_regions_are_as_many_as_patterns_on_a_line_of_many_points(revived: Given) -> None:
    moment = revived("points")
    answer = LineRegions(across="diagonal").ask(moment)
    start, end = line_across(moment.data, "diagonal")
    at = torch.linspace(0, 1, 20_001)[:, None]
    assert all(answer.exact.values())
    for part, view in sides(moment).views().items():
        seen = see(moment, view, start + at * (end - start))
        signs = torch.cat([layer.flatten(1) > 0 for layer in seen.preacts], dim=1)
        assert answer.regions[part] == 1 + int((signs[1:] != signs[:-1]).any(dim=1).sum())
        assert int(answer.switches[part].sum()) == answer.regions[part] - 1
        said = seen.logits.argmax(dim=1)
        assert answer.changes[part] == int((said[1:] != said[:-1]).sum())


def test_a_convolution_network_is_counted_with_its_stem(revived: Given) -> None:
    moment = revived("pictures", "kd")
    answer = LineRegions(picture=0, second=1).ask(moment)
    network = moment.networks["student"]
    first, second = moment.data.validation.images[:2].double()
    twin = NETWORKS["plain"](**{**moment.recipe.student.settings})
    twin.build(moment.data.shape, moment.data.classes)
    twin.load_state_dict(network.state_dict())
    twin.double().eval()
    at = torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None, None, None]
    patterns: list[Tensor] = []
    twin.stem[0].register_forward_hook(lambda module, given, out: patterns.append(out.flatten(1) > 0))
    with torch.no_grad():
        seen = twin.look(first + at * (second - first))
    signs = torch.cat([*patterns, *[layer.flatten(1) > 0 for layer in seen.preacts]], dim=1)
    slow = 1 + int((signs[1:] != signs[:-1]).any(dim=1).sum())
    assert 0.9 * answer.regions["student"] <= slow <= answer.regions["student"], "nearby switches merge when sampled"
    assert answer.exact["student"]


def test_a_network_of_smooth_parts_has_no_regions() -> None:
    network = NETWORKS["vit"](depth=1, heads=1, head_width=4, grid=2)
    network.build((1, 8, 8), 3)
    assert smooth_part(network.eval(), torch.zeros(1, 1, 8, 8))
    plain = NETWORKS["mobile"]()
    plain.build((1, 8, 8), 3)
    assert smooth_part(plain.eval(), torch.zeros(1, 1, 8, 8)) == ""


def test_a_clipped_neuron_switches_twice() -> None:
    network = hand_made()
    network.hidden[0].weight.copy_(torch.tensor([[10.0, 0.0]] + [[0.0, 1.0]] * 3))
    network.hidden[0].bias.copy_(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
    clipped = lambda features: torch.nn.functional.relu6(features)  # noqa: E731
    looked = network.look

    class Clipped(type(network)):  # type: ignore[misc]
        def look(self, images: Tensor) -> Seen:
            seen = looked(images)
            return replace(seen, logits=clipped(self.hidden[0](images.to(self.hidden[0].weight.dtype))))

    network.__class__ = Clipped
    places = crossings_of(network)
    assert places == pytest.approx([0.1, 0.7])


def crossings_of(network: Network) -> list[float]:
    return switches_between(network, torch.zeros(2), torch.tensor([1.0, 0.0]), pieces=4, most=500).places.tolist()


def test_the_plane_goes_through_its_pictures_and_keeps_their_distances() -> None:
    pictures = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    anchors = corners(pictures, [0, 1, 2])
    for a, b in ((0, 1), (0, 2), (1, 2)):
        far = float((pictures[a] - pictures[b]).double().norm())
        assert numpy.hypot(*(anchors[a] - anchors[b])) == pytest.approx(far)
    x, y = axes_through(anchors, 20)
    assert (numpy.diff(x) > 0).all()
    assert (numpy.diff(y) > 0).all()
    grid = mixtures(shares_of(anchors, x, y), pictures).view(20, 20, 1, 8, 8)
    for (across, up), picture in zip(anchors, pictures, strict=True):
        row, column = int(numpy.flatnonzero(y == up)[0]), int(numpy.flatnonzero(x == across)[0])
        torch.testing.assert_close(grid[row, column], picture, rtol=0, atol=1e-6)


def test_at_a_picture_the_plane_has_the_networks_own_decision(revived: Given) -> None:
    moment = revived("pictures", "kd")
    answer = PicturePlane(picture=4, second=9, third=0, grid=16).ask(moment)
    for part, view in sides(moment).views().items():
        own = see(moment, view, moment.data.validation.images[[4, 9, 0]]).logits.argmax(dim=1)
        for (across, up), decided in zip(answer.points, own.tolist(), strict=True):
            row, column = int((answer.y == up).argmax()), int((answer.x == across).argmax())
            assert answer.decisions[part][row, column] == decided
    assert answer.labels.tolist() == moment.data.validation.truth[[4, 9, 0]].tolist()
    shown = (moment.data.pixels(moment.data.validation.images[[4]]) * 255).round()[0, 0]
    numpy.testing.assert_array_equal(answer.pictures[0, :, :, 0], shown.numpy())


def test_pictures_are_chosen_from_as_many_classes_as_there_are(revived: Given) -> None:
    data = revived("pictures", "kd").data
    truth = data.validation.truth
    chosen = choose_pictures(data, (-1, -1, -1))
    assert chosen[0] == 0
    assert len(set(truth[chosen].tolist())) == 3
    one = int(truth[0])
    others = [place for place in choose_pictures(data, (-1, 0, -1)) if place]
    assert one not in truth[others].tolist(), "what was asked for counts, wherever it stands"
    two = data.validation.of(torch.cat([(truth == one).nonzero()[:3, 0], (truth != one).nonzero()[:1, 0]]))
    assert sorted(choose_pictures(replace(data, validation=two), (-1, -1, -1))) == [0, 1, 3]


@pytest.mark.parametrize("probe", [PicturePlane(grid=8), LineRegions()])
def test_too_few_pictures_or_classes_are_a_sentence(probe: PicturePlane | LineRegions, revived: Given) -> None:
    moment = revived("pictures", "kd")
    truth = moment.data.validation.truth
    with pytest.raises(ProbeError, match="there are 1 validation pictures"):
        probe.ask(with_data(moment, torch.arange(1)))
    with pytest.raises(ProbeError, match="of one class"):
        probe.ask(with_data(moment, (truth == truth[0]).nonzero()[:, 0]))
    with pytest.raises(ProbeError, match="validation pictures 0 to"):
        type(probe)(picture=5_000).ask(moment)
    with pytest.raises(ProbeError, match="one stands twice"):
        type(probe)(picture=3, second=3).ask(moment)


def test_pictures_on_one_line_span_no_plane() -> None:
    pictures = torch.stack([torch.zeros(4), torch.ones(4), torch.full((4,), 2.0)])
    for wrong in (pictures, pictures[[0, 0, 1]], pictures[[0, 1, 1]], pictures[[1, 1, 1]]):
        with pytest.raises(ProbeError, match="on one line or two of them are equal"):
            corners(wrong, [0, 1, 2])


def test_planes_and_points_are_not_taken_for_one_another(revived: Given) -> None:
    with pytest.raises(ProbeError, match="points lie in a plane already"):
        PicturePlane().ask(revived("points"))
    with pytest.raises(ProbeError, match="more than two dimensions"):
        Boundaries().ask(revived("pictures", "kd"))


def test_equal_signs_over_a_plane_are_those_of_the_best_partner(revived: Given) -> None:
    moment = revived("points")
    answer = Boundaries(grid=10, shade="signs").ask(moment)
    who = sides(moment)
    seen = who.look(moment.data.validation, 256)
    plane = torch.stack(torch.meshgrid(torch.from_numpy(answer.x), torch.from_numpy(answer.y), indexing="xy"), dim=2)
    inputs = (plane.reshape(-1, 2) - moment.data.mean) / moment.data.std
    s, t, _ = who.pair(seen, -1, -1)
    theirs, there = seen["teacher"].preacts[t][::2, :, 0, 0] > 0, see(moment, who.teacher, inputs).preacts[t] > 0
    for part, view in (("student", who.student), ("baseline", who.baseline)):
        ours, here = seen[part].preacts[s][::2, :, 0, 0] > 0, see(moment, str(view), inputs).preacts[s] > 0
        same = torch.zeros(100)
        for neuron in range(theirs.shape[1]):
            partner = max(range(ours.shape[1]), key=lambda one: int((ours[:, one] == theirs[:, neuron]).sum()))
            same += (here[:, partner, 0, 0] == there[:, neuron, 0, 0]).float() / theirs.shape[1]
        numpy.testing.assert_allclose(answer.signs[part].reshape(-1), same.numpy(), atol=1e-5)
        assert answer.signs_mean[part] == pytest.approx(float(same.mean()), abs=1e-5)


def test_a_twin_of_the_teacher_is_switched_as_the_teacher_everywhere(revived: Given) -> None:
    moment = revived("pictures", "kd")
    twins = replace(moment, networks=dict.fromkeys(moment.networks, moment.networks["teacher"]))
    answer = PicturePlane(grid=8, shade="signs", student_layer=1, teacher_layer=1).ask(twins)
    assert answer.signs["student"].min() == 1.0
    assert answer.agreement["student"] == 1.0
    neurons = NeuronAgreement().ask(twins)
    # a neuron that is never on agrees with any other such neuron just as well
    assert all(mean == 1.0 for mean in neurons.means["student"])
    assert BoundaryDistance(student_layer=1, teacher_layer=1).ask(twins).wrong["student"] == 0.0


def test_agreement_through_a_connector_is_counted_neuron_by_neuron(revived: Given) -> None:
    moment = revived("pictures", methods=BESIDE)
    answer = NeuronAgreement(inputs=24).ask(moment)
    who = sides(moment)
    seen = who.look(moment.data.validation, 24)
    share = who.matched()[0][1]
    method = moment.lessons[-1].objective.methods["ab"]
    with torch.no_grad():
        joined = method.connected(*share.narrow("each", seen["student"], seen["teacher"]))
    for number, (ours, theirs) in enumerate(joined):
        for neuron in range(theirs.shape[1]):
            same = total = 0
            for row in range(1, len(ours), 2):
                for a, b in zip(
                    ours[row, neuron].flatten().tolist(), theirs[row, neuron].flatten().tolist(), strict=True
                ):
                    same, total = same + ((a > 0) == (b > 0)), total + 1
            assert answer.values[f"student|{number}"][neuron] == pytest.approx(same / total, abs=1e-6)
    assert "through its connector" in answer.title


def test_flips_are_counted_against_the_snapshot_they_name(revived: Given) -> None:
    moment = revived("points")
    kept = kept_until(moment, "student")
    assert len(kept) == 3
    images = moment.data.validation.images[:20]
    for since, then in (("first", kept[0]), ("before", kept[1])):
        answer = SignFlips(inputs=20, since=since).ask(moment)
        old = network_at(moment, "student", then)
        before, now = old.look(images).preacts[0], moment.networks["student"].look(images).preacts[0]
        for neuron in range(now.shape[1]):
            flips = sum(
                bool(now[row, neuron, 0, 0] > 0) != bool(before[row, neuron, 0, 0] > 0) for row in range(len(images))
            )
            assert answer.values["student|0"][neuron] == pytest.approx(flips / 20)


def test_nothing_has_flipped_at_the_first_snapshot(revived: Given) -> None:
    moment = revived("points", last=-3)
    for since in ("first", "before"):
        answer = SignFlips(since=since).ask(moment)
        assert answer.means["student"] == [0.0]
        assert "this is the first snapshot" in answer.says


def test_flips_need_the_run_itself(revived: Given) -> None:
    with pytest.raises(ProbeError, match="without its run"):
        SignFlips().ask(replace(revived("points"), kept=None))


def test_what_lies_within_the_margin_is_what_ab_pays_for(revived: Given) -> None:
    moment = revived("pictures", methods=BESIDE)
    answer = BoundaryDistance(inputs=40).ask(moment)
    assert (answer.margin, answer.margin_is) == (1.0, "own")
    assert all(found.sum() == pytest.approx(1.0, abs=1e-5) for found in answer.shares.values())
    who = sides(moment)
    seen = who.look(moment.data.validation, 40)
    share = who.matched()[0][1]
    method = moment.lessons[-1].objective.methods["ab"]
    with torch.no_grad():
        ours, theirs = method.connected(*share.narrow("each", seen["student"], seen["teacher"]))[0]
    paid = boundary_error(ours[1::2], theirs[1::2], 1.0) > 0
    assert answer.wrong["student"] + answer.inside["student"] == pytest.approx(float(paid.float().mean()), abs=1e-5)


def test_the_margin_is_the_runs_own_where_ab_had_a_stage_of_its_own(revived: Given) -> None:
    staged = revived("pictures", methods=[{"is": "ce"}, {"is": "ab", "margin": 3.0}])
    answer = BoundaryDistance().ask(staged)
    assert (answer.margin, answer.margin_is) == (3.0, "own")


def test_the_margin_of_another_method_is_a_reference(revived: Given) -> None:
    answer = BoundaryDistance().ask(revived("points"))
    assert (answer.margin, answer.margin_is) == (ActivationBoundaries().margin, "reference")


def test_layers_of_different_kinds_are_refused(revived: Given) -> None:
    moment = revived("pictures", "kd", student={"is": "mlp", "width": 8})
    for probe in (BoundaryDistance(student_layer=0, teacher_layer=0), PicturePlane(grid=8, shade="signs")):
        with pytest.raises(ProbeError, match="layers of different kinds"):
            probe.ask(moment)
    with pytest.raises(ProbeError, match="layers of different kinds"):
        NeuronAgreement().ask(moment)
    assert PicturePlane(grid=8).ask(moment).lines["student"].size, "drawn side by side they need not be alike"


def test_layers_without_an_activation_have_no_boundary(revived: Given) -> None:
    small = {"is": "vit", "depth": 1, "heads": 1, "head_width": 4, "grid": 2}
    moment = revived("pictures", "kd", student=small)
    for probe in (BoundaryDistance(student_layer=0, teacher_layer=2), NeuronAgreement(), SignFlips()):
        with pytest.raises(ProbeError, match="ends without an activation"):
            probe.ask(moment)
    answer = LineRegions().ask(moment)
    assert "student" not in answer.regions
    assert "smooth" in answer.says


def test_too_few_inputs_are_named(revived: Given) -> None:
    moment = with_data(revived("points"), torch.arange(3))
    for probe in (NeuronAgreement(), BoundaryDistance()):
        with pytest.raises(ProbeError, match="3 validation inputs are too few"):
            probe.ask(moment)
