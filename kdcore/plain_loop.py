"""The loop that public repositories distil with, written out honestly: what the lab's own is measured against."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from kdcore.dataset import Data, Split, augment
from kdcore.recipe import RecipeError
from kdcore.stage import Stage

BATCH = 64
"""Pictures in a step, as most public recipes have it for small data."""


class PictureFiles(Dataset[tuple[Tensor, int]]):
    """Pictures one by one as torchvision's data sets give them: uint8, through PIL, transforms, to a float tensor."""

    def __init__(self, data: Data, split: Split) -> None:
        from torchvision import transforms  # a second to import

        pixels = data.pixels(split.images).mul(255.0).round().to(torch.uint8).cpu()
        self.pixels = pixels.permute(0, 2, 3, 1).squeeze(3).numpy()
        self.labels = split.labels.tolist()
        side, kind = pixels.shape[-1], data.augmentation
        moves = kind in ("shift", "crop_flip")
        self.change = transforms.Compose([
            *([transforms.RandomCrop(side, padding=max(1, side // 8), padding_mode="edge")] if moves else []),
            *([transforms.RandomHorizontalFlip()] if kind in ("flip", "crop_flip") else []),
            transforms.ToTensor(),
            transforms.Normalize(data.mean.flatten().tolist(), data.std.flatten().tolist()),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self.change(Image.fromarray(np.ascontiguousarray(self.pixels[place]))), self.labels[place]


class PlainLoop:
    """A distillation with cross-entropy and soft targets, step by step, on a student of its own.

    With `batches` from files: DataLoader and PIL. `resident` ones are rows of tensors on the device. The teacher looks
    at every batch unless its logits were `cached`. Features of all layers are taken by hooks, the loss and the top-1
    and top-5 accuracy are read in every step; torch's own optimiser with its defaults, and the lab's cosine, by steps.
    """

    def __init__(self, stage: Stage, *, batches: str = "files", teacher: str = "looks", batch: int = BATCH) -> None:
        self.stage, self.split = stage, stage.data.train
        self.weights = _weights(stage)
        data = stage.data
        if teacher == "cached" and data.augmentation != "none" and not data.views:
            raise RecipeError(
                "data.views",
                f"views={data.views}: a teacher of pictures that always change cannot be cached; augmentation='none' "
                "or views from 1 on can",
            )
        self.batch = min(batch, len(self.split))
        self.student = copy.deepcopy(stage.cast["student"]).to(memory_format=torch.contiguous_format).train()
        self.teacher = copy.deepcopy(stage.cast["teacher"]).to(memory_format=torch.contiguous_format).eval()
        self.features: dict[str, list[Tensor]] = {"student": [], "teacher": []}
        for role, network in (("student", self.student), ("teacher", self.teacher)):
            for module in network.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    module.register_forward_hook(lambda _, __, seen, kept=self.features[role]: kept.append(seen))
        self.told: list[Tensor] = []
        """Where it is cached, what the teacher says of all pictures, view by view."""
        rows = torch.arange(len(self.split), device=stage.device)
        for view in range(max(1, data.views) if teacher == "cached" else 0):
            with torch.no_grad():
                self.told.append(torch.cat([self.teacher(self._seen(some, view)) for some in rows.split(512)]))
        self.epoch_steps = max(1, len(self.split) // self.batch)
        self.steps = stage.budget.epochs * self.epoch_steps
        self.done = 0
        budget, learned = stage.budget, self.student.parameters()
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.SGD(learned, lr=budget.rate, momentum=0.9, nesterov=True, weight_decay=budget.weight_decay)
            if budget.optimizer == "sgd"
            else torch.optim.AdamW(learned, lr=budget.rate, weight_decay=budget.weight_decay)
        )
        self._batches = self._from_files() if batches == "files" else self._resident()
        self.metrics = (0.0, 0.0, 0.0)
        """Loss, top-1 and top-5 accuracy of the last step."""

    def _from_files(self) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        generator = torch.Generator().manual_seed(self.stage.recipe.seed)
        loader = DataLoader(
            PictureFiles(self.stage.data, self.split), batch_size=self.batch, shuffle=True, drop_last=True,
            generator=generator,
        )  # fmt: skip
        while True:
            for images, labels in loader:
                yield images.to(self.stage.device), labels.to(self.stage.device), None

    def _resident(self) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        generator = torch.Generator().manual_seed(self.stage.recipe.seed)
        epoch = 0
        while True:
            order = torch.randperm(len(self.split), generator=generator).to(self.stage.device)
            view = self.stage.data.view(epoch)
            told = self.told[view % len(self.told)] if self.told else None
            for rows in order[: self.epoch_steps * self.batch].split(self.batch):
                yield self._seen(rows, view), self.split.labels[rows], None if told is None else told[rows]
            epoch += 1

    def _seen(self, rows: Tensor, view: int) -> Tensor:
        data = self.stage.data
        images, index = self.split.images[rows], self.split.index[rows]
        return augment(images, index, kind=data.augmentation, seed=self.stage.recipe.seed, epoch=view)

    def step(self) -> None:
        """One step on the next batch."""
        if self.stage.budget.schedule == "cosine":
            rate = self.stage.budget.rate * 0.5 * (1 + math.cos(math.pi * self.done / max(1, self.steps)))
            for group in self.optimizer.param_groups:
                group["lr"] = rate
        self.learn(*next(self._batches))
        self.done += 1

    def learn(self, images: Tensor, labels: Tensor, told: Tensor | None = None) -> float:
        """One step on this batch; its loss before the step."""
        for kept in self.features.values():
            kept.clear()
        if told is None:
            with torch.no_grad():
                told = self.teacher(images)
        logits = self.student(images)
        loss = self._loss(logits, told, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.metrics = (loss.item(), *_accuracies(logits, labels))
        return self.metrics[0]

    def _loss(self, logits: Tensor, told: Tensor, labels: Tensor) -> Tensor:
        loss = logits.new_zeros(())
        for key, weight, temperature in self.weights:
            if key == "ce":
                loss = loss + weight * F.cross_entropy(logits, labels, ignore_index=-1)
            else:
                soft, hard = F.log_softmax(logits / temperature, dim=1), F.softmax(told / temperature, dim=1)
                loss = loss + weight * F.kl_div(soft, hard, reduction="batchmean") * temperature**2
        return loss


def _weights(stage: Stage) -> Sequence[tuple[str, float, float]]:
    """(key, weight, temperature) of the recipe's methods. Raises RecipeError for others than ce and kd."""
    from kdcore.catalog import METHODS

    found = []
    for number, part in enumerate(stage.recipe.methods):
        if part.method.key not in ("ce", "kd"):
            raise RecipeError(
                f"methods.{number}",
                f"{part.method.key!r}: the plain loop is written for ce and kd, which are right here",
            )
        kind = METHODS[part.method.key]
        settings = kind(**part.method.settings).settings()
        weight = kind.weight if part.weight is None else part.weight
        found.append((part.method.key, weight, float(settings.get("temperature", 1.0))))
    return found


def _accuracies(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Top-1 and top-5, as public code counts them."""
    with torch.no_grad():
        best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
        return best[:, :1].any(dim=1).float().mean().item(), best.any(dim=1).float().mean().item()
