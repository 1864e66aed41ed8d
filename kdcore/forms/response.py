"""Forms of methods that compare outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.form import Compared, Form, one

if TYPE_CHECKING:
    from torch import Tensor


def _logits(c: Compared) -> tuple[Tensor, Tensor]:
    return c.student[0], c.teacher[0]


def _classes(c: Compared) -> int:
    return c.student[0].shape[1]


def _divergence(c: Compared) -> Tensor:
    """KL per picture at the method's temperature, without T squared, (N,)."""
    ours, theirs = ((side / c.knobs["temperature"]).log_softmax(1) for side in _logits(c))
    return (theirs.exp() * (theirs - ours)).sum(1)


def _soft_cross_entropy(c: Compared) -> Tensor:
    temperature = c.knobs["temperature"]
    ours, theirs = _logits(c)
    target = (theirs / temperature).softmax(1)
    return -(temperature**2) * (target * (ours / temperature).log_softmax(1)).sum(1).mean()


def _probability_error(c: Compared) -> Tensor:
    temperature = c.knobs["temperature"]
    ours, theirs = ((side / temperature).softmax(1) for side in _logits(c))
    return temperature**2 * (ours - theirs).square().mean()


KD = (
    Form(
        "T², summed over classes, mean over pictures", "Hinton et al. 2015; RepDistiller, mdistiller",
        r"\frac{T^2}{N} \sum_n \sum_k p^T_{nk} \log \frac{p^T_{nk}}{p^S_{nk}}",
        lambda c: c.knobs["temperature"] ** 2 * _divergence(c).mean(), "ours", "× 1", one, 0.9,
        note="RepDistiller and mdistiller set 0.9 of it beside 0.1 of cross-entropy, SemCKD 1 beside 1.",
    ),
    Form(
        "Cross-entropy with soft targets", "the other way to write it: WSLD and several repositories",
        r"-\frac{T^2}{N} \sum_n \sum_k p^T_{nk} \log p^S_{nk}",
        _soft_cross_entropy, "shifted", "× 1, value higher by the teacher's entropy", one,
    ),
    Form(
        "Mean over classes too: kl_div(reduction='mean')",
        "TAKD, born-again networks (nocotan), haitongli and peterliht, attention-transfer's KD, Rocket Launching, DeiT",
        r"\frac{T^2}{NC} \sum_n \sum_k p^T_{nk} \log \frac{p^T_{nk}}{p^S_{nk}}",
        lambda c: c.knobs["temperature"] ** 2 * _divergence(c).mean() / _classes(c), "factor", "÷ C",
        lambda c: 1.0 / _classes(c),
        note="With a hundred classes the same weight is a hundredth. DeiT divides on purpose.",
    ),
    Form(
        "Without T²", "torchdistill's KDLoss without a hard term; AB's second stage",
        r"\frac{1}{N} \sum_n \sum_k p^T_{nk} \log \frac{p^T_{nk}}{p^S_{nk}}",
        lambda c: _divergence(c).mean(), "factor", "÷ T²", lambda c: 1.0 / c.knobs["temperature"] ** 2,
    ),
    Form(
        "Neither T² nor the sum over classes", "kl_div's default reduction on softened logits, as it stands",
        r"\frac{1}{NC} \sum_n \sum_k p^T_{nk} \log \frac{p^T_{nk}}{p^S_{nk}}",
        lambda c: _divergence(c).mean() / _classes(c), "factor", "÷ (T² C)",
        lambda c: 1.0 / (c.knobs["temperature"] ** 2 * _classes(c)),
    ),
    Form(
        "Squared error between probabilities", "KD_Lib's vanilla KD, at T = 20 there",
        r"\frac{T^2}{NC} \sum_n \sum_k \left(p^S_{nk} - p^T_{nk}\right)^2",
        _probability_error, "another", "another function",
        note="Its gradient vanishes as T grows, whatever T² does: it is not Hinton's loss.",
    ),
)  # fmt: skip


def _squared(c: Compared) -> Tensor:
    """Squared differences of logits, (N, C)."""
    ours, theirs = _logits(c)
    return (ours - theirs).square()


def _centred(c: Compared) -> Tensor:
    ours, theirs = (side - side.mean(1, keepdim=True) for side in _logits(c))
    return (ours - theirs).square()


