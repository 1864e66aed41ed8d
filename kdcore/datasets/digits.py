"""The 1,797 handwritten digits of 8x8 that come with scikit-learn: nothing to download."""

from __future__ import annotations

import torch

from kdcore.dataset import Dataset, Raw


class Digits(Dataset):
    """1,797 handwritten digits, 8x8 grey pixels, ten classes.

    Small enough that a whole distillation takes seconds. 500 pictures, drawn by the seed, are the test set. Source:
    Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998, CC BY 4.0.
    """

    title = "Digits 8×8"
    where = "comes with scikit-learn"

    def load(self, seed: int) -> Raw:
        from sklearn.datasets import load_digits  # costs a second, so not on import

        bunch = load_digits()
        images = torch.tensor(bunch.images, dtype=torch.float32).div(16.0).unsqueeze(1)
        labels = torch.tensor(bunch.target)
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
        test, train = order[:500], order[500:]
        return Raw(images[train], labels[train], images[test], labels[test], tuple(str(digit) for digit in range(10)))
