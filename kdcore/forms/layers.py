"""Forms of methods that compare feature maps after learned parts: overhaul, guessers, attention, generators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.form import Compared, Form, one

if TYPE_CHECKING:
    from torch import Tensor


def _elements(layer: Tensor) -> float:
    return float(layer[0].numel())


def _overhaul(c: Compared, *, summed: bool) -> Tensor:
    total = None
    for above, (s, t) in enumerate(zip(reversed(c.student), reversed(c.teacher), strict=True)):
        errors = ((s - t).square() * ((s > t) | (t > 0))).flatten(1)
        layer = (errors.sum(1) if summed else errors.mean(1)).mean() * 0.5**above
        total = layer if total is None else total + layer
    assert total is not None
    return total


def _thousandth(c: Compared) -> float | None:
    sizes = {_elements(layer) for layer in c.teacher}
    return sizes.pop() / 1000.0 if len(sizes) == 1 else None


OFD = (
    Form(
        "Mean over elements", "this lab; the margins are the source's",
        r"\sum_l 2^{l-L} \frac{1}{N c h w} \sum d(r(S), \max(T, m))",
        lambda c: _overhaul(c, summed=False), "ours", "× 1", one,
    ),
    Form(
        "Sum over elements, divided by 1000", "Heo et al. 2019, authors' code; mdistiller (0.001, ImageNet 0.0001)",
        r"\frac{1}{1000} \sum_l 2^{l-L} \frac{1}{N} \sum d(r(S), \max(T, m))",
        lambda c: _overhaul(c, summed=True) / 1000.0, "factor", "× c h w / 1000", _thousandth, 1.0,
        settings={"reduction": "sum"}, times=0.001,
        note="Both keep the teacher in training mode. With layers of different sizes no single weight does it.",
    ),
)  # fmt: skip


def _surprise(c: Compared, variances: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    layers = []
    for s, t, variance in zip(c.student, c.teacher, variances, strict=True):
        spread = variance.view(-1, 1, 1)
        layers.append(0.5 * ((s - t).square() / spread + spread.log()).mean())
    return sum(layers[1:], layers[0])


VID = (
    Form(
        "With variances that learn", "Ahn et al. 2019; RepDistiller (weight 1)",
        r"\sum_l \frac{1}{N c h w} \sum \frac{1}{2} \left(\frac{(\mu(S) - T)^2}{\sigma_c^2} + \log \sigma_c^2\right)",
        lambda c: _surprise(c, c.knobs["variances"]), "ours", "× 1", one, 1.0,
        note="The paper's guesser has batch norms and is wider; here all forms get this lab's.",
    ),
    Form(
        "With variances that stay at 5", "mdistiller as it runs: they are in no optimiser",
        r"\sum_l \frac{1}{N c h w} \sum \frac{1}{2} \left(\frac{(\mu(S) - T)^2}{5} + \log 5\right)",
        lambda c: _surprise(c, [one.new_full(one.shape, 5.0) for one in c.knobs["variances"]]),
        "another", "another function", weight=1.0,
        note="A fitnet of one tenth. At the start, where ours are 5 too, they are the same.",
    ),
)  # fmt: skip


def _mean_square(c: Compared) -> Tensor:
    return (c.student[0] - c.teacher[0]).square().mean()


CANKD = (
    Form(
        "Half the mean", "Sun and Ohyama 2026, authors' code (weight 10)",
        r"\frac{1}{2 N c h w} \sum_n \left\Vert \mathrm{IN}(Z^S_n) - \mathrm{IN}(F^T_n) \right\Vert_2^2",
        lambda c: 0.5 * _mean_square(c), "ours", "× 1", one, 10.0,
    ),
    Form(
        "The mean", "Sun and Ohyama 2026, the paper's formula (weight 5)",
        r"\frac{1}{N c h w} \sum_n \left\Vert \mathrm{IN}(Z^S_n) - \mathrm{IN}(F^T_n) \right\Vert_2^2",
        _mean_square, "factor", "× 2", lambda c: 2.0, 5.0,
    ),
)  # fmt: skip

MGD = (
    Form(
        "Mean over elements", "this lab",
        r"\frac{1}{N c h w} \sum_n \left\Vert G(M \odot r(F^S_n)) - F^T_n \right\Vert_2^2",
        _mean_square, "ours", "× 1", one,
        note="Forms are compared with the mask of the first step.",
    ),
    Form(
        "Sum over elements", "Yang et al. 2022, authors' code (weight 0.00007 for classification)",
        r"\frac{1}{N} \sum_n \left\Vert G(M \odot r(F^S_n)) - F^T_n \right\Vert_2^2",
        lambda c: (c.student[0] - c.teacher[0]).square().flatten(1).sum(1).mean(),
        "factor", "× c h w", lambda c: _elements(c.teacher[0]), 0.00007,
    ),
)  # fmt: skip

FORMS: dict[str, tuple[Form, ...]] = {"ofd": OFD, "vid": VID, "cankd": CANKD, "mgd": MGD}
