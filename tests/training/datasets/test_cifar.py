import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailorbird.errors import InvalidInput, NotFound
from training import datasets
from training.config import DataConfig
from training.datasets import cifar, kept


@pytest.fixture
def load(tmp_path):
    return lambda folder: datasets.load(DataConfig(name="cifar10"), folder, tmp_path / "cache")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(cifar, "BATCH", 20)


def batches():
    """The binary version with 20 records a batch: a label, then red, green and blue planes."""
    random = np.random.default_rng(0)
    for part in cifar.BATCHES.values():
        for name in part:
            records = random.integers(0, 256, (20, 3073), np.uint8)
            records[:, 0] = random.permutation(20) % 10
            yield name, records


def written(folder, content):
    folder.mkdir(exist_ok=True)
    for name, records in content.items():
        (folder / name).write_bytes(records.tobytes())


def check(made, content):
    names = [f"data_batch_{number}.bin" for number in range(1, 6)]
    for inputs, targets, wanted in ((made.inputs, made.targets, names), (*made.test, ["test_batch.bin"])):
        records = np.concatenate([content[name] for name in wanted])
        assert (targets == records[:, 0]).all() and targets.dtype == np.int64
        for channel in range(3):
            planes = records[:, 1 + 1024 * channel : 1025 + 1024 * channel].reshape(-1, 32, 32)
            assert (inputs[..., channel] == planes).all()


def test_its_binary_version_is_read_unpacked_and_packed(tmp_path, load, small):
    content = dict(batches())
    written(tmp_path / "cifar-10-batches-bin", content)
    (tmp_path / "cifar-10-batches-bin" / "batches.meta.txt").write_text("airplane\n")
    dataset = load(tmp_path)
    assert (dataset.name, dataset.classes, dataset.kind) == ("cifar10", cifar.CLASSES, "multiclass")
    check(dataset, content)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with tarfile.open(elsewhere / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, records in reversed(content.items()):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = records.nbytes
            archive.addfile(member, io.BytesIO(records.tobytes()))
    assert load(elsewhere).digest() == dataset.digest()


@pytest.mark.parametrize("damage", ["missing", "cut", "label"])
def test_a_damaged_binary_version_is_told(tmp_path, load, small, damage):
    content = dict(batches())
    if damage == "missing":
        del content["data_batch_3.bin"]
    else:
        records = content["data_batch_3.bin"]
        content["data_batch_3.bin"] = records[:-1] if damage == "cut" else np.full_like(records, 10)
    written(tmp_path / "cifar-10-batches-bin", content)
    with pytest.raises(
        InvalidInput,
        match=r"data_batch_3\.bin.*get the complete set from .*cs\.toronto\.edu",
    ):
        load(tmp_path)


def test_where_it_is_missing_what_to_put_where_is_said(tmp_path, load):
    with pytest.raises(NotFound) as refused:
        load(tmp_path)
    message = str(refused.value)
    for part in (str(tmp_path), "cifar-10-binary.tar.gz", cifar.PAGE, "cifar10/train/CLASS/*.png", "cifar10.zip"):
        assert part in message


def images(folder, classes, parts=("train", "test"), size=(32, 32)):
    for part in parts:
        for number, label in enumerate(classes):
            path = folder / part / label / "1.png"
            path.parent.mkdir(parents=True)
            image = Image.new("RGB", size, (number, 0, 0))
            image.putpixel((1, 1), (255, 255, 255))  # one value alone would be refused
            image.save(path)


def test_a_folder_of_its_images_is_read(tmp_path, load):
    images(tmp_path / "cifar10", cifar.CLASSES)
    dataset = load(tmp_path)
    assert dataset.name == "cifar10" and dataset.inputs[:, 0, 0, 0].tolist() == dataset.targets.tolist() == [*range(10)]


@pytest.mark.parametrize(("classes", "parts"), [(("a", "b"), ("train", "test")), (cifar.CLASSES, ("train",))])
def test_images_of_another_set_are_refused(tmp_path, load, classes, parts):
    images(tmp_path / "cifar10", classes, parts)
    with pytest.raises(InvalidInput, match="is not CIFAR-10"):
        load(tmp_path)


@pytest.mark.long
def test_the_copy_of_jpegs_is_what_it_should_be(data_folder, tmp_path, monkeypatch):
    made = datasets.load(DataConfig(name="cifar10"), data_folder("cifar10"), tmp_path)
    told = made.record()
    assert (told["train"], told["test"], told["shape"]) == (50_000, 10_000, [32, 32, 3])
    assert all(count == {"train": 5000, "validation": 0, "test": 1000} for count in told["counts"].values())
    mean = made.inputs.mean((0, 1, 2)) / 255
    assert mean == pytest.approx([0.4914, 0.4822, 0.4465], abs=2e-3)  # as the literature has it of the original
    monkeypatch.setattr(kept, "_keep", lambda *_: pytest.fail("decodes what is decoded"))
    again = datasets.load(DataConfig(name="cifar10"), Path(data_folder("cifar10")), tmp_path)
    assert (again.targets == made.targets).all()
