"""`heldout.npy`: the held-out examples that a version was evaluated on, with its predictions."""

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tailorbird.errors import Corrupt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE = "heldout.npy"
ID_BYTES = 16


@dataclass(frozen=True, eq=False)
class Heldout:
    """Examples by id [N, 16], a version's probabilities [N, classes], true classes [N].

    The file has a record for each: `id` (16 bytes), `label` (int32, the index of the true class) and `probabilities`
    (float32).
    """

    ids: "NDArray[np.uint8]"
    probabilities: "NDArray[np.float32]"
    labels: "NDArray[np.int32]"

    @classmethod
    def parse(cls, data: bytes, classes: int) -> "Heldout":
        """Read the file of a model with `classes` classes; raises Corrupt if it is invalid."""
        import numpy as np

        try:
            records = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        except Exception as error:  # numpy's parser raises many kinds for bytes that are not an array of plain numbers
            problem = " ".join(str(error).split())[:200]
            raise Corrupt(f"{FILE}: is not an array without objects: {problem}") from None
        if records.ndim != 1 or records.dtype != _layout(classes):
            raise Corrupt(
                f"{FILE}: must have records of id (u1[{ID_BYTES}]), label (<i4) and probabilities "
                f"(<f4[{classes}]), not {str(records.dtype)[:200]}"
            )
        labels = records["label"]
        if not len(records):
            raise Corrupt(f"{FILE}: holds no image")
        if not (labels.min() >= 0 and labels.max() < classes):
            raise Corrupt(f"{FILE}: holds labels from {labels.min()} to {labels.max()}, not from 0 to {classes - 1}")
        return cls(np.ascontiguousarray(records["id"]), records["probabilities"], labels)

    def encode(self) -> bytes:
        """The file."""
        import numpy as np

        records = np.empty(len(self), _layout(self.probabilities.shape[1]))
        records["id"], records["label"], records["probabilities"] = self.ids, self.labels, self.probabilities
        buffer = io.BytesIO()
        np.save(buffer, records, allow_pickle=False)
        return buffer.getvalue()

    def __len__(self) -> int:
        return len(self.ids)

    def only(self, chosen: "NDArray[np.int64]") -> "Heldout":
        """The examples at some indices."""
        return Heldout(self.ids[chosen], self.probabilities[chosen], self.labels[chosen])

    @cached_property
    def finite(self) -> "NDArray[np.bool_]":
        """Which examples have a finite answer [N]: argmax would take NaN as the largest, and be right by chance."""
        import numpy as np

        return np.asarray(np.isfinite(self.probabilities).all(1))

    @cached_property
    def split(self) -> str:
        """An id of these examples, independent of their order: SHA-256 over the sorted ids."""
        import numpy as np

        halves = np.ascontiguousarray(self.ids).view(">u8")
        return hashlib.sha256(self.ids[np.lexsort((halves[:, 1], halves[:, 0]))].tobytes()).hexdigest()


def _layout(classes: int) -> "np.dtype[Any]":
    import numpy as np

    fields: list[Any] = [("id", "u1", (ID_BYTES,)), ("label", "<i4"), ("probabilities", "<f4", (classes,))]
    return np.dtype(fields)
