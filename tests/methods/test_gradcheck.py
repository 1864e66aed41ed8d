"""The gradient that training follows is the slope of the number that it reports."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from .fixture import METHODS, both, loss, made

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
]


@pytest.mark.parametrize(("key", "settings"), VARIANTS)
def test_gradients_are_slopes(key, settings):
    student, teacher, batch = both(key, 3, dtype=torch.float64)
    method = made(key, student, teacher, **settings)
    read = METHODS[key].reads
    leaves = {
        "logits": [student.logits] if "logits" in read else [],
        "maps": list(student.maps) if "maps" in read else [],
        "preacts": list(student.preacts) if "preacts" in read else [],
        "embedding": [student.embedding] if "embedding" in read else [],
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
        )
        return loss(method(seen, teacher, batch))

    assert torch.autograd.gradcheck(reported, flat, fast_mode=True)
