"""How papers, authors and public libraries write the same methods: every form there is, by method. No torch at import.

Read from the formulas of papers and the stated behaviour of the code, written anew. The first form is always ours.
"""

from __future__ import annotations

from kdcore.form import Form
from kdcore.forms import apart, feature, gradient, graphs, labels, layers, relation, response

FORMS: dict[str, tuple[Form, ...]] = {
    **response.FORMS,
    **apart.FORMS,
    **labels.FORMS,
    **feature.FORMS,
    **layers.FORMS,
    **relation.FORMS,
    **graphs.FORMS,
    **gradient.FORMS,
}
"""Method's key -> its forms."""

CHOOSES: dict[str, tuple[str, ...]] = {
    "logit_regression": ("form", "center"),
    "label_smoothing": ("variant",),
    "tfkd_reg": ("form",),
    "ls_kd": ("spread",),
    "at": ("form",),
    "nst": ("kernel",),
    "ab": ("reduction",),
    "ft": ("norm",),
    "pkt": ("reduction",),
    "cc": ("variant",),
    "dkd": ("warmup",),
    "mlkd": ("classes",),
    "ofd": ("reduction",),
    "fsp": ("pooling",),
}
"""Method's key -> its knobs that choose a form: they stand at their defaults where forms are compared."""


def weight_in_ours(weight: float, gradient: float, our_gradient: float) -> float:
    """The weight that gives our form the gradient which a form has at its `weight`; to four digits.

    >>> weight_in_ours(0.9, gradient=0.2, our_gradient=2.0)
    0.09
    """
    if our_gradient <= 0.0:
        raise ValueError("our form has no gradient on these tensors, so no weight gives it one")
    return float(f"{weight * gradient / our_gradient:.4g}")
