"""MNIST, Fashion-MNIST and CIFAR: found, downloaded, or refused with what to do. The files are stand-ins."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.error import URLError

import pytest
import torch
import torchvision.datasets.cifar
import torchvision.datasets.mnist
from stand_ins import write_cifar, write_idx, write_mnist
from torchvision import datasets as official

from kdcore.data import DataError
from kdcore.datasets.cifar10 import CIFAR10
from kdcore.datasets.cifar100 import CIFAR100
from kdcore.datasets.fashion_mnist import FashionMNIST
from kdcore.datasets.mnist import MNIST
from kdcore.torchvision_data import cache_folder, read_torchvision

ALL = (MNIST, FashionMNIST, CIFAR10, CIFAR100)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.datasets.mnist, "download_and_extract_archive", fail)
    monkeypatch.setattr(torchvision.datasets.cifar, "download_and_extract_archive", fail)


@pytest.mark.parametrize(("kind", "name"), [(MNIST, "MNIST"), (FashionMNIST, "FashionMNIST")])
def test_idx_files_are_read_as_they_stand(kind, name, data_root, offline):
    write_mnist(data_root / name / "raw")
    raw = kind().load(0)
    pixels = (data_root / name / "raw/train-images-idx3-ubyte").read_bytes()[16:]
    assert raw.images.shape == (120, 1, 28, 28)
    assert raw.images.dtype == torch.uint8
    assert bytes(raw.images.numpy().tobytes()) == pixels
    assert raw.labels.tolist() == [place % 10 for place in range(120)]
    assert len(raw.test_images) == 30
    assert len(raw.class_names) == 10


@pytest.mark.parametrize(
    ("kind", "source", "labels", "classes", "batches"),
    [(CIFAR10, official.CIFAR10, "labels", 10, 5), (CIFAR100, official.CIFAR100, "fine_labels", 100, 1)],
)
def test_cifar_planes_come_in_the_order_red_green_blue(
    kind, source, labels, classes, batches, data_root, offline, monkeypatch
):
    write_cifar(data_root / source.base_folder, source, labels=labels, classes=classes, monkeypatch=monkeypatch)
    raw = kind().load(0)
    assert raw.images.shape == (200 * batches, 3, 32, 32)
    assert raw.images.is_contiguous()
    written = source(data_root, train=True)
    assert torch.equal(raw.images[7], torch.from_numpy(written.data[7]).permute(2, 0, 1))
    assert raw.class_names == tuple(f"thing {place}" for place in range(classes))
    assert raw.test_labels.tolist() == [place % classes for place in range(200)]


def test_a_folder_that_cannot_be_written_is_enough(data_root, offline):
    write_mnist(data_root / "MNIST/raw")
    folders = [data_root, data_root / "MNIST", data_root / "MNIST/raw"]
    before = sorted(data_root.rglob("*"))
    for folder in folders:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert len(MNIST().load(0).labels) == 120
    finally:
        for folder in folders:
            folder.chmod(stat.S_IRWXU)
    assert sorted(data_root.rglob("*")) == before
    assert not cache_folder().exists()


@pytest.mark.parametrize("kind", ALL)
def test_without_files_and_network_the_error_says_what_to_do(kind, data_root, offline):
    with pytest.raises(DataError, match=r"downloading it failed: .*no route to host.*be online, or set KDLAB_DATA"):
        kind().load(0)


@pytest.mark.parametrize("kind", ALL)
def test_without_kdlab_data_the_cache_is_used(kind, data_root, offline, monkeypatch):
    monkeypatch.delenv("KDLAB_DATA")
    with pytest.raises(DataError, match="set KDLAB_DATA"):
        kind().load(0)


def test_kdlab_data_that_is_no_folder_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("KDLAB_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"KDLAB_DATA is .*gone.*no folder"):
        MNIST().load(0)


def test_a_cache_that_cannot_be_made_is_a_sentence(monkeypatch, tmp_path, offline):
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("KDLAB_DATA", raising=False)
    monkeypatch.setenv("KDLAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="downloading it failed"):
        MNIST().load(0)


@pytest.mark.parametrize(
    "damage", [b"", b"\0\0\x08\x03\0\0", b"not idx at all, but long enough to be parsed as such", None]
)
def test_damaged_idx_files_are_refused_by_place(damage, data_root, offline):
    folder = data_root / "MNIST/raw"
    write_mnist(folder)
    images = folder / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:5000] if damage is None else damage)
    with pytest.raises(DataError, match=r"MNIST in KDLAB_DATA cannot be read.*replace"):
        MNIST().load(0)


def test_labels_that_no_class_has_are_refused(data_root, offline):
    write_mnist(data_root / "MNIST/raw")
    labels = torch.arange(120, dtype=torch.uint8).numpy()
    write_idx(data_root / "MNIST/raw/train-labels-idx1-ubyte", labels)
    with pytest.raises(DataError, match="training labels run from 0 to 119"):
        MNIST().prepare(0)


def test_cifar_files_with_a_wrong_checksum_are_never_unpickled(data_root, offline):
    folder = data_root / official.CIFAR10.base_folder
    folder.mkdir()
    trap = b"cos\nmkdir\n(V" + str(data_root / "sprung").encode() + b"\ntR."
    for name, _ in [*official.CIFAR10.train_list, *official.CIFAR10.test_list, (official.CIFAR10.meta["filename"], "")]:
        (folder / name).write_bytes(trap)
    with pytest.raises(DataError, match="CIFAR10 in KDLAB_DATA cannot be read"):
        CIFAR10().load(0)
    assert not (data_root / "sprung").exists()


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch) -> Iterator[tuple[Path, str]]:
    """A folder and the address on this machine where it is served, so that torchvision's own download code runs."""
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "mirror"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def mnist_mirror(mirror, monkeypatch) -> Path:
    """MNIST's four files, packed and with the checksums that torchvision is told."""
    folder, address = mirror
    write_mnist(folder)
    resources = []
    for path in sorted(folder.iterdir()):
        packed = path.with_name(path.name + ".gz")
        packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        resources.append((packed.name, hashlib.md5(packed.read_bytes()).hexdigest()))
    monkeypatch.setattr(official.MNIST, "mirrors", [address])
    monkeypatch.setattr(official.MNIST, "resources", resources)
    return folder


