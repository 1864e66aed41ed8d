"""What every test starts from: one thread, so that curves are the same wherever the suite runs."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("KDLAB_RAY", None)  # tests train here, whatever the developer has a cluster for

import pytest


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)
