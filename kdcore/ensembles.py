"""What several teachers say together, and how much each of them counts. Letters: M teachers, N pictures, C classes."""

from __future__ import annotations

from typing import Literal, get_args

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.response import at_least_float, log_softened, soft_kl

By = Literal["probability", "logit", "loss", "probability, then softened"]
WAYS: tuple[str, ...] = get_args(By)


def each_kl(student: Tensor, teachers: Tensor, temperature: float) -> Tensor:
    """The distance to each teacher's softened classes, (N, C) x (M, N, C) -> (M, N), times temperature squared."""
    return torch.stack([soft_kl(student, teacher, temperature) for teacher in teachers])


def together(teachers: Tensor, temperature: float, by: str) -> Tensor:
    """Logits that soften to what the teachers say together, (M, N, C) -> (N, C).

    probability: the mean of their softened probabilities; logit: the softened mean of their logits (a geometric mean of
    probabilities); probability, then softened: the mean of their plain probabilities, softened afterwards.
    """
    if by == "logit":
        return at_least_float(teachers).mean(dim=0)
    first = temperature if by == "probability" else 1.0
    logs = F.log_softmax(at_least_float(teachers) / first, dim=2)
    return first * (logs.logsumexp(dim=0) - float(numpy.log(len(teachers))))


def average_kl(student: Tensor, teachers: Tensor, temperature: float, by: str) -> Tensor:
    """Soft targets of several teachers, (N, C) x (M, N, C) -> (N,): their average, or the mean distance.

    By probability and by loss have the same gradient: they differ by what the teachers differ among themselves.
    """
    if by == "loss":
        return each_kl(student, teachers, temperature).mean(dim=0)
    return soft_kl(student, together(teachers, temperature, by), temperature)


def certainty_weights(teachers: Tensor) -> Tensor:
    """Less for whoever is in doubt: 1 - H(p_m) / sum of H, (M, N, C) -> (M, N). The sum over teachers is M - 1.

    Where none is in any doubt, all have the same weight.
    """
    logs = F.log_softmax(at_least_float(teachers), dim=2)
    doubt = -(logs.exp() * logs).sum(dim=2)
    summed = doubt.sum(dim=0, keepdim=True)
    shares = torch.where(summed > 0, doubt / summed.clamp(min=1e-12), torch.full_like(doubt, 1.0 / len(teachers)))
    return 1.0 - shares


def confidence_weights(teachers: Tensor, labels: Tensor) -> Tensor:
    """Less for whoever finds the label unlikely, (M, N, C) x (N,) -> (M, N), the sum over teachers being 1.

    (1 - softmax over teachers of their cross-entropies) / (M - 1); all alike where the label is withheld (-1).
    """
    known = labels >= 0
    logs = F.log_softmax(at_least_float(teachers), dim=2)
    said = labels.clamp(min=0).expand(len(teachers), -1)
    surprise = -logs.gather(2, said[:, :, None]).squeeze(2)
    weights = (1.0 - surprise.softmax(dim=0)) / (len(teachers) - 1)
    return torch.where(known, weights, torch.full_like(weights, 1.0 / len(teachers)))


def slopes(student: Tensor, teachers: Tensor, temperature: float) -> Tensor:
    """Where each teacher pulls the student's logits, (N, C) x (M, N, C) -> (M, N, C): p_S - p_m, both softened."""
    ours = log_softened(student, temperature).exp()
    return torch.stack([ours - log_softened(teacher, temperature).exp() for teacher in teachers])


def agreed_weights(pulls: Tensor, ceiling: float) -> Tensor:
    """The weights for which the pulls together are shortest, (M, …) -> (M,): nobody is served against the others.

    min |sum of w_m pull_m|^2 with sum 1 and 0 <= w_m <= ceiling: the dual of a one-class support vector machine, solved
    by scipy's SLSQP on the (M, M) products. Raises ValueError for a ceiling below 1 / M.
    """
    count = len(pulls)
    if ceiling * count < 1.0 - 1e-9:
        raise ValueError(f"ceiling={ceiling:g} with {count} teachers: their weights could not sum to 1")
    flat = pulls.detach().flatten(1).double()
    products = (flat @ flat.T).cpu().numpy()
    even = numpy.full(count, 1.0 / count)
    scale = float(numpy.trace(products)) / count
    if scale <= 0.0:
        return pulls.new_tensor(even)
    from scipy.optimize import minimize  # half a second to import, and only this needs it

    products /= scale
    found = minimize(
        lambda w: 0.5 * w @ products @ w, even, jac=lambda w: products @ w, method="SLSQP",
        bounds=[(0.0, min(1.0, ceiling))] * count,
        constraints=[{"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: numpy.ones(count)}],
        options={"ftol": 1e-12, "maxiter": 200},
    )  # fmt: skip
    weights = numpy.clip(found.x, 0.0, None)
    return pulls.new_tensor(weights / weights.sum())
