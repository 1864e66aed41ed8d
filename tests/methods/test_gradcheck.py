"""The gradient that training follows is the slope of the number that it reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from .fixture import METHODS, both, loss, made
from .live import Live, live

VARIANTS = [(key, {}) for key, method in METHODS.items() if not method.holds] + [
    ("logit_regression", {"center": True}),
    ("label_smoothing", {"variant": "km1"}),
    ("at", {"form": "paper"}),
    ("at", {"power": 1}),
    ("at", {"power": 3}),
    ("nst", {"kernel": "linear"}),
    ("nst", {"kernel": "gaussian"}),
    ("ab", {"reduction": "sum"}),
    ("semckd", {"row": "batch"}),
    ("pkt", {"reduction": "row"}),
    ("ft", {"norm": "places"}),
    ("ofd", {"reduction": "sum"}),
    ("unikd", {"logits": 0.0}),
    ("mgd", {"hides": "places", "share": 0.5}),
    ("tfkd_reg", {"form": "repo"}),
    ("ls_kd", {"spread": "paper"}),
    ("fsp", {"pooling": "max"}),
    ("cc", {"variant": "pairs"}),
    ("cc", {"order": 5}),
    ("hsu_feat_g", {"scale": "fisher"}),
    ("hsu_logit_g", {"scale": "fisher"}),
]


def check_on_weights(student: Live, reported: Callable[[Live], torch.Tensor]) -> None:
    """The loss's gradient on the network's own weights, through the slopes that it took."""
    network, images = student.network, student.inputs
    assert network is not None
    assert images is not None
    names = [name for name, _ in network.named_parameters()]

    def of_weights(*weights: torch.Tensor) -> torch.Tensor:
        class Held(nn.Module):
            def forward(self, images: torch.Tensor) -> torch.Tensor:
                return reported(live(network, images, teaching=False))

        held = Held()
        held.network = network
        named = {f"network.{name}": weight for name, weight in zip(names, weights, strict=True)}
        return torch.func.functional_call(held, named, (images.detach(),))

    weights = [parameter.detach().clone().requires_grad_() for parameter in network.parameters()]
    assert torch.autograd.gradcheck(of_weights, weights, fast_mode=True)


@pytest.mark.parametrize(("key", "settings"), VARIANTS)
def test_gradients_are_slopes(key, settings):
    student, teacher, batch = both(key, 3, dtype=torch.float64)
    method = made(key, student, teacher, **settings)
    read = METHODS[key].reads
    if isinstance(student, Live):
        check_on_weights(student, lambda seen: loss(method(seen, teacher, batch)))
        return
    leaves = {
        "logits": [student.logits] if "logits" in read else [],
        "maps": list(student.maps) if "maps" in read else [],
        "preacts": list(student.preacts) if "preacts" in read else [],
        "embedding": [student.embedding] if "embedding" in read else [],
        "parameters": list(student.parameters.values()) if "parameters" in read else [],
    }
    flat = [tensor.abs().clone().add_(0.1).requires_grad_() for part in leaves.values() for tensor in part]

    def reported(*tensors: torch.Tensor) -> torch.Tensor:
        rest = iter(tensors)
        seen = replace(
            student,
            logits=next(rest) if leaves["logits"] else student.logits,
            maps=tuple(next(rest) for _ in leaves["maps"]) or student.maps,
            preacts=tuple(next(rest) for _ in leaves["preacts"]) or student.preacts,
            embedding=next(rest) if leaves["embedding"] else student.embedding,
            parameters={name: next(rest) for name in student.parameters} if leaves["parameters"] else {},
        )
        return loss(method(seen, teacher, batch))

    assert torch.autograd.gradcheck(reported, flat, fast_mode=True)
