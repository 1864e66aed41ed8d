"""Forms of methods that learn from labels alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kdcore.form import Compared, Form, one

if TYPE_CHECKING:
    from torch import Tensor


def _classes(c: Compared) -> int:
    return c.student[0].shape[1]


def _smoothed(c: Compared, on_label: float, on_others: float) -> Tensor:
    """Cross-entropy with these probabilities on the label and on each other class, ()."""
    likely = c.student[0].log_softmax(1)
    label = likely.gather(1, c.labels.unsqueeze(1)).squeeze(1)
    return -(on_label * label + on_others * (likely.sum(1) - label)).mean()


def _uniform(c: Compared) -> Tensor:
    share = c.knobs["smoothing"] / _classes(c)
    return _smoothed(c, 1.0 - c.knobs["smoothing"] + share, share)


LABEL_SMOOTHING = (
    Form(
        "ε spread over all classes", "Szegedy et al. 2016; PyTorch",
        r"-\frac{1}{N} \sum_n (1-\varepsilon) \log p_{n y_n} + \frac{\varepsilon}{C} \sum_k \log p_{nk}",
        _uniform, "ours", "× 1", one, 1.0,
    ),
    Form(
        "As distillation from a uniform teacher", "Tang et al. 2020",
        r"\frac{1}{N} \sum_n (1-\varepsilon) \, \mathrm{CE}_n + \varepsilon \, \mathrm{KL}(u \Vert p_n)",
        lambda c: _uniform(c) - c.knobs["smoothing"] * math.log(_classes(c)),
        "shifted", "× 1, value lower by ε log C", one, 1.0,
    ),
    Form(
        "ε spread over the wrong classes", "Teacher-free KD's own label smoothing",
        r"-\frac{1}{N} \sum_n (1-\varepsilon) \log p_{n y_n} + \frac{\varepsilon}{C-1} \sum_{k \neq y_n} \log p_{nk}",
        lambda c: _smoothed(c, 1.0 - c.knobs["smoothing"], c.knobs["smoothing"] / (_classes(c) - 1)),
        "another", "another function", weight=1.0, settings={"variant": "km1"},
        note="The same as ours with ε C/(C-1).",
    ),
)  # fmt: skip


def _virtual(c: Compared) -> Tensor:
    """The virtual teacher's probabilities, (N, C)."""
    wrong = (1.0 - c.knobs["correct"]) / (_classes(c) - 1)
    sure = c.student[0].new_full((len(c.labels), _classes(c)), wrong)
    return sure.scatter(1, c.labels.unsqueeze(1), c.knobs["correct"])


def _teacher_free(c: Compared) -> Tensor:
    target = (_virtual(c).log() / c.knobs["temperature"]).log_softmax(1)
    ours = (c.student[0] / c.knobs["temperature"]).log_softmax(1)
    return (target.exp() * (target - ours)).sum(1).mean()


def _teacher_free_code(c: Compared) -> Tensor:
    target = (_virtual(c) / c.knobs["temperature"]).log_softmax(1)
    return (target.exp() * (target - c.student[0].log_softmax(1))).mean()


TFKD_REG = (
    Form(
        "The paper's divergence times T²", "Yuan et al. 2020, scaled as soft targets are",
        r"\frac{T^2}{N} \sum_n \mathrm{KL}\left(\sigma(\log p^d_n / T) \Vert \sigma(z^S_n / T)\right)",
        lambda c: c.knobs["temperature"] ** 2 * _teacher_free(c), "ours", "× 1", one,
    ),
    Form(
        "The paper's divergence as printed, without T²", "Yuan et al. 2020",
        r"\frac{1}{N} \sum_n \mathrm{KL}\left(\sigma(\log p^d_n / T) \Vert \sigma(z^S_n / T)\right)",
        _teacher_free, "factor", "÷ T²", lambda c: 1.0 / c.knobs["temperature"] ** 2,
    ),
    Form(
        "Softmax of probabilities, mean over classes too", "the authors' code (yuanli2333/Teacher-free-KD)",
        r"\frac{1}{NC} \sum_n \mathrm{KL}\left(\sigma(p^d_n / T) \Vert \sigma(z^S_n)\right)",
        _teacher_free_code, "another", "another function", weight=10.0, settings={"form": "repo"},
        note="Its target is nearly uniform, the student is not softened: a penalty on being sure. The code sets 0.1 "
        "times 100 of it beside 0.9 of cross-entropy (ResNet-18), or 0.95 beside 0.05 (MobileNetV2).",
    ),
)  # fmt: skip

FORMS: dict[str, tuple[Form, ...]] = {"label_smoothing": LABEL_SMOOTHING, "tfkd_reg": TFKD_REG}
