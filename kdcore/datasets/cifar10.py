"""CIFAR-10: small photographs of animals and vehicles."""

from __future__ import annotations

from kdcore.dataset import Dataset, Raw
from kdcore.torchvision_data import read_torchvision


class CIFAR10(Dataset):
    """50,000 + 10,000 photographs, 32x32 RGB, ten classes of animals and vehicles.

    The smallest of the usual benchmarks with real photographs. Source: Krizhevsky, Learning Multiple Layers of
    Features from Tiny Images, 2009; no licence is stated, for research.
    """

    title = "CIFAR-10"
    where = "170 MB, downloaded once by torchvision, or cifar-10-batches-py found under KDLAB_DATA"

    def load(self, seed: int) -> Raw:
        return read_torchvision("CIFAR10")
