"""Forms of methods that compare products and distances: flows, channels, instance graphs, neighbourhoods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from kdcore.form import Compared, Form, length_one, one

if TYPE_CHECKING:
    from torch import Tensor


def _flows(layers: Sequence[Tensor], pooling: str) -> list[Tensor]:
    """From each layer to the next, (N, c, c')."""
    import torch.nn.functional as F

    pool = F.adaptive_avg_pool2d if pooling == "average" else F.adaptive_max_pool2d
    found = []
    for shallow, deep in pairwise(layers):
        plane = [min(shallow.shape[dim], deep.shape[dim]) for dim in (2, 3)]
        a, b = (pool(side, plane).flatten(2) for side in (shallow, deep))  # type: ignore[arg-type]
        found.append(a @ b.transpose(1, 2) / a.shape[2])
    return found


def _flow_loss(c: Compared, pooling: str, measure: Callable[[Tensor], Tensor]) -> Tensor:
    ours, theirs = _flows(c.student, pooling), _flows(c.teacher, pooling)
    parts = [measure(a - b) for a, b in zip(ours, theirs, strict=True)]
    return sum(parts[1:], parts[0])


def _column_norms(gaps: Tensor) -> Tensor:
    squares = gaps.square().sum(1)
    return (squares.clamp(min=1e-24).sqrt() * (squares > 1e-24)).sum() / len(gaps)


FSP = (
    Form(
        "Average pooling, mean over entries", "RepDistiller, KD-Zoo (weight 1 beside cross-entropy)",
        r"\sum_l \frac{1}{N c_l c_{l+1}} \sum_n \left\Vert M^S_{l,n} - M^T_{l,n} \right\Vert_F^2",
        lambda c: _flow_loss(c, "average", lambda gap: gap.square().mean()), "ours", "× 1", one, 1.0,
        note="RepDistiller trains by it alone before the task, and not at all afterwards.",
    ),
    Form(
        "Maximum pooling", "Yim et al. 2017, the paper's way to make planes equal",
        r"\sum_l \frac{1}{N c_l c_{l+1}} \sum_n \left\Vert M^S_{l,n} - M^T_{l,n} \right\Vert_F^2, \; "
        r"\text{max-pooled}",
        lambda c: _flow_loss(c, "max", lambda gap: gap.square().mean()), "another", "another function",
        settings={"pooling": "max"},
    ),
    Form(
        "Maximum pooling, norms of columns", "torchdistill's FSPLoss",
        r"\frac{1}{N} \sum_l \sum_n \sum_j \left\Vert (M^S_{l,n} - M^T_{l,n})_{\cdot j} \right\Vert_2",
        lambda c: _flow_loss(c, "max", _column_norms), "another", "another function",
        note="Norms, not their squares: its pull does not fall as the student gets near.",
    ),
)  # fmt: skip


def _channels(c: Compared) -> Tensor:
    """Sum of squared differences over the channels, (N,)."""
    gap = c.student[0] - c.teacher[0]
    return gap.square().sum((1, 2)) / gap.shape[1]


ICKD = (
    Form(
        "Sum over pairs, divided by the channels", "Liu et al. 2021, authors' code (weight 2.5)",
        r"\frac{1}{N c} \sum_n \left\Vert \tilde G^S_n - \tilde G^T_n \right\Vert_F^2",
        lambda c: _channels(c).mean(), "ours", "× 1", one, 2.5,
    ),
    Form(
        "Divided by the batch once more", "torchdistill's ChSimLoss",
        r"\frac{1}{N^2 c} \sum_n \left\Vert \tilde G^S_n - \tilde G^T_n \right\Vert_F^2",
        lambda c: _channels(c).mean() / len(c.student[0]), "factor", "÷ N", lambda c: 1.0 / len(c.student[0]),
        note="Shrinks with the batch.",
    ),
)  # fmt: skip


def _apart(layer: Tensor) -> Tensor:
    """Squared distances in units of the largest, (N, N)."""
    rows = layer.flatten(1)
    squares = (rows.unsqueeze(0) - rows.unsqueeze(1)).square().sum(2)
    return squares / squares.amax().clamp(min=1e-24)


def _graph(c: Compared, factors: tuple[float, float, float], *, whole: bool) -> Tensor:
    vertex, edge, change = factors
    ours, theirs = ([_apart(layer) for layer in side[1:]] for side in (c.student, c.teacher))
    total = vertex * (c.student[0] - c.teacher[0]).square().mean()
    pairs = list(zip(ours, theirs, strict=True))
    gaps = [(a - b).square().mean() for a, b in (pairs[-1:] if whole else pairs)]
    total = total + edge * sum(gaps[1:], gaps[0]) / len(gaps)
    steps = []
    for (a, b), (c1, d) in list(pairwise(pairs))[:: 2 if whole else 1]:
        moved = [(one_layer - other).square() for one_layer, other in ((a, c1), (b, d))]
        told = [size.mean() if whole else size.mean(1) for size in moved]
        steps.append((told[0] - told[1]).square().mean())
    if not steps:
        return total
    return total + change * sum(steps[1:], steps[0]) / (1 if whole else len(steps))


IRG = (
    Form(
        "Change image by image, factors 0.1, 5 and 5", "KD-Zoo's factors (weight 1), its vertices the logits",
        r"\lambda_V V + \frac{\lambda_E}{L} \sum_l E_l + \frac{\lambda_C}{(L-1) N} \sum_{l,i} "
        r"\left(\Delta^S_{li} - \Delta^T_{li}\right)^2",
        lambda c: _graph(c, (c.knobs["vertex"], c.knobs["edge"], c.knobs["transformation"]), whole=False),
        "ours", "× 1", one, 1.0,
    ),
    Form(
        "Change of the whole batch, factors 1", "SemCKD's port of the authors' code (weight 0.005)",
        r"V + E_L + \sum_{l = 1, 3, \dots} \left(\overline{\Delta^S_l} - \overline{\Delta^T_l}\right)^2",
        lambda c: _graph(c, (1.0, 1.0, 1.0), whole=True), "another", "another function", weight=0.005,
        note="Edges of the last layer alone, every second change, and each change one number for the batch. "
        "Vertices are taken to be the logits here, as in ours.",
    ),
)  # fmt: skip


def _neighbourhoods(layer: Tensor) -> list[Tensor]:
    rows = layer.flatten(1)
    unit = length_one(rows)
    squares = (rows.unsqueeze(0) - rows.unsqueeze(1)).square().sum(2)
    far = squares.clamp(min=1e-24).sqrt() * (squares > 1e-24)
    alike = [((unit @ unit.T + 1.0) / 2.0).clamp(min=1e-6), 1.0 / (1.0 + far)]
    return [kernel / kernel.sum(1, keepdim=True) for kernel in alike]


def _information(c: Compared, factors: list[float]) -> Tensor:
    parts = []
    for factor, ours, theirs in zip(factors, c.student, c.teacher, strict=True):
        kernels = zip(_neighbourhoods(ours), _neighbourhoods(theirs), strict=True)
        layer = [((t - s) * (t.log() - s.log())).mean() for s, t in kernels]
        parts.append(factor * (layer[0] + layer[1]))
    return sum(parts[1:], parts[0])


HKD = (
    Form(
        "Early layers at their first factor, the last at 1", "Passalis et al. 2020, authors' code (pkth), at the start",
        r"\sum_{l<L} \alpha_0 J_l + J_L",
        lambda c: _information(c, [c.knobs["initial"]] * (len(c.student) - 1) + [1.0]), "ours", "× 1", one,
        note="The authors start from 100; here from 10, times the method's weight. The factor falls as training goes.",
    ),
    Form(
        "100 on the first layer alone", "SemCKD's port (weight 1): the decay is computed and not used",
        r"100 \, J_1 + \sum_{l>1} J_l",
        lambda c: _information(c, [100.0] + [1.0] * (len(c.student) - 1)), "another", "another function", weight=1.0,
        note="And it stays so to the end of training.",
    ),
)  # fmt: skip

FORMS: dict[str, tuple[Form, ...]] = {"fsp": FSP, "ickd": ICKD, "irg": IRG, "hkd": HKD}
