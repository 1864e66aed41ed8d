"""Forms of methods that compare how pictures relate to one another."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from kdcore.form import Compared, Form, huber, length_one, one

if TYPE_CHECKING:
    from torch import Tensor


def _apart(c: Compared) -> Tensor:
    return c.student[0].new_ones(len(c.student[0])).diag()


def _distances(vectors: Tensor, diagonal: Tensor) -> Tensor:
    """Distances over their mean, (N, D) -> (N, N)."""
    squares = (vectors.unsqueeze(0) - vectors.unsqueeze(1)).square().sum(2)
    lengths = squares.clamp(min=1e-12).sqrt() * (1.0 - diagonal)
    return lengths * (lengths > 0).sum().clamp(min=1) / lengths.sum().clamp(min=1e-12)


def _angles(vectors: Tensor) -> Tensor:
    """Cosines at each picture, (N, D) -> (N, N, N)."""
    directions = length_one(vectors.unsqueeze(0) - vectors.unsqueeze(1))
    return directions @ directions.transpose(1, 2)


def _geometry(c: Compared, distance: float, angle: float, *, unit: bool = False) -> Tensor:
    ours, theirs = (length_one(side) if unit else side for side in (c.student[0], c.teacher[0]))
    apart = huber(_distances(ours, _apart(c)) - _distances(theirs, _apart(c))).mean()
    if angle == 0.0:
        return distance * apart
    return distance * apart + angle * huber(_angles(ours) - _angles(theirs)).mean()


def _twentyfifth(c: Compared) -> float | None:
    return 1.0 / c.knobs["distance"] if c.knobs["angle"] == 2.0 * c.knobs["distance"] else None


RKD = (
    Form(
        "25 of distances, 50 of angles", "RepDistiller, mdistiller (weight 1)",
        r"25 \, \overline{\ell(d^S_{ij} - d^T_{ij})} + 50 \, \overline{\ell(\cos^S_{ijk} - \cos^T_{ijk})}",
        lambda c: _geometry(c, c.knobs["distance"], c.knobs["angle"]), "ours", "× 1", one, 1.0,
        note="The factors are the run's own where it set others.",
    ),
    Form(
        "1 of distances, 2 of angles", "Park et al. 2019, authors' code for metric learning",
        r"\overline{\ell(d^S_{ij} - d^T_{ij})} + 2 \, \overline{\ell(\cos^S_{ijk} - \cos^T_{ijk})}",
        lambda c: _geometry(c, 1.0, 2.0), "factor", "÷ 25", _twentyfifth, 1.0,
        settings={"distance": 1.0, "angle": 2.0},
    ),
    Form(
        "Half and half", "KD_Lib",
        r"0.5 \, \overline{\ell(d^S_{ij} - d^T_{ij})} + 0.5 \, \overline{\ell(\cos^S_{ijk} - \cos^T_{ijk})}",
        lambda c: _geometry(c, 0.5, 0.5), "another", "another function", settings={"distance": 0.5, "angle": 0.5},
        note="The same two parts in another mixture.",
    ),
    Form(
        "Embeddings at length one first", "mmrazor's default",
        r"25 \, \overline{\ell(\hat d^S_{ij} - \hat d^T_{ij})} + 50 \, "
        r"\overline{\ell(\cos \hat{}^S_{ijk} - \cos \hat{}^T_{ijk})}",
        lambda c: _geometry(c, c.knobs["distance"], c.knobs["angle"], unit=True), "another", "another function",
    ),
)  # fmt: skip


def _likeness(ours: Tensor, theirs: Tensor) -> Tensor:
    a, b = (length_one(side.flatten(1) @ side.flatten(1).T) for side in (ours, theirs))
    return (a - b).square().sum() / len(ours) ** 2


def _stages(c: Compared) -> Tensor:
    layers = [_likeness(ours, theirs) for ours, theirs in zip(c.student[:-1], c.teacher[:-1], strict=True)]
    return sum(layers[1:], layers[0]) / len(layers)


SP = (
    Form(
        "Last layer, divided by N²", "Tung and Mori 2019; RepDistiller, mdistiller (weight 3000)",
        r"\frac{1}{N^2} \left\Vert \tilde G_S - \tilde G_T \right\Vert_F^2",
        lambda c: _likeness(c.student[-1], c.teacher[-1]), "ours", "× 1", one, 3000.0,
    ),
    Form(
        "Mean over the stages", "KD-Zoo (weight 3000)",
        r"\frac{1}{L} \sum_l \frac{1}{N^2} \left\Vert \tilde G_S^l - \tilde G_T^l \right\Vert_F^2",
        _stages, "another", "another function", weight=3000.0,
        note="Other layers learn too, and each gets its share of the weight.",
    ),
)  # fmt: skip


def _neighbours(c: Compared, *, diagonal: bool = True) -> Tensor:
    """Summands of the divergence, (N, N)."""
    keep = 1.0 if diagonal else 1.0 - _apart(c)
    rows = []
    for side in (c.student[0], c.teacher[0]):
        unit = side / (side.square().sum(1, keepdim=True).clamp(min=1e-24).sqrt() + 1e-7)
        alike = (unit @ unit.T + 1.0) / 2.0 * keep
        rows.append(alike / alike.sum(1, keepdim=True).clamp(min=1e-12))
    return rows[1] * ((rows[1] + 1e-7) / (rows[0] + 1e-7)).log()


PKT = (
    Form(
        "Mean over all pairs", "Passalis and Tefas, authors' code; RepDistiller, mdistiller (30000), KD-Zoo (10000)",
        r"\frac{1}{N^2} \sum_{ij} q^T_{ij} \log \frac{q^T_{ij}}{q^S_{ij}}",
        lambda c: _neighbours(c).mean(), "ours", "× 1", one, 30000.0,
    ),
    Form(
        "Divergence of each picture's row", "the divergence by its definition, mean over pictures",
        r"\frac{1}{N} \sum_i \sum_j q^T_{ij} \log \frac{q^T_{ij}}{q^S_{ij}}",
        lambda c: _neighbours(c).sum(1).mean(), "factor", "× N", lambda c: float(len(c.student[0])),
        settings={"reduction": "row"}, note="Does not shrink with the batch.",
    ),
    Form(
        "Without the diagonal", "Passalis and Tefas 2018, the paper's formula",
        r"\frac{1}{N^2} \sum_{i \neq j} q^T_{ij} \log \frac{q^T_{ij}}{q^S_{ij}}, \quad q_{ii} = 0",
        lambda c: _neighbours(c, diagonal=False).mean(), "another", "another function",
        note="In small batches a picture's likeness to itself is a large part of its row.",
    ),
)  # fmt: skip


def _kernel(c: Compared, distance: Callable[[Tensor], Tensor]) -> Tensor:
    gamma, sides = c.knobs["gamma"], []
    for side in (c.student[0], c.teacher[0]):
        unit = length_one(side)
        cosines, power = unit @ unit.T, c.knobs["order"]
        terms = [(2 * gamma) ** p / math.factorial(p) * cosines.pow(p) for p in range(1, power + 1)]
        sides.append(math.exp(-2 * gamma) * (1.0 + sum(terms[1:], terms[0])))
    return distance(sides[0] - sides[1])


def _pairs(c: Compared) -> Tensor:
    errors = (c.student[0] - c.teacher[0]).abs()
    return (errors[:-1] * errors[1:]).sum(1).mean()


def _bilinear(c: Compared) -> Tensor:
    return (c.student[0] @ c.student[0].T - c.teacher[0] @ c.teacher[0].T).square().mean()


def _other_width(c: Compared) -> str:
    ours, theirs = c.student[0].shape[1], c.teacher[0].shape[1]
    if ours == theirs:
        return ""
    return f"it needs embeddings of one width; here they have {ours} and {theirs} numbers, and it learns a map between"


CC = (
    Form(
        "Gaussian kernel, mean squared difference", "Peng et al. 2019; KD-Zoo (weight 100)",
        r"\frac{1}{N^2} \left\Vert K_S - K_T \right\Vert_F^2",
        lambda c: _kernel(c, lambda d: d.square().mean()), "ours", "× 1", one, 100.0,
    ),
    Form(
        "Norm, not its square", "torchdistill's CCKDLoss",
        r"\frac{1}{N^2} \left\Vert K_S - K_T \right\Vert_F",
        lambda c: _kernel(c, lambda d: d.square().sum().clamp(min=1e-24).sqrt() / len(d) ** 2),
        "another", "another function",
        note="Its gradient has our direction, but a length that does not fall as the student gets near.",
    ),
    Form(
        "Bilinear kernel", "Peng et al. 2019",
        r"\frac{1}{N^2} \left\Vert F_S F_S^\top - F_T F_T^\top \right\Vert_F^2",
        _bilinear, "another", "another function", note="Grows with the fourth power of the features.",
    ),
    Form(
        "Products of neighbours' errors", "RepDistiller, from the authors (weight 0.02)",
        r"\frac{1}{N-1} \sum_n \sum_d |\Delta_{n d}| \, |\Delta_{n+1, d}|",
        _pairs, "another", "another function", weight=0.02, settings={"variant": "pairs"}, refuses=_other_width,
        note="No Gram matrix at all; it depends on the order of the batch.",
    ),
)  # fmt: skip

FORMS: dict[str, tuple[Form, ...]] = {"rkd": RKD, "sp": SP, "pkt": PKT, "cc": CC}
