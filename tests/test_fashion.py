"""One whole distillation on real Fashion-MNIST, small: teacher, student alone, student."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kdcore.engine import run
from kdcore.history import fold
from kdcore.recipe import Recipe

needs_data = pytest.mark.skipif(
    not (Path(os.environ.get("KDLAB_DATA", "")) / "FashionMNIST" / "raw").is_dir(),
    reason="needs Fashion-MNIST: set KDLAB_DATA to a folder that holds FashionMNIST/raw",
)


@needs_data
@pytest.mark.slow
def test_with_few_labels_soft_targets_help_on_fashion_mnist() -> None:
    recipe = Recipe.from_json(
        {
            "data": {"is": "fashion_mnist", "train_size": 3000, "labelled": 0.02},
            "teacher": {"is": "plain", "width": 12},
            "student": {"is": "plain", "width": 4},
            "methods": [{"is": "kd", "temperature": 2.0}],
            "training": {"epochs": 6, "teacher_epochs": 4, "batch": 64},
        }
    )
    history = fold(run(recipe))
    assert history.outcome == "finished", history.failure
    student, alone, teacher = (history.results[role] for role in ("student", "baseline", "teacher"))
    assert student["count"] == 10_000
    assert teacher["test_accuracy"] > 0.6
    assert student["test_accuracy"] > alone["test_accuracy"] + 0.05
