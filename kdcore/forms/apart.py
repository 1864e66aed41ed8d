"""Forms of methods that take outputs apart: by label and ranking, by decision, by image and class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.form import Compared, Form, one

if TYPE_CHECKING:
    from torch import Tensor


def _divergence(target: Tensor, said: Tensor) -> Tensor:
    """KL of log-probabilities, (N, C) x (N, C) -> (N,)."""
    return (target.exp() * (target - said)).sum(1)


def _label_and_others(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Probability of the label (N,), log-probabilities of label or not (N, 2), and among the others (N, C-1)."""
    chances = logits.softmax(1)
    on_label = chances.gather(1, labels.unsqueeze(1))
    others = logits.scatter(1, labels.unsqueeze(1), float("-inf"))
    either = on_label.new_zeros(len(labels), 2)
    either = either.scatter(1, labels.new_zeros(len(labels), 1), on_label.log())
    either = either.scatter(1, labels.new_ones(len(labels), 1), (others.softmax(1) * (1 - on_label)).sum(1, True).log())
    there = logits[0].new_ones(logits.shape).scatter(1, labels.unsqueeze(1), 0.0) > 0
    kept = logits[there].view(len(labels), -1).log_softmax(1)
    return on_label.squeeze(1), either, kept


def _decoupled(c: Compared, *, doubt: bool = False, standard: bool = False) -> Tensor:
    temperature = c.knobs["temperature"]
    sides = []
    for side in (c.student[0], c.teacher[0]):
        logits = (side - side.mean(1, keepdim=True)) / (side.std(1, keepdim=True) + 1e-7) if standard else side
        sides.append(_label_and_others(logits / temperature, c.labels))
    (_, ours, our_rest), (sure, theirs, their_rest) = sides
    label, ranking = _divergence(theirs, ours), _divergence(their_rest, our_rest)
    if doubt:
        return temperature**2 * (label + (1.0 - sure) * ranking).mean()
    return temperature**2 * (c.knobs["alpha"] * label + c.knobs["beta"] * ranking).mean()


DKD = (
    Form(
        "Label and ranking weighed apart", "Zhao et al. 2022, authors' code (mdistiller), weight 1 after a warm-up",
        r"\frac{T^2}{N} \sum_n \alpha \, \mathrm{KL}(b^T_n \Vert b^S_n) "
        r"+ \beta \, \mathrm{KL}(\hat p^T_n \Vert \hat p^S_n)",
        _decoupled, "ours", "× 1", one, 1.0,
        note="The authors' β is 2, 6 or 8 by pair of networks, 0.5 and 2 on ImageNet at T = 1.",
    ),
    Form(
        "Plain soft targets, taken apart", "Zhao et al. 2022, their identity for Hinton's loss",
        r"\frac{T^2}{N} \sum_n \mathrm{KL}(b^T_n \Vert b^S_n) "
        r"+ (1 - p^T_{n y_n}) \, \mathrm{KL}(\hat p^T_n \Vert \hat p^S_n)",
        lambda c: _decoupled(c, doubt=True), "another", "another function", weight=0.9,
        note="The ranking counts by how much the teacher doubts the label: with a sure teacher hardly at all.",
    ),
    Form(
        "Nine times, of standardised logits", "Sun et al. 2024, authors' code: 9 times α and β, at T = 2",
        r"\frac{9 T^2}{N} \sum_n \alpha \, \mathrm{KL}(\tilde b^T_n \Vert \tilde b^S_n) "
        r"+ \beta \, \mathrm{KL}(\tilde p^T_n \Vert \tilde p^S_n), \quad \tilde z = \frac{z - \bar z}{s}",
        lambda c: 9.0 * _decoupled(c, standard=True), "another", "another function", weight=1.0,
    ),
)  # fmt: skip


def _decided(c: Compared) -> Tensor:
    chosen = c.teacher[0].argmax(1, keepdim=True)
    return -c.student[0].log_softmax(1).gather(1, chosen).mean()


HARD = (
    Form(
        "Cross-entropy with the teacher's decision", "the definition; this lab adds it to all of cross-entropy",
        r"-\frac{1}{N} \sum_n \log p^S_{n \hat y_n}, \quad \hat y = \mathrm{argmax}_k z^T_k",
        _decided, "ours", "× 1", one,
    ),
    Form(
        "Half of it, beside half of cross-entropy", "Touvron et al. 2021, authors' code (DeiT), on a head of its own",
        r"-\frac{1}{2N} \sum_n \log p^S_{n \hat y_n}", lambda c: 0.5 * _decided(c),
        "factor", "÷ 2", lambda c: 0.5, 1.0,
    ),
)  # fmt: skip