def test_what_is_missing_is_downloaded_once_into_the_cache(data_root, mnist_mirror, monkeypatch):
    first = MNIST().load(0)
    assert (cache_folder() / "MNIST/raw/train-images-idx3-ubyte").is_file()
    assert not any(data_root.iterdir())
    monkeypatch.setattr(official.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    assert torch.equal(MNIST().load(0).images, first.images)


def test_a_download_that_broke_off_is_taken_up_again(data_root, mnist_mirror):
    labels = mnist_mirror / "t10k-labels-idx1-ubyte.gz"
    wanted = labels.read_bytes()
    labels.unlink()
    with pytest.raises(DataError, match=r"downloading it failed: .*404"):
        MNIST().load(0)
    labels.write_bytes(wanted)
    assert len(MNIST().load(0).test_labels) == 30


def test_a_download_with_other_content_is_refused(data_root, mnist_mirror):
    (mnist_mirror / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"other"))
    with pytest.raises(DataError, match=r"downloading it failed: .*(corrupt|MD5|not found)"):
        MNIST().load(0)


def test_cifar_is_downloaded_and_unpacked(data_root, mirror, tmp_path, monkeypatch):
    folder, address = mirror
    source = official.CIFAR100
    made = tmp_path / "made" / source.base_folder
    write_cifar(made, source, labels="fine_labels", classes=100, monkeypatch=monkeypatch)
    archive = folder / source.filename
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(made, source.base_folder)
    monkeypatch.setattr(source, "url", address + source.filename)
    monkeypatch.setattr(source, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert CIFAR100().load(0).images.shape == (200, 3, 32, 32)


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_the_real_files_are_read(name):
    folder = os.environ.get("KDLAB_DATA")
    if not folder or not (Path(folder) / name / "raw").is_dir():
        pytest.skip(f"KDLAB_DATA holds no {name}/raw")
    raw = read_torchvision(name)
    assert raw.images.shape == (60_000, 1, 28, 28)
    assert raw.test_images.shape == (10_000, 1, 28, 28)
    assert torch.bincount(raw.test_labels).tolist() == [1000] * 10 or name == "MNIST"
    assert 60 < raw.images.float().mean() < 75 or name == "MNIST"


def test_a_part_of_fashion_mnist_is_prepared_without_converting_the_rest():
    folder = os.environ.get("KDLAB_DATA")
    if not folder or not (Path(folder) / "FashionMNIST/raw").is_dir():
        pytest.skip("KDLAB_DATA holds no FashionMNIST/raw")
    data = FashionMNIST(train_size=10_000).prepare(0)
    assert len(data.train) == 8500
    assert len(data.validation) == 1500
    assert data.class_names[0] == "T-shirt/top"
    assert data.train.images.untyped_storage().nbytes() == 8500 * 28 * 28 * 4
