"""Each method's own weight makes it neither drown cross-entropy nor vanish beside it, on real pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from kdcore.augmentation import stronger
from kdcore.datasets.digits import Digits
from kdcore.looking import look, look_frozen
from kdcore.networks.plain import Plain
from kdcore.objective import Objective, Share
from kdcore.pairing import automatic
from kdcore.vocabulary import Batch

from .fixture import METHODS

PICTURES = 128


@pytest.fixture(scope="module")
def digits() -> Batch:
    raw = Digits().load(0)
    images = raw.images[:PICTURES]
    return Batch((images - images.mean()) / images.std(), raw.labels[:PICTURES], torch.arange(PICTURES))


def network(width: int, seed: int) -> Plain:
    torch.manual_seed(seed)
    made = Plain(width=width)
    made.build((1, 8, 8), 10)
    return made


@pytest.fixture(scope="module")
def teacher(digits) -> Plain:
    """A wide network after it has learned these pictures."""
    made = network(32, 0)
    optimizer = torch.optim.AdamW(made.parameters(), lr=2e-3)
    for _ in range(30):
        optimizer.zero_grad()
        F.cross_entropy(made(digits.images), digits.labels).backward()
        optimizer.step()
    return made.eval()


@pytest.mark.parametrize("key", [key for key, method in METHODS.items() if method.needs_teacher])
def test_its_gradient_is_of_the_size_of_cross_entropys(key, digits, teacher):
    kind = METHODS[key]
    student = network(32 if "parameters" in kind.reads else 8, 1).train()
    network_of = student, teacher
    seen, teacher = look(student, digits.images, kind.reads), look_frozen(teacher, digits.images, kind.reads)
    if "second" in kind.reads:
        harder = stronger(digits.images, digits.index, seed=0, epoch=0)
        seen = replace(seen, second=look(network_of[0], harder))
        teacher = replace(teacher, second=look_frozen(network_of[1], harder))
    shapes = [[tuple(layer.shape[1:]) for layer in side.maps] for side in (seen, teacher)]
    pairing = automatic(kind.matches, kind.prefers, student=shapes[0], teacher=shapes[1])
    objective = Objective([kind()], [Share(key, kind.weight, pairing)])
    with torch.no_grad():
        objective.build(seen.detach(), teacher, PICTURES)

    def size(loss: torch.Tensor) -> float:
        parts = torch.autograd.grad(loss, list(student.parameters()), allow_unused=True, retain_graph=True)
        return torch.cat([part.flatten() for part in parts if part is not None]).norm().item()

    terms = objective(seen, teacher, digits)
    method = size(kind.weight * torch.stack([term.mean() for term in terms.values()]).sum())
    assert 0.1 < method / size(F.cross_entropy(seen.logits, digits.labels)) < 5
