"""MNIST: the handwritten digits that everything is tried on first."""

from __future__ import annotations

from kdcore.dataset import Dataset, Raw
from kdcore.torchvision_data import read_torchvision


class MNIST(Dataset):
    """60,000 + 10,000 handwritten digits, 28x28 grey pixels, ten classes.

    Easy: a small network alone reaches 99 %, so distillation shows in how few labels it needs. Source: LeCun, Cortes
    and Burges, CC BY-SA 3.0.
    """

    title = "MNIST"
    where = "12 MB, downloaded once by torchvision, or MNIST/raw found under KDLAB_DATA"

    def load(self, seed: int) -> Raw:
        return read_torchvision("MNIST", tuple(str(digit) for digit in range(10)))
