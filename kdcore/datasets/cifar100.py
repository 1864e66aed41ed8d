"""CIFAR-100: the benchmark that most distillation papers report."""

from __future__ import annotations

from kdcore.dataset import Dataset, Raw
from kdcore.torchvision_data import read_torchvision


class CIFAR100(Dataset):
    """50,000 + 10,000 photographs, 32x32 RGB, a hundred classes with 500 pictures each.

    Many alike classes and few pictures of each: soft targets carry much here. Source: Krizhevsky, Learning Multiple
    Layers of Features from Tiny Images, 2009; no licence is stated, for research.
    """

    title = "CIFAR-100"
    where = "169 MB, downloaded once by torchvision, or cifar-100-python found under KDLAB_DATA"

    def load(self, seed: int) -> Raw:
        return read_torchvision("CIFAR100")
