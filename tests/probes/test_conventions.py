"""Forms on a run's own networks: the same tensors for all, the run's own connector, the run's own knobs."""

from __future__ import annotations

from collections.abc import Callable

import numpy
import pytest
import torch

from kdcore.beside import sides
from kdcore.conventions import FORMS
from kdcore.probe import ProbeError
from kdcore.probes.conventions import Conventions
from kdcore.revive import Revived

Given = Callable[..., Revived]


@pytest.mark.parametrize("key", FORMS)
def test_every_method_is_measured_on_any_run(key: str, revived: Given) -> None:
    answer = Conventions(method=key, inputs=12).ask(revived("pictures", "kd"))
    assert answer.names == [form.name for form in FORMS[key]]
    assert answer.gradients[0] > 0
    for number, factor in enumerate(answer.factors):
        if factor is not None:
            assert answer.gradients[number] / answer.gradients[0] == pytest.approx(factor, rel=1e-3)
            assert answer.alike[number] == pytest.approx(1.0, abs=1e-4)
        if answer.refusals[number]:
            assert answer.gradients[number] == 0


def test_soft_targets_are_those_of_the_run_at_its_own_temperature(revived: Given) -> None:
    moment = revived("pictures", methods=[{"is": "kd", "temperature": 2.0}])
    answer = Conventions(method="kd", inputs=20).ask(moment)
    assert "temperature 2" in answer.says
    images = moment.data.validation.images[:20]
    logits = moment.networks["student"].look(images).logits.detach().requires_grad_()
    target = (moment.networks["teacher"].look(images).logits / 2).softmax(1)
    value = 4 * (target * (target.log() - (logits / 2).log_softmax(1))).sum(1).mean()
    value.backward()
    assert answer.values[0] == pytest.approx(value.item(), rel=1e-3)
    assert logits.grad is not None
    assert answer.gradients[0] == pytest.approx(float(logits.grad.norm()), rel=1e-3)
    assert answer.factors[3] == 0.25


def test_the_runs_own_connector_is_used_and_a_missing_one_is_said(revived: Given) -> None:
    moment = revived("pictures", "fitnet")
    answer = Conventions(method="fitnet", inputs=16).ask(moment)
    assert "untrained" not in answer.says
    (s, t), *_ = moment.lessons[-1].objective.shares["fitnet"].pairing.pairs
    seen = sides(moment).look(moment.data.validation, 16)
    with torch.no_grad():
        method = moment.lessons[-1].objective.methods["fitnet"]
        ours = method.connector(seen["student"].maps[s])  # type: ignore[operator]
    assert answer.values[0] == pytest.approx(float((ours - seen["teacher"].maps[t]).square().mean()), rel=1e-4)
    assert "untrained" in Conventions(method="fitnet", inputs=16).ask(revived("pictures", "kd")).says


def test_a_run_that_chose_another_form_is_measured_in_ours(revived: Given) -> None:
    moment = revived("pictures", methods=[{"is": "at", "form": "paper", "power": 3}])
    answer = Conventions(method="at", inputs=16).ask(moment)
    assert "power 3" in answer.says
    assert answer.values[0] < answer.values[1], "a mean of squares below one, and its norm"


def test_points_have_no_maps_with_a_plane_but_outputs_like_any_other(revived: Given) -> None:
    answer = Conventions(method="kd").ask(revived("points"))
    assert answer.factors[2] == pytest.approx(1 / 3)
    numpy.testing.assert_array_less(0, answer.gradients)


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="inputs=3"):
        Conventions(inputs=3)
    assert issubclass(ProbeError, ValueError)
