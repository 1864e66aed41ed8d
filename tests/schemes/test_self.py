"""Networks that are their own teachers: an earlier run, their past, their average, pictures of one class, two views."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from kdcore.answer import answer_from_bytes
from kdcore.answers.bars import Bars
from kdcore.engine import run
from kdcore.events import Event, Finished, Shown, Snapshot, Step
from kdcore.recipe import Recipe
from kdcore.scheme import Moment, Phase
from kdcore.schemes.cs_kd import Groups
from kdcore.schemes.ddgsd import means_apart
from kdcore.schemes.mean_teacher import MeanTeacher, average
from kdcore.schemes.ps_kd import towards
from kdcore.stage import Losses, Stage, set_stage
from kdcore.training import PhaseRun


def recipe(key: str, *, epochs: int = 2, data: object = None, **settings: object) -> Recipe:
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 160, **(data or {})},  # type: ignore[dict-item]
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "methods": [{"is": "ce"}, {"is": "kd"}],
            "scheme": {"is": key, "baseline": False, **settings},
            "training": {"epochs": epochs, "batch": 32},
        }
    )


def staged(asked: Recipe) -> tuple[Stage, Phase, PhaseRun]:
    stage = set_stage(asked)
    phase = list(stage.scheme.phases(stage.cast, Losses(stage)))[-1]
    return stage, phase, PhaseRun(stage, phase)


def now(running: PhaseRun, count: int = 16) -> Moment:
    return running._moment("student", 0, torch.arange(count), {}, 0)


def terms(phase: Phase, moment: Moment) -> dict[str, torch.Tensor]:
    own = phase.turns[0].own
    assert own is not None
    return own(moment)


def steps(events: list[Event]) -> list[Step]:
    return [event for event in events if isinstance(event, Step) and event.learner == "student"]


def shown(events: list[Event]) -> list[Bars]:
    found = [answer_from_bytes(event.content) for event in events if isinstance(event, Shown)]
    assert all(isinstance(one, Bars) for one in found)
    return found  # type: ignore[return-value]


class TestEarlierSelf:
    def test_the_copy_starts_anew_and_its_teacher_stays_as_it_is(self) -> None:
        events = list(run(recipe("tfkd_self")))
        snapshots = [event for event in events if isinstance(event, Snapshot)]
        first = {name: one for name, one in snapshots[0].tensors.items() if name.endswith("weight")}
        student = next(event for event in snapshots if "student" in event.roles)
        assert not torch.equal(
            first["role/earlier self/stem.0.0.weight"], student.tensors["role/student/stem.0.0.weight"]
        )
        assert all("earlier self" not in event.roles for event in snapshots if "student" in event.roles)

    def test_a_short_schooling_makes_a_teacher_of_fewer_steps(self) -> None:
        stage = set_stage(recipe("tfkd_self", epochs=10, schooling=0.2))
        first, last = list(stage.scheme.phases(stage.cast, Losses(stage)))
        assert (PhaseRun(stage, first).epochs, PhaseRun(stage, last).epochs) == (2, 10)

    def test_without_its_weight_the_labels_are_all(self) -> None:
        found = steps(list(run(recipe("tfkd_self", alpha=0.0))))
        assert all(step.loss == pytest.approx(step.terms["ce"], rel=1e-6) for step in found)


class TestPastPredictions:
    def test_it_has_the_reference_s_value(self) -> None:
        places = torch.arange(20, dtype=torch.float64)
        ours, theirs = 3 * torch.sin(0.7 * places + 0.1).view(4, 5), 4 * torch.sin(0.9 * places + 0.5).view(4, 5)
        share, labels = 0.8 * 11 / 300, torch.arange(4)
        found = (1 - share) * F.cross_entropy(ours, labels) + share * towards(ours, F.softmax(theirs, dim=1)).mean()
        assert float(found) == pytest.approx(2.586369254, rel=1e-7)

    def test_in_the_first_epoch_it_is_plain_cross_entropy(self) -> None:
        _, phase, running = staged(recipe("ps_kd"))
        moment = now(running)
        plain = F.cross_entropy(moment.see("student").logits, moment.batch.labels)
        ours = torch.stack([one.mean() for one in terms(phase, moment).values()]).sum()
        assert ours.item() == pytest.approx(plain.item(), rel=1e-5)

    def test_it_remembers_what_was_said_of_the_batch_and_of_nothing_else(self) -> None:
        _, phase, running = staged(recipe("ps_kd"))
        past = phase.keeps["past"].get_buffer("said")
        before = past.clone()
        moment = now(running)
        terms(phase, moment)
        changed = (past != before).any(dim=1).nonzero().flatten()
        assert set(changed.tolist()) == set(moment.batch.index.tolist())
        said = F.softmax(moment.see("student").logits.detach(), dim=1)
        assert torch.equal(past[moment.batch.index], said)
        assert torch.allclose(past[moment.batch.index].sum(dim=1), torch.ones(16))

    def test_of_unlabelled_pictures_nothing_is_remembered_at_first(self) -> None:
        stage, phase, _ = staged(recipe("ps_kd", data={"labelled": 0.5}))
        said = phase.keeps["past"].get_buffer("said")[stage.data.train.index]
        assert torch.equal(said.sum(dim=1), (stage.data.train.labels >= 0).float())


class TestClassWise:
    def test_partners_are_of_the_same_class(self) -> None:
        labels = torch.tensor([2, 0, -1, 1, 0, 2, 2, -1])
        groups = Groups(labels, 4)
        asked = torch.tensor([0, 1, 2, 2, 0] * 50)
        found = groups.partners(asked, torch.Generator().manual_seed(1))
        assert torch.equal(labels[found], asked)
        assert set(found.tolist()) == {0, 1, 3, 4, 5, 6}

    def test_the_partner_is_a_fixed_target_and_unlabelled_pictures_have_none(self) -> None:
        stage, phase, running = staged(recipe("cs_kd", data={"labelled": 0.5}))
        moment = now(running, 40)
        found = terms(phase, moment)["partner"]
        withheld = moment.batch.labels < 0
        assert bool(withheld.any())
        assert bool((found[withheld] == 0).all())
        assert bool((found[~withheld] > 0).any())
        slopes = torch.autograd.grad(found.sum(), moment.see("student").logits)[0]
        assert torch.allclose(slopes.sum(dim=1), torch.zeros(40), atol=1e-5)
        assert stage.data.augmentation == "none"

    def test_the_same_seed_draws_the_same_partners(self) -> None:
        first, second = (steps(list(run(recipe("cs_kd")))) for _ in range(2))
        assert [one.terms for one in first] == [one.terms for one in second]


class TestTwoViews:
    def test_the_distance_of_the_means_is_the_golden_and_not_that_of_means_over_everything(self) -> None:
        def wave(a: float, b: float) -> torch.Tensor:
            return torch.sin(a * torch.arange(32, dtype=torch.float64) + b).view(4, 8)

        one, other = wave(0.61, 0.3), wave(0.83, 0.7)
        assert float(means_apart(one, other)) == pytest.approx(4.22939675, rel=1e-7)
        assert float((one.mean() - other.mean()).square()) == pytest.approx(0.0009956062254, rel=1e-7)

    def test_views_differ_and_teach_one_another(self) -> None:
        _, phase, running = staged(recipe("ddgsd"))
        found = terms(phase, now(running))
        assert bool((found["views"] > 0).any())
        assert found["means"].shape == (1,)

    def test_equal_views_have_nothing_to_teach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import kdcore.schemes.ddgsd as module

        monkeypatch.setattr(module, "view_of", lambda images, index, **_: images)
        _, phase, running = staged(recipe("ddgsd"))
        found = {name: one.detach() for name, one in terms(phase, now(running)).items()}
        assert float(found["views"].abs().max()) < 1e-6
        assert float(found["means"]) < 1e-10

    def test_the_student_alone_has_the_same_views(self) -> None:
        stage = set_stage(recipe("ddgsd", baseline=True, weight=0.0, mean=0.0))
        alone, taught = (PhaseRun(stage, phase) for phase in stage.scheme.phases(stage.cast, Losses(stage)))
        for _ in range(3):
            assert torch.equal(alone.step()["baseline"].loss, taught.step()["student"].loss)


class TestMeanTeacher:
    def test_the_average_has_its_closed_form(self) -> None:
        source, target = torch.nn.Linear(2, 1, bias=False), torch.nn.Linear(2, 1, bias=False)
        torch.nn.init.zeros_(target.weight)
        values = [1.0, 5.0, -2.0]
        for value in values:
            torch.nn.init.constant_(source.weight, value)
            average(source, target, 0.9)
        closed = sum(0.1 * 0.9 ** (2 - place) * value for place, value in enumerate(values))
        assert target.weight.tolist() == [[pytest.approx(closed)] * 2]

    def test_at_first_it_is_the_plain_mean_of_all_steps(self) -> None:
        stage, _, running = staged(recipe("mean_teacher", memory=0.999))
        weight = {role: stage.cast[role].get_parameter("head.weight") for role in ("student", "average")}
        seen = [weight["student"].detach().clone()]
        assert torch.equal(seen[0], weight["average"])
        for _ in range(3):
            running.step()
            seen.append(weight["student"].detach().clone())
        assert torch.allclose(weight["average"], torch.stack(seen).mean(dim=0), atol=1e-6)

    def test_no_gradient_reaches_the_average(self) -> None:
        stage, phase, running = staged(recipe("mean_teacher"))
        sum(one.mean() for one in terms(phase, now(running)).values()).backward()  # type: ignore[union-attr]
        assert all(one.grad is None for one in stage.cast["average"].parameters())
        assert any(one.grad is not None for one in stage.cast["student"].parameters())

    @pytest.mark.parametrize("compare", ["squares", "divergence"])
    def test_who_says_the_same_is_not_apart(self, compare: str) -> None:
        scheme = MeanTeacher(compare=compare)
        logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))
        assert float(scheme.apart(logits, logits).abs().max()) < 1e-6
        assert bool((scheme.apart(logits, logits.flip(1)) > 0).all())


def test_generations_are_shown_with_the_ensemble_of_all_up_to_each() -> None:
    events = list(run(recipe("ban", generations=2)))
    assert isinstance(events[-1], Finished)
    last = shown(events)[-1]
    assert last.categories == ["0", "1", "2"]
    alone, together = last.series["alone"], last.series["with all before it"]
    assert alone[0] == together[0]
    accuracies = [events[-1].results[role]["validation_accuracy"] for role in ("generation 1", "student")]
    assert alone[1:].tolist() == pytest.approx(accuracies, abs=1e-6)


@pytest.mark.parametrize("key", ["tfkd_self", "ddgsd", "ps_kd", "mean_teacher"])
def test_each_shows_its_picture_from_the_first_moment_on(key: str) -> None:
    found = shown(list(run(recipe(key))))
    assert len(found) == 3
    for one in found:
        assert one.says.endswith(".")
        assert all(((values >= 0) & (values <= 1)).all() for values in one.series.values())
