"""Forms of methods that compare slopes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.form import Compared, Form, length_one, one

if TYPE_CHECKING:
    from torch import Tensor


def _directions(c: Compared) -> Tensor:
    """Squared differences of unit slopes on the pixels, (N, pixels)."""
    ours, theirs = (length_one(side[0].flatten(1)) for side in (c.student, c.teacher))
    return (ours - theirs).square()


JACOBIAN = (
    Form(
        "Sum over pixels", "Srinivas and Fleuret 2018: two minus twice the cosine",
        r"\frac{1}{N} \sum_n \left\Vert \frac{J^S_n}{\Vert J^S_n \Vert} - \frac{J^T_n}{\Vert J^T_n \Vert} "
        r"\right\Vert_2^2",
        lambda c: _directions(c).sum(1).mean(), "ours", "× 1", one,
    ),
    Form(
        "Mean over pixels", "KD-Zoo, there called Sobolev (weight 20)",
        r"\frac{1}{N P} \sum_n \left\Vert \frac{J^S_n}{\Vert J^S_n \Vert} - \frac{J^T_n}{\Vert J^T_n \Vert} "
        r"\right\Vert_2^2",
        lambda c: _directions(c).mean(), "factor", "÷ pixels", lambda c: 1.0 / c.student[0][0].numel(), 20.0,
    ),
)  # fmt: skip


def _evidence_gap(c: Compared, *, of: int = 0) -> Tensor:
    """Absolute differences of unit evidence on the smaller plane, (N, h w); `of` 0 weighs features, 1 the slopes."""
    import torch.nn.functional as F

    plane = _plane(c)
    found = []
    for side in (c.student, c.teacher):
        weighted = (side[1].mean((2, 3), keepdim=True) * side[of]).sum(1, keepdim=True).clamp(min=0.0)
        found.append(length_one(F.adaptive_avg_pool2d(weighted, plane).flatten(1)))
    return (found[0] - found[1]).abs()


def _alike_everywhere(c: Compared) -> str:
    slopes = [side[1].detach() for side in (c.student, c.teacher)]
    spread = [float((one_side - one_side.mean((2, 3), keepdim=True)).abs().amax()) for one_side in slopes]
    sizes = [float(one_side.abs().amax()) for one_side in slopes]
    if all(apart > 1e-5 * size for apart, size in zip(spread, sizes, strict=True)):
        return ""
    return (
        "these networks average the layer before they classify, so the slopes on it are alike in all places and slopes "
        "times slopes say nothing of a place"
    )


def _plane(c: Compared) -> tuple[int, int]:
    ours, theirs = c.student[0].shape, c.teacher[0].shape
    return min(ours[2], theirs[2]), min(ours[3], theirs[3])


def _per_place(c: Compared) -> float:
    height, width = _plane(c)
    return 1.0 / (height * width)


LWM = (
    Form(
        "Sum over places", "Dhar et al. 2019",
        r"\frac{1}{N} \sum_n \left\Vert \hat Q^S_n - \hat Q^T_n \right\Vert_1, \quad "
        r"Q = \mathrm{ReLU}\left(\sum_c \overline{g_c} F_c\right)",
        lambda c: _evidence_gap(c).sum(1).mean(), "ours", "× 1", one,
    ),
    Form(
        "Mean over places", "the same with the mean of public code (KD-Zoo's reduction)",
        r"\frac{1}{N h w} \sum_n \left\Vert \hat Q^S_n - \hat Q^T_n \right\Vert_1",
        lambda c: _evidence_gap(c).mean(), "factor", "÷ h w", _per_place, 0.4,
    ),
    Form(
        "Slopes times slopes", "KD-Zoo as it runs (weight 0.4)",
        r"\frac{1}{N h w} \sum_n \left\Vert \hat Q^S_n - \hat Q^T_n \right\Vert_1, \quad "
        r"Q = \mathrm{ReLU}\left(\sum_c \overline{g_c} \, g_c\right)",
        lambda c: _evidence_gap(c, of=1).mean(), "another", "another function", weight=0.4,
        refuses=_alike_everywhere,
        note="Where the activations belong it has the slopes again: it does not see what is in the layer.",
    ),
)  # fmt: skip

FORMS: dict[str, tuple[Form, ...]] = {"jacobian_match": JACOBIAN, "lwm": LWM}
