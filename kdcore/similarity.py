"""How alike two layers' representations of the same inputs are: CKA and SVCCA. Rows are inputs, columns features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kdcore.response import at_least_float

LEAST = 4
"""Inputs that the unbiased estimate needs in a batch."""
BLOCK = 64
"""Rows of which inner products are taken together."""


def linear_cka(x: Tensor, y: Tensor) -> float:
    """Linear CKA of a full batch, (n, p) and (n, q) -> [0, 1] (Kornblith et al. 2019).

    Biased: it nears 1 as features outnumber inputs. 0 where a side is the same for all inputs. Raises ValueError where
    the numbers of rows differ.
    """
    x, y = _centred(x), _centred(y)
    _same_rows(x, y)
    if max(x.shape[1], y.shape[1]) < len(x):
        return _share((y.T @ x).square().sum(), (x.T @ x).square().sum(), (y.T @ y).square().sum())
    k, ell = x @ x.T, y @ y.T
    return _share((k * ell).sum(), k.square().sum(), ell.square().sum())


def rbf_cka(x: Tensor, y: Tensor, *, fraction: float = 1.0) -> float:
    """CKA of a full batch with Gaussian kernels, (n, p) and (n, q) -> [0, 1].

    Each side's width is `fraction` times the root of its median squared distance, as in `rbf_gram`.
    """
    _same_rows(x, y)
    k, ell = (_double_centred(rbf_gram(side, fraction=fraction)) for side in (x, y))
    return _share((k * ell).sum(), k.square().sum(), ell.square().sum())


def linear_gram(x: Tensor) -> Tensor:
    """Inner products of the centred rows, (n, p) -> (n, n) in float64."""
    x = _centred(x)
    found = torch.empty(len(x), len(x), dtype=x.dtype, device=x.device)
    for begin in range(0, len(x), BLOCK):  # what stands below the diagonal stands above it, too
        found[begin : begin + BLOCK, begin:] = x[begin : begin + BLOCK] @ x[begin:].T
        found[begin + BLOCK :, begin : begin + BLOCK] = found[begin : begin + BLOCK, begin + BLOCK :].T
    return found.double()


def rbf_gram(x: Tensor, *, fraction: float = 1.0) -> Tensor:
    """exp(-d²/2σ²) of all pairs of rows, (n, p) -> (n, n) in float64.

    σ² is fraction² times the lower median of the squared distances that are not zero.
    """
    distances = squared_distances(x)
    return _gaussian(distances, median_distance(distances) * fraction**2)


def _gaussian(distances: Tensor, squared: float) -> Tensor:
    """exp(-d²/2σ²) of squared distances, of any shape; `squared` is σ²."""
    return torch.exp(-distances / (2.0 * max(squared, 1e-300)))


def squared_distances(x: Tensor) -> Tensor:
    """Squared distances of all pairs of rows, (n, p) -> (n, n) in float64, its diagonal exactly zero."""
    products = linear_gram(x)
    lengths = products.diagonal()
    apart = (lengths.unsqueeze(0) + lengths.unsqueeze(1) - 2.0 * products).clamp(min=0.0)
    return apart * (1.0 - torch.eye(len(apart), dtype=apart.dtype, device=apart.device))


def median_distance(distances: Tensor) -> float:
    """The lower median of the distances that are not zero, 0 where all are."""
    some = distances[distances > 0]
    return float(some.median()) if len(some) else 0.0


def batch_grams(layers: Sequence[Tensor], *, kernel: str, batches: int) -> list[list[Tensor]]:
    """[batch][layer] Gram matrices of (n, p) layers, for `cka_matrix`; the inputs are shared out evenly, none is lost.

    `kernel` is "linear", or "rbf", whose width is that of all inputs, the same in every batch.
    """
    if kernel == "linear":
        made = [[linear_gram(cut) for cut in layer.tensor_split(batches)] for layer in layers]
    else:
        made = [_rbf_grams(squared_distances(layer), batches) for layer in layers]
    return [list(batch) for batch in zip(*made, strict=True)]


def _rbf_grams(distances: Tensor, batches: int) -> list[Tensor]:
    """The batches' Gaussian kernels, all of one width, from the squared distances of all inputs, (n, n)."""
    squared = median_distance(distances)
    rows = torch.arange(len(distances), device=distances.device).tensor_split(batches)
    return [_gaussian(distances[cut[0] : cut[-1] + 1, cut[0] : cut[-1] + 1], squared) for cut in rows]


