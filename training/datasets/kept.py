"""A cache of decoded data sets, each written atomically to a folder of its own and memory-mapped afterwards.

It may be deleted whenever no run uses it, and is then written again.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird.errors import Unavailable
from tailorbird.files import flush, locked, new_folder
from tailorbird.package.signature import DEPTH, GROUND
from training.datasets.dataset import PARTS, Dataset, Targets
from training.datasets.mapped import opened

INPUTS = {part: f"{part}.npy" for part in PARTS}
TARGETS = {part: f"{part}_targets.npy" for part in PARTS}
INDEX = "index.json"
MARGIN_BYTES = 2**27


def load(cache: Path, source: Any, name: str, make: Callable[[Path], None]) -> Dataset:
    """The data set that `make` writes into a folder by `write`, unless one from the same `source` is cached.

    Raises Unavailable if the folder cannot be written.
    """
    folder = cache / "datasets" / hashlib.sha256(json.dumps(source).encode()).hexdigest()[:32]
    if not _whole(folder):
        _keep(folder, make)
    index = json.loads((folder / INDEX).read_bytes())
    parts: dict[str, Any] = {
        part: (opened(folder / INPUTS[part]), np.load(folder / TARGETS[part])) for part in index["parts"]
    }
    inputs, targets = parts.pop("train")
    classes, notes = tuple(index["classes"]), tuple(index["notes"])
    return Dataset(
        name, classes, inputs, targets, kind=index["kind"], notes=notes,
        depth=index["depth"], ground=index["ground"], **parts,
    )  # fmt: skip


def finish(
    folder: Path,
    classes: Sequence[str],
    targets: dict[str, Targets],
    notes: Sequence[str],
    depth: int = DEPTH,
    ground: int = GROUND,
) -> None:
    """Write the targets and metadata of the inputs that are already in `folder`."""
    for part, values in targets.items():
        np.save(folder / TARGETS[part], values)
    kind = "binary" if len(classes) == 2 else "multiclass"
    index = {
        "classes": list(classes),
        "kind": kind,
        "notes": list(notes),
        "parts": list(targets),
        "depth": depth,
        "ground": ground,
    }
    (folder / INDEX).write_text(json.dumps(index))


class RowWriter:
    """A file of inputs whose rows any thread may write, each by its index."""

    def __init__(self, path: Path, rows: int, shape: Sequence[int]) -> None:
        """Create a file of uint8 [rows, *shape]; raises Unavailable if the disk has no room for it."""
        self._row = int(np.prod(shape, dtype=np.int64))
        _check_room(path.parent, rows * self._row)
        self._file = path.open("wb")
        header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *shape)}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._file.truncate(self._file.tell() + rows * self._row)
        self._start = self._file.tell()
        self._file.flush()

    def write(self, row: int, values: NDArray[np.uint8]) -> None:
        """Write one row, or several consecutive ones."""
        data, offset = np.ascontiguousarray(values).data.cast("B"), self._start + row * self._row
        while data:
            written = os.pwrite(self._file.fileno(), data, offset)
            data, offset = data[written:], offset + written

    def close(self) -> None:
        self._file.close()


def without(path: Path, rows: Sequence[int], shape: Sequence[int]) -> None:
    """Remove rows from a file of inputs."""
    before = opened(path)
    left = np.setdiff1d(np.arange(len(before)), rows)
    hidden = path.with_suffix(".left")
    after = RowWriter(hidden, len(left), shape)
    for start in range(0, len(left), 256):
        after.write(start, before[left[start : start + 256]])
    after.close()
    hidden.replace(path)


def _whole(folder: Path) -> bool:
    return all((folder / name).exists() for name in (INDEX, INPUTS["train"], TARGETS["train"]))


def _keep(folder: Path, make: Callable[[Path], None]) -> None:
    try:
        with locked(folder.with_suffix(".locked")):
            if _whole(folder):  # another process was faster
                return
            for rest in (folder, *folder.parent.glob(f".{folder.name}-*")):  # by a process that died here
                shutil.rmtree(rest, ignore_errors=True)
            with new_folder(folder) as partial:
                make(partial)
                for path in partial.iterdir():
                    flush(path)
    except OSError as error:
        raise Unavailable(
            f"{folder} cannot be written: {error.strerror}; set the folder of decoded images by TAILORBIRD_CACHE_DIR"
        ) from None


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + MARGIN_BYTES:
        raise Unavailable(
            f"{needed / 1e9:.2f} GB of decoded images do not fit into {folder.parent}, which has {free / 1e9:.2f} GB "
            f"free; set TAILORBIRD_CACHE_DIR to another folder, or data.size to fewer pixels"
        )