def _softened(logits: Tensor, temperature: float) -> Tensor:
    return (logits / temperature).softmax(1)


def _image(ours: Tensor, theirs: Tensor, temperature: float) -> Tensor:
    return temperature**2 * _divergence((theirs / temperature).log_softmax(1), (ours / temperature).log_softmax(1))


def _grams(ours: Tensor, theirs: Tensor) -> Tensor:
    """Squared differences of inner products of rows, summed over each row, (k,)."""
    return (ours @ ours.T - theirs @ theirs.T).square().sum(1)


def _quiet_half(values: Tensor, share: float) -> Tensor:
    return (values <= values.quantile(share)).to(values.dtype)


def _levels(c: Compared) -> Tensor:
    sure = c.teacher[0].softmax(1)
    total = None
    for view, (ours, theirs) in enumerate(zip(c.student, c.teacher, strict=True)):
        for temperature in (2.0, 3.0, 4.0, 5.0, 6.0):
            counted = view == 0 and 2.0 < temperature < 6.0
            share = c.knobs["masked"] if counted else 1.0
            images, classes = _quiet_half(sure.amax(1), share), _quiet_half(sure.sum(0), share)
            p, q = _softened(ours, temperature), _softened(theirs, temperature)
            level = (images * (_image(ours, theirs, temperature) + _grams(p, q))).mean()
            level = level + c.knobs["classes"] * (classes * _grams(p.T, q.T)).mean()
            total = level if total is None else total + level
    assert total is not None
    return total + c.knobs["labels"] * _hard(c)


def _hard(c: Compared) -> Tensor:
    """Cross-entropy on the stronger view, ()."""
    return -c.student[1].log_softmax(1).gather(1, c.labels.unsqueeze(1)).mean()


def _levels_as_they_run(c: Compared) -> Tensor:
    sure = c.teacher[0].softmax(1)
    images, classes = _quiet_half(sure.amax(1), 0.5).mean(), _quiet_half(sure.sum(0), 0.5).mean()
    (weak, strong), (weak_told, strong_told) = c.student, c.teacher
    total = _hard(c)
    for temperature in (2.0, 3.0, 4.0, 5.0, 6.0):
        p, q = _softened(weak, temperature), _softened(weak_told, temperature)
        total = total + images * (_image(weak, weak_told, temperature) + _grams(p, q)).mean()
        total = total + classes * _grams(p.T, q.T).mean()
        harder = (weak, weak_told) if temperature in (2.0, 6.0) else (strong, strong_told)
        total = total + _image(*harder, temperature).mean()
    return total


MLKD = (
    Form(
        "Masked image by image, both views", "Jin et al. 2023, as the paper means it; the factor of classes is ours",
        r"\sum_v \sum_T \overline{m \, (T^2 \mathrm{KL} + \Delta_{\text{pairs}})} "
        r"+ \lambda \, \overline{m' \Delta_{\text{classes}}} + \mathrm{CE}(z', y)",
        _levels, "ours", "× 1", one,
    ),
    Form(
        "With factor 1 on the pairs of classes", "Jin et al. 2023",
        r"\sum_v \sum_T \overline{m \, (T^2 \mathrm{KL} + \Delta_{\text{pairs}})} "
        r"+ \overline{m' \Delta_{\text{classes}}} + \mathrm{CE}(z', y)",
        lambda c: _levels(Compared(c.student, c.teacher, c.labels, {**c.knobs, "classes": 1.0})),
        "another", "another function", weight=1.0, settings={"classes": 1.0},
        note="Pairs of classes grow with the square of pictures per class: harmless with a hundred classes, loud with "
        "ten.",
    ),
    Form(
        "Masks that multiply means", "the authors' code as it runs",
        r"\sum_T \bar m \, \overline{T^2 \mathrm{KL} + \Delta_{\text{pairs}}} "
        r"+ \bar m' \overline{\Delta_{\text{classes}}} "
        r"+ \sum_T \overline{T^2 \mathrm{KL}(z'_{T \in \{3,4,5\}}, \, z_{T \in \{2,6\}})} + \mathrm{CE}(z', y)",
        _levels_as_they_run, "another", "another function", weight=1.0,
        note="The masks only halve; at T = 2 and 6 the stronger view is the plain one; its pairs are dropped.",
    ),
)  # fmt: skip

FORMS: dict[str, tuple[Form, ...]] = {"dkd": DKD, "hard_label_kd": HARD, "mlkd": MLKD}
