"""Data sets that are published as IDX files: read from disk, or downloaded there first."""

import gzip
import hashlib
import math
import struct
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tailorbird.errors import InvalidInput
from training import download
from training.datasets.dataset import Dataset, Images


@dataclass(frozen=True)
class IdxSource:
    """A data set of four IDX files: where it is published, and the SHA-256 sums of the unpacked files."""

    folder: str
    url: str
    classes: tuple[str, ...]
    sums: dict[str, str]

    def path(self, data: Path, stem: str) -> Path | None:
        """The path of a file below the folder of data sets, unpacked or not; None if it is missing.

        Other publishers write `.idx3` for `-idx3`, leave `raw` out, or pack a file into a folder of its own name.
        """
        names = [f"{name}{suffix}" for name in (stem, stem.replace("-idx", ".idx")) for suffix in ("", ".gz")]
        folders = (data / self.folder / "raw", data / self.folder)
        paths = (folder / name for folder in folders for name in (*(f"{name}/{name}" for name in names), *names))
        return next((path for path in paths if path.exists()), None)

    def missing(self, data: Path) -> list[str]:
        """The files that would have to be downloaded."""
        return [stem for stem in self.sums if self.path(data, stem) is None]


_AGAIN = "delete it to download it again"
_DIGITS = tuple("0123456789")
_GARMENTS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

SOURCES = {
    # Xiao, Rasul & Vollgraf 2017, https://github.com/zalandoresearch/fashion-mnist (MIT)
    "fashion_mnist": IdxSource(
        "FashionMNIST",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        _GARMENTS,
        {
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
    # LeCun, Cortes & Burges, http://yann.lecun.com/exdb/mnist/, from the mirror that torchvision uses
    "mnist": IdxSource(
        "MNIST",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        _DIGITS,
        {
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
}


def load(name: str, folder: Path, timeout: float) -> Dataset:
    """Read a published set below `folder`, downloading what is missing.

    Raises InvalidInput for a damaged file or one that is not the published one, Unavailable if a download gets no
    response within `timeout` seconds.
    """
    source = SOURCES[name]
    arrays = [_read(folder, stem, source, timeout) for stem in source.sums]
    images, labels, test_images, test_labels = arrays
    return Dataset(name, source.classes, images, labels.astype(np.int64), (test_images, test_labels.astype(np.int64)))


FOLDER = "set the folder of data sets by TAILORBIRD_DATA_DIR"


def _read(folder: Path, stem: str, source: IdxSource, timeout: float) -> Images:
    path = source.path(folder, stem)
    if path is None:
        path = folder / source.folder / "raw" / f"{stem}.gz"
        check = partial(download.check_unpacked, sha256=source.sums[stem])
        download.fetch(f"{source.url}{stem}.gz", path, check, timeout, FOLDER)
    data = _unpacked(path)
    array = parse_idx(data, path)
    if hashlib.sha256(data).hexdigest() != source.sums[stem]:
        raise InvalidInput(str(path), f"is not the published {stem} (its SHA-256 sum differs); {_AGAIN}")
    return array


def _unpacked(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(str(path), f"cannot be unpacked ({error}); {_AGAIN}") from None


def parse_idx(data: bytes, path: Path) -> Images:
    """An IDX file of unsigned bytes as an array; `path` is for the error. Format: yann.lecun.com/exdb/mnist."""
    wrong = f"is not a complete IDX file of unsigned bytes (%s); {_AGAIN}"
    if len(data) < 4 or data[:3] != b"\x00\x00\x08" or not 1 <= data[3] <= 4:
        raise InvalidInput(str(path), wrong % "it does not begin with 00 00 08 and 1 to 4 dimensions")
    header = 4 + 4 * data[3]
    if len(data) < header:
        raise InvalidInput(str(path), wrong % f"its header of {header} bytes is truncated")
    shape = struct.unpack(f">{data[3]}I", data[4:header])
    expected = header + math.prod(shape)
    if len(data) != expected:
        raise InvalidInput(str(path), wrong % f"{len(data)} bytes instead of {expected}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
