import gzip
import hashlib
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tailorbird.errors import InvalidInput
from training import datasets, download
from training.config import DataConfig
from training.datasets import idx as module

FILE = Path("train-images")


def idx(array):
    """An IDX file, as the page of MNIST describes it."""
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@given(arrays.arrays(np.uint8, arrays.array_shapes(max_dims=4, max_side=4) | st.just((2, 0)) | st.just((0, 3, 3))))
def test_what_is_written_is_read(array):
    read = module.parse_idx(idx(array), FILE)
    assert read.dtype == np.uint8 and read.shape == array.shape
    assert (read == array).all()


def test_every_truncation_and_every_tail_is_refused():
    data = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    for length in range(len(data)):
        with pytest.raises(InvalidInput, match="is not a complete IDX file") as refused:
            module.parse_idx(data[:length], FILE)
        assert refused.value.field == "train-images"
    with pytest.raises(InvalidInput, match="41 bytes instead of 40"):
        module.parse_idx(data + b"\0", FILE)


@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"\0\0\x08" + tail))
@example(b"\0\0\x08\x00\x01")  # no dimensions
@example(b"\0\0\x08\x41" + 65 * b"\0\0\0\x01" + b"\x01")  # more dimensions than numpy has
@example(b"\0\0\x08\x04" + 4 * b"\0\x01\0\0")  # 2^64 pixels, which is 0 in 64 bits
@example(b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0")  # floats
def test_any_bytes_are_an_array_or_refused_by_name(data):
    try:
        array = module.parse_idx(data, FILE)
    except InvalidInput as refused:
        assert refused.field == "train-images"
    else:
        assert idx(array) == data


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small published set that cannot be downloaded: its files as they are published, and where they belong."""
    random = np.random.default_rng(0)
    contents = {
        "train-images-idx3-ubyte": idx(random.integers(0, 256, (6, 4, 4), np.uint8)),
        "train-labels-idx1-ubyte": idx(np.array([0, 1, 2, 0, 1, 2], np.uint8)),
        "t10k-images-idx3-ubyte": idx(random.integers(0, 256, (3, 4, 4), np.uint8)),
        "t10k-labels-idx1-ubyte": idx(np.array([2, 1, 1], np.uint8)),
    }
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    monkeypatch.setitem(
        module.SOURCES, "mnist", module.IdxSource("Small", "http://nowhere.invalid/", tuple("abc"), sums)
    )
    monkeypatch.setattr(download, "fetch", lambda *_: pytest.fail("nothing is missing, and yet it downloads"))
    raw = tmp_path / "Small" / "raw"
    raw.mkdir(parents=True)
    for name, data in contents.items():
        (raw / f"{name}.gz").write_bytes(gzip.compress(data))
    return tmp_path


def load(folder):
    return datasets.load(DataConfig(name="mnist"), folder, folder / "cache")


def files(folder):
    return sorted((folder / "Small" / "raw").iterdir())


def test_a_set_is_read_packed_or_not(folder):
    packed = load(folder)
    assert packed.inputs.shape == (6, 4, 4) and packed.test[0].shape == (3, 4, 4)
    assert packed.targets.tolist() == [0, 1, 2, 0, 1, 2] and packed.test[1].tolist() == [2, 1, 1]
    assert packed.targets.dtype == packed.test[1].dtype == np.int64
    for file in files(folder):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert load(folder).digest() == packed.digest()


@pytest.mark.parametrize("name", [
    "raw/{0}.idx{1}", "{0}-idx{1}", "{0}.idx{1}.gz", "{0}-idx{1}/{0}-idx{1}", "raw/{0}.idx{1}/{0}.idx{1}",
])  # fmt: skip
def test_names_that_other_publishers_give_are_known(folder, name):
    published = load(folder).digest()
    for file in files(folder):
        path = folder / "Small" / name.format(*file.name.removesuffix(".gz").split("-idx"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.read_bytes() if name.endswith(".gz") else gzip.decompress(file.read_bytes()))
        file.unlink()
    assert load(folder).digest() == published


def damaged(file, how):
    data = file.read_bytes()
    unpacked = gzip.decompress(data)
    match how:
        case "cut":
            file.write_bytes(data[:-9])
        case "emptied":
            file.write_bytes(b"")
        case "no gzip":
            file.write_bytes(b"<html>not found</html>")
        case "flipped inside":
            file.write_bytes(data[:20] + bytes([data[20] ^ 0xFF]) + data[21:])
        case "cut before it was packed":
            file.write_bytes(gzip.compress(unpacked[:-1]))
        case "wrong magic":
            file.write_bytes(gzip.compress(b"\0\0\x09" + unpacked[3:]))
        case "another set":
            file.write_bytes(gzip.compress(unpacked[:-1] + bytes([unpacked[-1] ^ 1])))
        case "unpacked and cut":
            file.unlink()
            file.with_suffix("").write_bytes(unpacked[:-1])
        case "a folder":
            file.unlink()
            file.mkdir()


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("cut", "cannot be unpacked"),
        ("emptied", "is not a complete IDX file"),
        ("no gzip", "cannot be unpacked"),
        ("flipped inside", "cannot be unpacked"),
        ("cut before it was packed", "is not a complete IDX file"),
        ("wrong magic", "it does not begin with 00 00 08"),
        ("another set", r"is not the published \S+ \(its SHA-256 sum differs\)"),
        ("unpacked and cut", "is not a complete IDX file"),
        ("a folder", "cannot be unpacked"),
    ],
)
@pytest.mark.parametrize("which", range(4))
def test_a_damaged_file_is_refused_by_name_with_what_to_do_about_it(folder, which, how, problem):
    file = files(folder)[which]
    damaged(file, how)
    with pytest.raises(InvalidInput, match=f"{problem}.*; delete it to download it again") as refused:
        load(folder)
    assert refused.value.field.removesuffix(".gz") == str(file.with_suffix(""))


def test_what_is_missing_is_known(folder):
    source = module.SOURCES["mnist"]
    assert source.missing(folder) == []
    assert source.missing(folder / "elsewhere") == list(source.sums)
    files(folder)[0].unlink()
    assert source.missing(folder) == ["t10k-images-idx3-ubyte"]


MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize(
    ("name", "train", "test", "mean", "deviation"),
    [
        ("fashion_mnist", [6000] * 10, [1000] * 10, 0.2860, 0.3530),
        ("mnist", MNIST_TRAIN, MNIST_TEST, 0.1307, 0.3081),
    ],
)
def test_the_published_sets_are_what_the_literature_says(published, name, train, test, mean, deviation):
    dataset = published(name)
    made = dataset.record()
    assert (made["train"], made["test"], made["shape"]) == (60_000, 10_000, [28, 28])
    assert [count["train"] for count in made["counts"].values()] == train
    assert [count["test"] for count in made["counts"].values()] == test
    counts = np.bincount(dataset.inputs.ravel(), minlength=256) / dataset.inputs.size
    values = np.arange(256) / 255
    assert counts @ values == pytest.approx(mean, abs=1e-4)
    assert math.sqrt(counts @ values**2 - (counts @ values) ** 2) == pytest.approx(deviation, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("fashion_mnist", "e65a94985b506d3c1569efbc7100718c1897ba51352ece14e9ef8a5ca5b203a2"),
        ("mnist", "9ed3a8b3f2335a54430b24a05d3807431c55d38eba3fb72194d5696fef01018c"),
    ],
)
def test_they_are_what_registered_versions_were_trained_on(published, name, digest):
    assert published(name).digest() == digest


def test_the_first_fashion_image_is_the_ankle_boot(published):
    dataset = published("fashion_mnist")
    assert [dataset.classes[label] for label in dataset.targets[:3]] == ["Ankle boot", "T-shirt/top", "T-shirt/top"]
