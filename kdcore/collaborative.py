"""Ensembles made of what peers say and of labels (Guo et al. 2020). Letters: M peers, N images, C classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def lowest_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Each picture's peer with the lowest cross-entropy, (M, N, C) and (N,) labels >= 0 -> (N,) numbers of peers."""
    losses = torch.stack([F.cross_entropy(one, labels, reduction="none") for one in logits])
    return losses.argmin(dim=0)


def naive(logits: Tensor, labels: Tensor) -> Tensor:
    """Of each picture the logits of the peer with the lowest cross-entropy, (M, N, C) -> (N, C).

    Where the label is withheld (-1), the mean of the peers' logits.
    """
    best = lowest_loss(logits, labels.clamp(min=0))
    chosen = logits[best, torch.arange(logits.shape[1], device=logits.device)]
    return torch.where((labels >= 0)[:, None], chosen, logits.mean(dim=0))


def lowest_logits(logits: Tensor, labels: Tensor) -> Tensor:
    """Each peer's logits minus that of the true class, then the least over peers, (M, N, C) -> (N, C).

    The true class stands at 0 and every other as low as any peer has it. Without a label, the mean of the logits.
    """
    places = labels.clamp(min=0)[None, :, None].expand(len(logits), -1, 1)
    least = (logits - logits.gather(2, places)).amin(dim=0)
    return torch.where((labels >= 0)[:, None], least, logits.mean(dim=0))


def linear_weights(logits: Tensor, labels: Tensor, *, steps: int = 60) -> Tensor:
    """(M,) weights >= 0 with sum 1 whose weighted sum of logits has the least mean cross-entropy on these pictures.

    A convex problem, solved by exponentiated gradient from even weights; pictures without a label do not count, and
    without any the weights stay even.
    """
    known = labels >= 0
    weights = logits.new_full((len(logits),), 1 / len(logits))
    if not bool(known.any()):
        return weights
    logits, labels = logits[:, known], labels[known]
    truth = F.one_hot(labels, logits.shape[2]).to(logits.dtype)
    rate = 8.0 / (logits.max() - logits.min()).clamp(min=1.0)
    for _ in range(steps):
        missing = F.softmax(torch.einsum("m,mnc->nc", weights, logits), dim=1) - truth
        slopes = (missing[None] * logits).sum(dim=2).mean(dim=1)
        weights = F.softmax(weights.clamp(min=1e-12).log() - rate * slopes, dim=0)
    return weights


def general_weights(probabilities: Tensor, truth: Tensor) -> Tensor:
    """(M,) weights >= 0 with sum 1 whose weighted sum errs least, from (M, N, C) probabilities on held-out pictures.

    Proportional to the inverse of the peers' error correlation times ones. A peer whose weight would be negative is
    left out and the others are solved again: peers that err alike would else be set against each other with weights of
    any size. A thousandth of the mean squared error on the diagonal lets equal peers share their weight.
    """
    errors = (probabilities - F.one_hot(truth, probabilities.shape[2])).flatten(1).double()
    correlation = errors @ errors.T / truth.numel()
    correlation = correlation + 1e-3 * correlation.diagonal().mean().clamp(min=1e-9) * torch.eye(len(errors)).to(errors)
    weights = correlation.new_zeros(len(errors))
    heard = list(range(len(errors)))
    while True:
        solved = torch.linalg.solve(correlation[heard][:, heard], correlation.new_ones(len(heard)))
        if bool((solved >= 0).all()):
            weights[heard] = solved / solved.sum()
            return weights.to(probabilities.dtype)
        heard = [peer for peer, value in zip(heard, solved.tolist(), strict=True) if value > 0]
