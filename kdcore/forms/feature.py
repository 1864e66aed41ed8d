"""Forms of methods that compare feature maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kdcore.form import Compared, Form, length_one, one

if TYPE_CHECKING:
    from torch import Tensor


def _over_layers(c: Compared, measure: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Sum over layers of a number per layer, ()."""
    layers = [measure(ours, theirs) for ours, theirs in zip(c.student, c.teacher, strict=True)]
    return sum(layers[1:], layers[0])


def _same_size(c: Compared, size: Callable[[Tensor], float]) -> float | None:
    """A size that all layers share, or None."""
    sizes = {size(layer) for layer in c.teacher}
    return sizes.pop() if len(sizes) == 1 else None


def _elements(layer: Tensor) -> float:
    return float(layer[0].numel())


def _attention(c: Compared, distance: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    power = c.knobs["power"]
    return _over_layers(
        c,
        lambda ours, theirs: distance(
            *(length_one(side.abs().pow(power).mean(1).flatten(1)) for side in (ours, theirs))
        ),
    )


def _norms(ours: Tensor, theirs: Tensor) -> Tensor:
    """Lengths of the differences along the last dimension, with gradient 0 where they are equal."""
    squares = (ours - theirs).square().sum(-1)
    return squares.clamp(min=1e-24).sqrt() * (squares > 1e-24)


def _without_channel_mean(c: Compared) -> Tensor:
    power = c.knobs["power"]

    def measure(ours: Tensor, theirs: Tensor) -> Tensor:
        a, b = (length_one(side.abs().pow(power).flatten(1)) for side in (ours, theirs))
        return (a - b).square().mean()

    return _over_layers(c, measure)


def _other_channels(c: Compared) -> str:
    wrong = [(a.shape[1], b.shape[1]) for a, b in zip(c.student, c.teacher, strict=True) if a.shape != b.shape]
    if not wrong:
        return ""
    return f"it needs equal channels on both sides; here a layer has {wrong[0][0]} and its partner {wrong[0][1]}"


AT = (
    Form(
        "Mean squared difference of unit maps", "authors' code, RepDistiller, mdistiller, torchdistill's mode 'code'",
        r"\sum_l \frac{1}{N h w} \sum_n \left\Vert Q^S_n - Q^T_n \right\Vert_2^2",
        lambda c: _attention(c, lambda a, b: (a - b).square().mean()), "ours", "× 1", one, 1000.0,
    ),
    Form(
        "The norm itself", "Zagoruyko and Komodakis 2017 (there times β/2); torchdistill's mode 'paper'",
        r"\sum_l \frac{1}{N} \sum_n \left\Vert Q^S_n - Q^T_n \right\Vert_2",
        lambda c: _attention(c, lambda a, b: _norms(a, b).mean()), "another", "another function",
        weight=500.0, settings={"form": "paper"},
        note="A norm pulls as hard from near as from far; its square lets go. β = 1000 was tuned for the square.",
    ),
    Form(
        "Without the mean over channels", "KD_Lib",
        r"\sum_l \frac{1}{N c h w} \sum_n \left\Vert \frac{|F^S_n|^p}{\Vert \cdot \Vert} "
        r"- \frac{|F^T_n|^p}{\Vert \cdot \Vert} \right\Vert_2^2",
        _without_channel_mean, "another", "another function", refuses=_other_channels,
        note="Compares channel with channel, which attention transfer set out to avoid.",
    ),
)  # fmt: skip


def _kernels(c: Compared, kernel: Callable[[Tensor, Tensor], Tensor], *, constant: bool = True) -> Tensor:
    """Maximum mean discrepancy of two sets of unit patterns, summed over layers, ()."""

    def measure(ours: Tensor, theirs: Tensor) -> Tensor:
        s, t = length_one(ours.flatten(2)), length_one(theirs.flatten(2))
        found = kernel(s, s).mean() - 2.0 * kernel(s, t).mean()
        return found + kernel(t, t).mean() if constant else found

    return _over_layers(c, measure)


def _products(x: Tensor, y: Tensor) -> Tensor:
    return x @ y.transpose(1, 2)


def _gaussian(c: Compared) -> Tensor:
    def apart(x: Tensor, y: Tensor) -> Tensor:
        own = x.square().sum(2).unsqueeze(2) + y.square().sum(2).unsqueeze(1)
        return (own - 2.0 * _products(x, y)).clamp(min=0.0)

    def measure(ours: Tensor, theirs: Tensor) -> Tensor:
        s, t = length_one(ours.flatten(2)), length_one(theirs.flatten(2))
        spread = 2.0 * apart(s, t).mean().clamp(min=1e-12)
        inside = (-apart(s, s) / spread).exp().mean() + (-apart(t, t) / spread).exp().mean()
        return inside - 2.0 * (-apart(s, t) / spread).exp().mean()

    return _over_layers(c, measure)


NST = (
    Form(
        "Squared inner products", "RepDistiller, mdistiller (weight 50)",
        r"\sum_l \overline{(t_j^\top t_{j'})^2} + \overline{(s_i^\top s_{i'})^2} - 2 \, \overline{(s_i^\top t_j)^2}",
        lambda c: _kernels(c, lambda x, y: _products(x, y).square()), "ours", "× 1", one, 50.0,
    ),
    Form(
        "Without the teacher's own term", "authors' code (TuSimple, MXNet)",
        r"\sum_l \overline{(s_i^\top s_{i'})^2} - 2 \, \overline{(s_i^\top t_j)^2}",
        lambda c: _kernels(c, lambda x, y: _products(x, y).square(), constant=False),
        "shifted", "× 1, value lower by the teacher's term", one, 50.0,
    ),
    Form(
        "Inner products", "Huang and Wang 2017, linear kernel",
        r"\sum_l \left\Vert \tfrac{1}{c_S} \textstyle\sum_i s_i - \tfrac{1}{c_T} \sum_j t_j \right\Vert_2^2",
        lambda c: _kernels(c, _products), "another", "another function", weight=50.0, settings={"kernel": "linear"},
        note="Only the mean pattern counts.",
    ),
    Form(
        "Gaussian kernel", "Huang and Wang 2017, σ² the mean squared distance of the two sets",
        r"\sum_l \overline{k(t, t')} + \overline{k(s, s')} - 2 \, \overline{k(s, t)}, \quad "
        r"k = e^{-\Vert x - y \Vert^2 / 2\sigma^2}",
        _gaussian, "another", "another function", weight=100.0, settings={"kernel": "gaussian"},
    ),
)  # fmt: skip

FITNET = (
    Form(
        "Mean over all elements", "RepDistiller, mdistiller (weight 100)",
        r"\frac{1}{N c h w} \sum_n \left\Vert r(F^S_n) - F^T_n \right\Vert_2^2",
        lambda c: (c.student[0] - c.teacher[0]).square().mean(), "ours", "× 1", one, 100.0,
        note="RepDistiller's regressor ends in batch norm and ReLU; here all forms get this lab's connector.",
    ),
    Form(
        "Half the sum over elements", "Romero et al. 2015, paper and authors' code",
        r"\frac{1}{2N} \sum_n \left\Vert r(F^S_n) - F^T_n \right\Vert_2^2",
        lambda c: 0.5 * (c.student[0] - c.teacher[0]).square().flatten(1).sum(1).mean(),
        "factor", "× c h w / 2", lambda c: _elements(c.teacher[0]) / 2,
        note="There the first of two stages, without cross-entropy.",
    ),
)  # fmt: skip


def _boundaries(c: Compared, margin: float, *, summed: bool) -> Tensor:
    total = None
    for above, (s, t) in enumerate(zip(reversed(c.student), reversed(c.teacher), strict=True)):
        off = (s + margin).square() * ((t <= 0) & (s > -margin))
        on = (s - margin).square() * ((t > 0) & (s <= margin))
        errors = (off + on).flatten(1)
        layer = (errors.sum(1) if summed else errors.mean(1)).mean() * 0.5**above
        total = layer if total is None else total + layer
    assert total is not None
    return total


def _authors_factor(c: Compared) -> float | None:
    size = _same_size(c, _elements)
    return None if size is None else 0.003 * size


AB = (
    Form(
        "Mean over elements, margin 1", "this lab: KD-Zoo's reduction with the authors' margin",
        r"\sum_l 2^{l-L} \frac{1}{N c h w} \sum \max(0, m - \mathrm{sign}(T) S)^2",
        lambda c: _boundaries(c, c.knobs["margin"], summed=False), "ours", "× 1", one,
    ),
    Form(
        "Sum over elements, times 3/1000", "Heo et al. 2019, authors' code; RepDistiller, mmrazor",
        r"\frac{3}{1000} \sum_l 2^{l-L} \frac{1}{N} \sum \max(0, m - \mathrm{sign}(T) S)^2",
        lambda c: 0.003 * _boundaries(c, c.knobs["margin"], summed=True),
        "factor", "× 3 c h w / 1000", _authors_factor, weight=1.0, settings={"reduction": "sum"}, times=0.003,
        note="With layers of different sizes the factor is one for each layer, so no single weight does it.",
    ),
    Form(
        "Margin 2", "KD-Zoo (weight 10); the layers are weighted here as in ours",
        r"\sum_l 2^{l-L} \frac{1}{N c h w} \sum \max(0, 2 - \mathrm{sign}(T) S)^2",
        lambda c: _boundaries(c, 2.0, summed=False), "another", "another function", weight=10.0,
        settings={"margin": 2.0},
    ),
)  # fmt: skip


def _factors(c: Compared) -> Tensor:
    """Differences of the factors at length one, (N, c h w)."""
    return length_one(c.student[0].flatten(1)) - length_one(c.teacher[0].flatten(1))


def _energies(c: Compared) -> Tensor:
    ours, theirs = (length_one(side.square().mean(1).flatten(1)) for side in (c.student[0], c.teacher[0]))
    return (ours - theirs).abs().mean()


FT = (
    Form(
        "Whole factors at length one, mean absolute difference", "Kim et al. 2018, authors' code; mmrazor (weight 500)",
        r"\frac{1}{N c h w} \sum_n \left\Vert \frac{q_n}{\Vert q_n \Vert_2} - \frac{p_n}{\Vert p_n \Vert_2} "
        r"\right\Vert_1",
        lambda c: _factors(c).abs().mean(), "ours", "× 1", one, 500.0,
    ),
    Form(
        "The norm, not its mean", "Kim et al. 2018, the paper's formula with p = 1",
        r"\frac{1}{N} \sum_n \left\Vert \frac{q_n}{\Vert q_n \Vert_2} - \frac{p_n}{\Vert p_n \Vert_2} \right\Vert_1",
        lambda c: _factors(c).abs().sum(1).mean(), "factor", "× c h w", lambda c: _elements(c.teacher[0]),
    ),
    Form(
        "Energy of places at length one", "RepDistiller (weight 200)",
        r"\frac{1}{N h w} \sum_n \left\Vert A(q_n) - A(p_n) \right\Vert_1, \quad "
        r"A(f) = \frac{\overline{f^2}}{\Vert \overline{f^2} \Vert_2}",
        _energies, "another", "another function", weight=200.0, settings={"norm": "places"},
        note="Averages the channels away first, as attention transfer does.",
    ),
)  # fmt: skip

FORMS: dict[str, tuple[Form, ...]] = {"at": AT, "nst": NST, "fitnet": FITNET, "ab": AB, "ft": FT}
