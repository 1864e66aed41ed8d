"""Your own pictures: a folder with one folder of pictures for each class."""

from __future__ import annotations

from pathlib import Path

import torch

from kdcore.dataset import DataError, Dataset, Raw
from kdcore.pictures import picture_files, read_pictures
from kdcore.spec import KnobError, knob
from kdcore.torchvision_data import data_folder

TEST_SHARE = 0.2
MOST_CLASSES = 1000
MOST_VALUES = 500_000_000
"""Numbers in all pictures together; as floats they take 2 GB."""


class Folder(Dataset):
    """Your own pictures from a folder below KDLAB_DATA that holds one folder for each class.

    Either name/train/<class>/* and name/test/<class>/*, or name/<class>/*, of which a fifth, drawn by the seed, becomes
    the test set. Each picture is cut to its middle square and resized. JPEG, PNG, BMP, GIF, WebP, PPM and TIFF are
    read; files with other endings are passed over. The pictures' licence is your affair.
    """

    title = "A folder of pictures"
    where = "read from the folder that KDLAB_DATA names"

    name: str = knob("", help="The folder's name below KDLAB_DATA, for example cats-and-dogs.")
    side: int = knob(32, 8, 64, help="Width and height that each picture is resized to.", unit="pixels")
    grey: bool = knob(False, help="Read the pictures as grey, one channel instead of three.")
    per_class: int = knob(
        500,
        2,
        5000,
        help="Pictures of each class at most, drawn by seed, for training; as many again for the test set.",
        unit="pictures",
    )

    def load(self, seed: int) -> Raw:
        folder = find_folder(self.name)
        try:
            train, test = self._files(folder, seed)
            count = sum(len(files) for files in (*train.values(), *test.values()))
            values = (1 if self.grey else 3) * self.side**2 * count
            if values > MOST_VALUES:
                raise DataError(
                    f"{self.name}: {count} pictures would take {values * 4 / 1e9:.1f} GB of memory, "
                    f"{MOST_VALUES * 4 / 1e9:.0f} at most; lower per_class={self.per_class} or side={self.side}"
                )
            images, labels = read_pictures(list(train.values()), below=folder, side=self.side, grey=self.grey)
            test_images, test_labels = read_pictures(list(test.values()), below=folder, side=self.side, grey=self.grey)
        except OSError as error:
            raise DataError(f"{self.name} cannot be read: {error.strerror or error}") from error
        return Raw(images, labels, test_images, test_labels, tuple(train))

    def _files(self, folder: Path, seed: int) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
        """The files of each class to train and to test on."""
        generator = torch.Generator().manual_seed(seed)

        def drawn(files: list[Path], most: int) -> list[Path]:
            return [files[place] for place in torch.randperm(len(files), generator=generator)[:most].tolist()]

        given = [(folder / part).is_dir() for part in ("train", "test")]
        if all(given):
            train, test = (self._classes(folder / part, f"{self.name}/{part}") for part in ("train", "test"))
            if set(train) != set(test):
                raise DataError(
                    f"{self.name} has other classes in train than in test: {_few(sorted(set(train) ^ set(test)))} "
                    "stand in one of them only"
                )
            return (
                {name: drawn(files, self.per_class) for name, files in train.items()},
                {name: drawn(files, self.per_class) for name, files in test.items()},
            )
        classes = self._classes(folder, self.name)
        train, test = {}, {}
        for name, files in classes.items():
            if len(files) < 2:
                raise DataError(f"{self.name}/{name} holds 1 picture; 2 at least, so that one can be the test")
            files = drawn(files, 2 * self.per_class)
            held = min(max(1, round(TEST_SHARE * len(files))), self.per_class)
            test[name], train[name] = files[:held], files[held:][: self.per_class]
        return train, test

    def _classes(self, folder: Path, said: str) -> dict[str, list[Path]]:
        """The picture files of each class, all sorted by name."""
        names = sorted(
            path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))
        )
        if not names:
            raise DataError(f"{said} holds no folders; one folder of pictures for each class is right")
        if len(names) == 1:
            hint = "; train and test belong together" if names[0] in ("train", "test") else ""
            raise DataError(f"{said} holds a single class, {names[0]!r}; a classifier needs 2 or more{hint}")
        if len(names) > MOST_CLASSES:
            raise DataError(f"{said} holds {len(names)} classes; {MOST_CLASSES} at most")
        found = {name: picture_files(folder / name, below=folder) for name in names}
        empty = [name for name, files in found.items() if not files]
        if empty:
            raise DataError(f"{said} has classes without a picture: {_few(empty)}; fill or remove them")
        return found


def find_folder(name: str) -> Path:
    """The folder of that name strictly below KDLAB_DATA.

    Raises KnobError for a name that leads elsewhere, DataError with what there is where it leads nowhere.
    """
    root = data_folder()
    if root is None:
        raise DataError("KDLAB_DATA is not set; set it to the folder that holds your picture folders, and start again")
    root = root.resolve()
    there = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    hint = f"there are {_few(there)}" if there else "KDLAB_DATA holds no folders"
    if not name.strip():
        raise DataError(f"name the folder of pictures in `name`; {hint}")
    if not name.isprintable() or "\\" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise KnobError("name", f"name={name!r} is no plain folder name; {hint}")
    folder = root / name
    try:
        found = folder.is_dir()
        folder = folder.resolve()
    except (OSError, RuntimeError, ValueError):  # a name too long, links in a circle, a zero byte
        found = False
    if found and root not in folder.parents:
        raise KnobError("name", f"name={name!r} leads out of KDLAB_DATA; {hint}")
    if not found:
        raise DataError(f"{name!r} is no folder in KDLAB_DATA; {hint}")
    return folder


def _few(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
