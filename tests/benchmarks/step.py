"""CPU time of one distillation step, the usual public loop against this engine: `python tests/benchmarks/step.py`.

Row 0 is what most public code does: DataLoader with PIL augmentation, teacher forward at every step, all features of
both, `.item()` and top-5 at every step, batch 64. The same student and teacher, the same soft targets. CPU time per
picture, the least of three, one thread; quote the ratios.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from kdcore.recipe import Recipe
from kdcore.stage import Losses, Stage, set_stage
from kdcore.training import PhaseRun


class Pictures(Dataset):
    """Training pictures one by one, through PIL and back, as torchvision's data sets give them."""

    def __init__(self, stage: Stage) -> None:
        data = stage.data
        self.pixels = data.pixels(data.train.images)
        self.labels = data.train.labels
        side = self.pixels.shape[-1]
        self.change = v2.Compose(
            [v2.RandomCrop(side, padding=max(1, side // 8)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
        )
        self.mean, self.std = data.mean, data.std

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        picture = v2.functional.to_pil_image(self.pixels[place])
        return (self.change(picture) - self.mean) / self.std, int(self.labels[place])


def public(stage: Stage, pictures: int) -> float:
    """CPU seconds per picture of the usual loop."""
    student, teacher = stage.cast["student"], stage.cast["teacher"]
    optimizer = torch.optim.SGD(student.parameters(), lr=0.01, momentum=0.9)
    loader = DataLoader(Pictures(stage), batch_size=64, shuffle=True, drop_last=True)
    student.train()
    teacher.eval()
    done, began = 0, time.process_time()
    while done < pictures:
        for images, labels in loader:
            with torch.no_grad():
                told = teacher.look(images)
            seen = student.look(images)
            soft = F.kl_div(F.log_softmax(seen.logits / 4, 1), F.softmax(told.logits / 4, 1), reduction="batchmean")
            loss = F.cross_entropy(seen.logits, labels) + 16 * soft
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
            (seen.logits.topk(5, dim=1).indices == labels[:, None]).any(dim=1).float().mean().item()
            done += len(labels)
            if done >= pictures:
                break
    return (time.process_time() - began) / done


def ours(stage: Stage, pictures: int) -> float:
    """CPU seconds per picture of this engine's student phase, with the teacher's one pass counted in."""
    phase = list(stage.scheme.phases(stage.cast, Losses(stage)))[-1]
    began = time.process_time()
    running = PhaseRun(stage, phase)
    done = 0
    while done < pictures:
        running.step()
        done += running.batch
    return (time.process_time() - began) / done


def main() -> None:
    torch.set_num_threads(1)
    plain = {"teacher": {"is": "plain", "width": 32}, "student": {"is": "plain", "width": 8}}
    settings = {"methods": [{"is": "ce"}, {"is": "kd"}], "training": {"epochs": 30}, **plain}
    cases = {"digits 8×8": ({"is": "digits"}, 30_000)}
    if (Path(os.environ.get("KDLAB_DATA", "")) / "FashionMNIST" / "raw").is_dir():
        cases["Fashion 28×28"] = ({"is": "fashion_mnist", "train_size": 1500}, 12_000)
    for name, (data, pictures) in cases.items():
        stage = set_stage(Recipe.from_json({"data": data, **settings}))
        usual = min(public(stage, pictures // 8) for _ in range(3))
        lean = min(ours(stage, pictures) for _ in range(3))
        print(f"{name}: public loop {1e6 * usual:.0f} µs, here {1e6 * lean:.0f} µs a picture: {usual / lean:.1f} times")


if __name__ == "__main__":
    main()
