"""Attacks on a classifier: pictures changed by so little that a person would not mind, so that it errs.

All steps are taken on the cross-entropy with the true class. `temperature` divides the logits first: an attacker who
knows that a network answers too surely for float32 does so, and finds the slope again.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.data import Data
from kdcore.looking import frozen
from kdcore.network import Network

Attack = Callable[[Network, Tensor, Tensor, float], Tensor]
"""(network, (N, *shape) images, (N,) truth, epsilon) -> changed images."""


class Attacker:
    """Attacks within epsilon of each input number, in units of a pixel's range [0, 1] (of a point's coordinates)."""

    def __init__(self, data: Data, steps: int = 10) -> None:
        self.mean, self.std, self.steps = data.mean, data.std, steps
        self.bounded = data.images_of_plane
        """Pixels stay within [0, 1]; points may go anywhere."""

    def fgsm(self, network: Network, images: Tensor, truth: Tensor, epsilon: float, temperature: float = 1.0) -> Tensor:
        """One step of length epsilon along the slope's signs (Goodfellow et al., 2015)."""
        return self._within(images, images + self._step(epsilon) * self._signs(network, images, truth, temperature),
                            epsilon)  # fmt: skip

    def pgd(self, network: Network, images: Tensor, truth: Tensor, epsilon: float, temperature: float = 1.0) -> Tensor:
        """Several steps of 2.5 epsilon / steps, each brought back within epsilon (Madry et al., 2018), from the input.

        No random start: the same network and pictures give the same attack.
        """
        found = images
        for _ in range(self.steps if epsilon > 0 else 0):
            signs = self._signs(network, found, truth, temperature)
            found = self._within(images, found + self._step(2.5 * epsilon / self.steps) * signs, epsilon)
        return found

    def _step(self, epsilon: float) -> Tensor:
        return epsilon / self.std

    def _signs(self, network: Network, images: Tensor, truth: Tensor, temperature: float) -> Tensor:
        moved = images.detach().clone().requires_grad_()
        with torch.enable_grad(), frozen(network):
            loss = F.cross_entropy(network(moved).float() / temperature, truth, reduction="sum")
            slope = torch.autograd.grad(loss, moved)[0]
        return slope.sign()

    def _within(self, images: Tensor, moved: Tensor, epsilon: float) -> Tensor:
        reach = self._step(epsilon)
        kept = torch.minimum(torch.maximum(moved, images - reach), images + reach)
        if not self.bounded:
            return kept
        return torch.minimum(torch.maximum(kept, -self.mean / self.std), (1.0 - self.mean) / self.std)


def accuracy(network: Network, images: Tensor, truth: Tensor) -> float:
    """Share of the pictures whose class it says."""
    with torch.no_grad():
        return float((network(images).argmax(dim=1) == truth).float().mean())
