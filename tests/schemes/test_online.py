"""Networks that teach one another while they learn: ensembles, stale copies, shared layers, gates."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from kdcore.collaborative import general_weights, linear_weights, lowest_logits, naive
from kdcore.engine import run
from kdcore.events import Event, Failed, Finished, Shown, Snapshot, Step
from kdcore.recipe import Recipe
from kdcore.response import soft_kl
from kdcore.scheme import Phase
from kdcore.schemes.codistill import spread
from kdcore.schemes.one import Gate, WithBranches
from kdcore.stage import Losses, Stage, set_stage
from kdcore.training import PhaseRun
from kdcore.vocabulary import Seen


def recipe(key: str, *, epochs: int = 2, student: object = None, data: object = None, **settings: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": data or {"is": "digits", "train_size": 160},
            "student": student or {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": "ce"}, {"is": "kd"}],
            "scheme": {"is": key, "baseline": False, **settings},
            "training": {"epochs": epochs, "batch": 32},
        }
    )


def staged(asked: Recipe) -> tuple[Stage, Phase]:
    stage = set_stage(asked)
    return stage, list(stage.scheme.phases(stage.cast, Losses(stage)))[-1]


def steps(events: list[Event], learner: str) -> list[Step]:
    return [event for event in events if isinstance(event, Step) and event.learner == learner]


def wave(count: int, classes: int, a: float, b: float) -> torch.Tensor:
    """(count, classes) of sin(a k + b), row after row."""
    return torch.sin(a * torch.arange(count * classes, dtype=torch.float64) + b).view(count, classes)


PEERS = torch.stack([3 * wave(4, 5, 0.7, 0.1), 4 * wave(4, 5, 0.9, 0.5), 4 * wave(4, 5, 1.3, 0.2)])
LABELS = torch.arange(4)


class TestEnsembles:
    def test_the_least_logits_have_the_reference_s_divergence(self) -> None:
        found = soft_kl(PEERS[0], lowest_logits(PEERS, LABELS), 2.0).mean()
        assert float(found) == pytest.approx(1.751373337, rel=1e-7)

    def test_the_least_logits_put_the_truth_at_zero_and_no_other_class_above_any_peer(self) -> None:
        least = lowest_logits(PEERS, LABELS)
        rows = torch.arange(4)
        assert torch.equal(least[rows, LABELS], torch.zeros(4, dtype=torch.float64))
        centred = PEERS - PEERS[:, rows, LABELS][:, :, None]
        assert bool((least[None] <= centred).all())

    def test_the_least_logits_fit_each_label_at_least_as_well_as_any_peer(self) -> None:
        losses = torch.stack([F.cross_entropy(one, LABELS, reduction="none") for one in PEERS])
        ours = F.cross_entropy(lowest_logits(PEERS, LABELS), LABELS, reduction="none")
        assert bool((ours <= losses.amin(dim=0)).all())

    def test_the_naive_one_is_each_picture_s_best_peer(self) -> None:
        losses = torch.stack([F.cross_entropy(one, LABELS, reduction="none") for one in PEERS])
        ours = F.cross_entropy(naive(PEERS, LABELS), LABELS, reduction="none")
        assert torch.equal(ours, losses.amin(dim=0))

    @pytest.mark.parametrize("ensemble", [naive, lowest_logits])
    def test_without_a_label_it_is_the_peers_mean(self, ensemble) -> None:  # type: ignore[no-untyped-def]
        found = ensemble(PEERS, torch.tensor([0, -1, 2, -1]))
        assert torch.allclose(found[[1, 3]], PEERS.mean(dim=0)[[1, 3]])

    def test_the_linear_weights_reach_the_least_cross_entropy_of_all_sums(self) -> None:
        generator = torch.Generator().manual_seed(3)
        labels = torch.randint(5, (200,), generator=generator)
        truth = 2.0 * F.one_hot(labels, 5)
        logits = (
            truth + 2.0 * torch.randn(3, 200, 5, generator=generator) * torch.tensor([1.0, 1.5, 4.0])[:, None, None]
        )
        weights = linear_weights(logits, labels)
        assert float(weights.sum()) == pytest.approx(1.0, abs=1e-5)
        assert bool((weights >= 0).all())

        def loss(one: torch.Tensor) -> float:
            return float(F.cross_entropy(torch.einsum("m,mnc->nc", one, logits), labels))

        best = min(
            loss(torch.tensor([i / 40, j / 40, 1 - (i + j) / 40])) for i in range(41) for j in range(41 - i)
        )  # fmt: skip
        assert loss(weights) <= best + 2e-3

    def test_the_linear_weights_stay_even_without_labels(self) -> None:
        assert torch.allclose(linear_weights(PEERS, -torch.ones(4, dtype=torch.long)), PEERS.new_full((3,), 1 / 3))

    def test_the_general_weights_go_by_the_inverse_squared_error_where_errors_are_independent(self) -> None:
        generator = torch.Generator().manual_seed(4)
        truth = torch.randint(4, (20_000,), generator=generator)
        noise = torch.randn(2, 20_000, 4, generator=generator) * torch.tensor([0.1, 0.2])[:, None, None]
        weights = general_weights(F.one_hot(truth, 4) + noise, truth)
        assert weights.tolist() == pytest.approx([0.8, 0.2], abs=0.01)

    def test_peers_that_err_alike_share_their_weight(self) -> None:
        same = F.softmax(PEERS[:1].repeat(2, 1, 1), dim=2)
        assert general_weights(same, LABELS).tolist() == pytest.approx([0.5, 0.5])

    def test_a_peer_that_only_repeats_another_s_errors_more_loudly_is_left_out(self) -> None:
        generator = torch.Generator().manual_seed(5)
        truth = torch.randint(4, (500,), generator=generator)
        noise = 0.1 * torch.randn(500, 4, generator=generator)
        weights = general_weights(F.one_hot(truth, 4) + torch.stack([noise, 2.0 * noise]), truth)
        assert weights.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("ensemble", ["naive", "linear", "minlogit", "general"])
def test_every_ensemble_teaches_all_peers(ensemble: str) -> None:
    events = list(run(recipe("kdcl", ensemble=ensemble, peers=3, every=3)))
    assert isinstance(events[-1], Finished), events[-1]
    told = [[step.terms["ensemble"] for step in steps(events, name)] for name in ("student", "peer 2", "peer 3")]
    assert all(value > -1e-5 for values in told for value in values)  # a peer that is the whole ensemble hears itself
    assert all(sum(values) > 0.0 for values in zip(*told, strict=True))


def test_peers_see_different_views_of_a_picture() -> None:
    stage, phase = staged(recipe("kdcl", peers=2))
    looked: dict[str, torch.Tensor] = {}
    for name, network in stage.cast.items():
        original = network.look

        def look(images: torch.Tensor, name: str = name, original=original) -> Seen:  # type: ignore[no-untyped-def]
            looked[name] = images
            return original(images)

        network.look = look  # type: ignore[method-assign]
    PhaseRun(stage, phase).step()
    assert looked["student"].shape == looked["peer 2"].shape
    assert not torch.equal(looked["student"], looked["peer 2"])


class TestCodistillation:
    def test_in_the_burn_in_nothing_is_heard_of_the_others(self) -> None:
        asked = recipe("codistill", epochs=4, burn_in=0.5, pictures="same", every=1)
        alone = recipe("codistill", epochs=4, burn_in=0.5, pictures="same", every=1, weight=0.0)
        ours, plain = (steps(list(run(one)), "student") for one in (asked, alone))
        half = len(ours) // 2
        assert all(step.terms["copies"] == 0.0 for step in ours[:half])
        assert all(step.terms["copies"] > 0.0 for step in ours[half:])
        assert [step.loss for step in ours[:half]] == [step.loss for step in plain[:half]]
        assert ours[-1].terms["ce"] != plain[-1].terms["ce"]

    def test_copies_stay_as_they_are_until_they_are_exchanged(self) -> None:
        stage, phase = staged(recipe("codistill", every=3))
        running = PhaseRun(stage, phase)

        def states() -> tuple[torch.Tensor, torch.Tensor]:
            live, copy = stage.cast["student"], phase.keeps["copy of student"]
            return tuple(
                torch.cat([one.flatten() for one in net.parameters()]).detach().clone() for net in (live, copy)
            )  # type: ignore[return-value]

        live, first = states()
        assert torch.equal(live, first)
        for _ in range(2):
            running.step()
            live, copy = states()
            assert torch.equal(copy, first)
            assert not torch.equal(live, copy)
        running.step()
        live, copy = states()
        assert torch.equal(live, copy)

    def test_each_replica_learns_from_pictures_of_its_own(self) -> None:
        stage, phase = staged(recipe("codistill", peers=2))
        running = PhaseRun(stage, phase)
        taken = running.step()
        index = stage.data.train.index[taken["student"].places]  # type: ignore[index]
        assert bool((taken["peer 2"].per_image == 0).all())  # still burning in
        moment = running._moment("student", 0, taken["student"].places, {}, 0)
        own = phase.turns[0].own
        assert own is not None
        mine = own(moment)["ce"]
        assert bool((mine[index % 2 == 1] == 0).all())
        assert bool((mine[index % 2 == 0] > 0).all())

    def test_losses_of_some_rows_keep_their_mean(self) -> None:
        losses = torch.tensor([1.0, 3.0])
        found = spread(losses, torch.tensor([4, 1]), 5)
        assert found.tolist() == [0.0, 7.5, 0.0, 0.0, 2.5]
        assert float(found.mean()) == float(losses.mean())


class TestOne:
    def test_the_gate_sums_to_one(self) -> None:
        gate = Gate(6, 3)
        for weights in (gate(torch.randn(5, 6, 2, 2)), gate.eval()(torch.randn(5, 6, 2, 2))):
            assert torch.allclose(weights.sum(dim=1), torch.ones(5))

    def test_the_ensemble_s_teaching_leaves_the_gate_alone(self) -> None:
        stage, phase = staged(recipe("one"))
        running = PhaseRun(stage, phase)
        moment = running._moment("student", 0, torch.arange(8), {}, 0)
        turn = phase.turns[0]
        assert turn.own is not None
        terms = turn.own(moment)
        gate = list(turn.also["gate"].parameters())
        terms["ensemble"].mean().backward(retain_graph=True)
        assert all(one.grad is None for one in gate)
        terms["ce"].mean().backward()
        assert any(one.grad is not None and bool(one.grad.any()) for one in gate)

    def test_one_branch_is_plain_training(self) -> None:
        events = list(run(recipe("one", branches=1, baseline=True)))
        assert isinstance(events[-1], Finished)
        ours, plain = steps(events, "student"), steps(events, "baseline")
        assert [step.terms for step in ours] == [step.terms for step in plain]
        assert {name for step in ours for name in step.terms} == {"ce.ce"}
        assert not [event for event in events if isinstance(event, Shown)]

    def test_branches_start_differently_on_one_trunk_and_are_dropped_in_the_end(self) -> None:
        stage, _ = staged(recipe("one", branches=3))
        network = stage.cast["student"]
        assert isinstance(network, WithBranches)
        seen = network.eval().look(stage.data.train.images[:4])
        assert len(seen.exits) == 2
        assert not torch.allclose(seen.exits[0].logits, seen.exits[1].logits)
        assert torch.equal(network.deployed().look(stage.data.train.images[:4]).logits, seen.logits)

    def test_a_network_whose_last_stage_does_not_stand_alone_is_refused(self) -> None:
        for student in ({"is": "mlp"}, {"is": "wide_resnet"}, {"is": "plain", "stage_count": 1}):
            *_, last = run(recipe("one", student=student))
            assert isinstance(last, Failed)
            assert "stage" in last.reason


class TestRocket:
    def test_the_two_share_weights_but_no_norm_and_no_classifier(self) -> None:
        stage, phase = staged(recipe("rocket"))
        PhaseRun(stage, phase)
        booster, light = (dict(stage.cast[role].named_parameters()) for role in ("booster", "student"))
        shared = {name for name, one in light.items() if booster.get(name) is one}
        assert "stem.0.0.weight" in shared
        assert shared == {name for name, one in light.items() if one.ndim == 4}

    def test_the_hint_never_reaches_the_booster_s_own_layers(self) -> None:
        stage, phase = staged(recipe("rocket"))
        running = PhaseRun(stage, phase)
        own = phase.turns[0].own
        assert own is not None
        own(running._moment("student", 0, torch.arange(8), {}, 0))["hint"].mean().backward()
        light = {id(one) for one in stage.cast["student"].parameters()}
        of_booster = [one for one in stage.cast["booster"].parameters() if id(one) not in light]
        assert of_booster
        assert all(one.grad is None for one in of_booster)
        assert all(one.grad is not None for one in stage.cast["student"].parameters())

    def test_without_the_hint_two_tasks_are_learned_at_once(self) -> None:
        events = list(run(recipe("rocket", gamma=0.0)))
        assert all(
            math.isclose(step.loss, step.terms["ce"] + step.terms["labels"], rel_tol=1e-5)
            for step in steps(events, "student")
        )

    def test_shared_weights_are_equal_in_every_snapshot(self) -> None:
        events = list(run(recipe("rocket")))
        last = [event for event in events if isinstance(event, Snapshot)][-1]
        assert torch.equal(last.tensors["role/booster/stem.0.0.weight"], last.tensors["role/student/stem.0.0.weight"])

    def test_from_below_the_light_network_is_the_lowest_stages(self) -> None:
        stage, _ = staged(recipe("rocket", sharing="bottom", more=1))
        assert (len(stage.cast["student"].layers), len(stage.cast["booster"].layers)) == (2, 3)

    def test_a_student_that_cannot_be_made_deeper_is_refused(self) -> None:
        *_, last = run(recipe("rocket", student={"is": "mobile"}))
        assert isinstance(last, Failed)
        assert "mobile has none, plain has" in last.reason


def test_peers_of_mutual_learning_are_shown_beside_one_another() -> None:
    events = list(run(recipe("dml", peers=3)))
    assert [event.kind for event in events if isinstance(event, Shown)] == ["Matrix"] * 3