LOGIT_REGRESSION = (
    Form(
        "Mean over pictures and classes", "KD-Zoo (weight 0.1)",
        r"\frac{1}{NC} \sum_n \sum_k \left(z^S_{nk} - z^T_{nk}\right)^2",
        lambda c: _squared(c).mean(), "ours", "× 1", one, 0.1,
    ),
    Form(
        "Half the sum over classes", "Ba and Caruana 2014",
        r"\frac{1}{2N} \sum_n \sum_k \left(z^S_{nk} - z^T_{nk}\right)^2",
        lambda c: 0.5 * _squared(c).sum(1).mean(), "factor", "× C/2", lambda c: _classes(c) / 2,
        settings={"form": "half_sum"}, note="In the paper it stands alone, without cross-entropy.",
    ),
    Form(
        "Centred logits", "what a softmax can see of it; after Kim et al. 2021",
        r"\frac{1}{NC} \sum_n \sum_k \left((z^S_{nk} - \bar z^S_n) - (z^T_{nk} - \bar z^T_n)\right)^2",
        lambda c: _centred(c).mean(), "another", "another function", settings={"center": True},
        note="Half of it is what soft targets come to at an infinite temperature.",
    ),
)  # fmt: skip


def _correlation(ours: Tensor, theirs: Tensor, dim: int) -> Tensor:
    """One minus the mean correlation along `dim`, with the authors' 1e-8."""
    a, b = (side - side.mean(dim, keepdim=True) for side in (ours, theirs))
    lengths = a.square().sum(dim).clamp(min=1e-24).sqrt() * b.square().sum(dim).clamp(min=1e-24).sqrt()
    return 1.0 - ((a * b).sum(dim) / (lengths + 1e-8)).mean()


def _dist(c: Compared) -> Tensor:
    ours, theirs = ((side / c.knobs["temperature"]).softmax(1) for side in _logits(c))
    inter, intra = _correlation(ours, theirs, 1), _correlation(ours, theirs, 0)
    return c.knobs["beta"] * inter + c.knobs["gamma"] * intra


DIST = (
    Form(
        "Within pictures and within classes, times τ²", "Huang et al. 2022, authors' code (weight 2)",
        r"\tau^2 \left(\frac{\beta}{N} \sum_n (1 - \rho_n) + \frac{\gamma}{C} \sum_k (1 - \rho_k)\right)",
        lambda c: c.knobs["temperature"] ** 2 * _dist(c), "ours", "× 1", one, 2.0,
        note="The code lets a class that is constant on both sides cost 1; here it costs nothing.",
    ),
    Form(
        "Without τ²", "the formula at τ = 1, as for ImageNet, with softened probabilities",
        r"\frac{\beta}{N} \sum_n (1 - \rho_n) + \frac{\gamma}{C} \sum_k (1 - \rho_k)",
        _dist, "factor", "÷ τ²", lambda c: 1.0 / c.knobs["temperature"] ** 2,
    ),
)  # fmt: skip


def _standardised(c: Compared, freedom: int) -> Tensor:
    sides = []
    for side in _logits(c):
        middle = side - side.mean(1, keepdim=True)
        spread = (middle.square().sum(1, keepdim=True) / (_classes(c) - freedom)).clamp(min=1e-24).sqrt()
        sides.append((middle / (spread + 1e-7) / c.knobs["temperature"]).log_softmax(1))
    return c.knobs["temperature"] ** 2 * (sides[1].exp() * (sides[1] - sides[0])).sum(1).mean()


LS_KD = (
    Form(
        "Variance over C - 1", "Sun et al. 2024, authors' code (weight 9 beside 0.1 of cross-entropy)",
        r"\frac{T^2}{N} \sum_n \mathrm{KL}(\hat p^T_n \Vert \hat p^S_n), \quad "
        r"s^2 = \tfrac{1}{C-1} \textstyle\sum_k (z_k - \bar z)^2",
        lambda c: _standardised(c, 1), "ours", "× 1", one, 9.0,
    ),
    Form(
        "Variance over C", "Sun et al. 2024, the paper's own formula",
        r"\frac{T^2}{N} \sum_n \mathrm{KL}(\hat p^T_n \Vert \hat p^S_n), \quad "
        r"s^2 = \tfrac{1}{C} \textstyle\sum_k (z_k - \bar z)^2",
        lambda c: _standardised(c, 0), "another", "another function", settings={"spread": "paper"},
    ),
)  # fmt: skip

FORMS: dict[str, tuple[Form, ...]] = {
    "kd": KD,
    "logit_regression": LOGIT_REGRESSION,
    "dist": DIST,
    "ls_kd": LS_KD,
}
