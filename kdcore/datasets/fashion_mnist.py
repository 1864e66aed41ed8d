"""Fashion-MNIST: clothes in the format of MNIST, and hard enough to tell networks apart."""

from __future__ import annotations

from kdcore.dataset import Dataset, Raw
from kdcore.torchvision_data import read_torchvision


class FashionMNIST(Dataset):
    """60,000 + 10,000 pictures of clothes, 28x28 grey pixels, ten classes.

    Shirts, coats and pullovers resemble each other, so a teacher has something to say beside the label. Source: Xiao,
    Rasul and Vollgraf, 2017 (https://arxiv.org/abs/1708.07747), Zalando Research, MIT licence.
    """

    title = "Fashion-MNIST"
    where = "31 MB, downloaded once by torchvision, or FashionMNIST/raw found under KDLAB_DATA"

    def load(self, seed: int) -> Raw:
        return read_torchvision("FashionMNIST")