def unbiased_hsic(k: Tensor, ell: Tensor) -> float:
    """HSIC₁ of two Gram matrices, (n, n) each, n >= 4 (Song et al. 2012). Raises ValueError for fewer rows.

    [tr(K̃L̃) + 1ᵀK̃1·1ᵀL̃1/((n−1)(n−2)) − 2/(n−2)·1ᵀK̃L̃1] / (n(n−3)), K̃ and L̃ with zero diagonals. It may be negative.
    """
    _same_rows(k, ell)
    n = len(k)
    return float((_u_centred(k) * _u_centred(ell)).sum() / (n * (n - 3)))


def cka_matrix(ours: Sequence[Sequence[Tensor]], theirs: Sequence[Sequence[Tensor]]) -> Tensor:
    """Unbiased minibatch CKA of every layer with every layer, (R, K) in float64 (Nguyen et al. 2021).

    `ours[batch][layer]` and `theirs[batch][layer]` are Gram matrices of the same inputs. HSIC₁ is added up over the
    batches and divided once; a mean of the batches' CKAs would be another, biased number. It may fall a little below 0.
    A layer that is the same for all inputs gets 0.
    """
    if not ours or len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} batches stand beside {len(theirs)}; they are equally many, and at least one")
    crossed = own = other = torch.zeros((), dtype=torch.float64, device=ours[0][0].device)
    for left, right in zip(ours, theirs, strict=True):
        rows = torch.stack([_u_centred(gram).flatten() for gram in left])
        columns = torch.stack([_u_centred(gram).flatten() for gram in right])
        n = len(left[0])
        crossed = crossed + rows @ columns.T / (n * (n - 3))
        own = own + rows.square().sum(dim=1) / (n * (n - 3))
        other = other + columns.square().sum(dim=1) / (n * (n - 3))
    whole = torch.sqrt(own.unsqueeze(1) * other.unsqueeze(0))
    return torch.where(whole > 0, crossed / whole.clamp(min=1e-300), torch.zeros_like(whole))


def directions(x: Tensor, *, kept: float = 0.99) -> Tensor:
    """Orthonormal directions over the inputs, fewest that hold `kept` of the variance, (n, p) -> (n, k) in float64."""
    bases, lengths, _ = torch.linalg.svd(_centred(x).double(), full_matrices=False)
    variance = lengths.square()
    if float(variance.sum()) <= 0.0:
        return bases[:, :0]
    held = variance.cumsum(0) / variance.sum()
    real = int((lengths > lengths[0] * max(x.shape) * torch.finfo(x.dtype).eps).sum())
    return bases[:, : min(real, int((held < kept - 1e-12).sum()) + 1)]


def mean_correlation(ours: Tensor, theirs: Tensor) -> float:
    """Mean canonical correlation of two orthonormal bases, (n, k) and (n, k') -> [0, 1]; 0 where one is empty."""
    _same_rows(ours, theirs)
    if min(ours.shape[1], theirs.shape[1]) == 0:
        return 0.0
    return float(torch.linalg.svdvals(ours.T @ theirs).clamp(0.0, 1.0).mean())


def svcca(x: Tensor, y: Tensor, *, kept: float = 0.99) -> float:
    """SVCCA, (n, p) and (n, q) -> [0, 1] (Raghu et al. 2017): the mean canonical correlation of what an SVD keeps.

    It nears 1 as directions outnumber inputs: 5 to 10 inputs for each direction are wanted.
    """
    return mean_correlation(directions(x, kept=kept), directions(y, kept=kept))


def _centred(x: Tensor) -> Tensor:
    if x.ndim != 2:
        raise ValueError(f"{tuple(x.shape)}: rows of features are wanted, (inputs, features)")
    x = at_least_float(x)
    return x - x.mean(dim=0)


def _double_centred(gram: Tensor) -> Tensor:
    return gram - gram.mean(dim=0) - gram.mean(dim=1, keepdim=True) + gram.mean()


def _u_centred(gram: Tensor) -> Tensor:
    """The Gram matrix whose inner product with another such is n(n−3)·HSIC₁; in float64."""
    n = len(gram)
    if n < LEAST:
        raise ValueError(f"{n} inputs are too few for the unbiased estimate; {LEAST} or more are needed")
    gram = gram.double()
    rest = 1.0 - torch.eye(n, dtype=gram.dtype, device=gram.device)
    gram = gram * rest
    sums = gram.sum(dim=0) / (n - 2)
    return (gram - sums.unsqueeze(0) - sums.unsqueeze(1) + gram.sum() / ((n - 1) * (n - 2))) * rest


def _share(crossed: Tensor, own: Tensor, other: Tensor) -> float:
    whole = float(own.double() * other.double()) ** 0.5
    return float(crossed) / whole if whole > 0 else 0.0


def _same_rows(x: Tensor, y: Tensor) -> None:
    if len(x) != len(y):
        raise ValueError(f"{len(x)} rows stand beside {len(y)}; both sides see the same inputs")
