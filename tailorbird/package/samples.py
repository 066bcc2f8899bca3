"""`samples.npz`: a few held-out examples of each class, to try a model with."""

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tailorbird.errors import Corrupt
from tailorbird.package.signature import Signature

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE = "samples.npz"
PER_CLASS = 3
MOST_BYTES = 2**20
"""The most bytes of inputs in one file."""
HEADER_BYTES = 2**16


@dataclass(frozen=True, eq=False)
class Samples:
    """Examples [N, *shape] in the form of the model's inputs, and the indices of their true classes [N].

    The file has them as `inputs` and `labels` (int32), without compression and without objects.
    """

    inputs: "NDArray[np.generic]"
    labels: "NDArray[np.int32]"

    @classmethod
    def parse(cls, data: bytes, signature: Signature) -> "Samples":
        """Read the file of a model with this signature; raises Corrupt if it is invalid."""
        import numpy as np

        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > 2 * MOST_BYTES + HEADER_BYTES:
                    raise ValueError("its arrays are too large")
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                inputs, labels = arrays["inputs"], arrays["labels"]
        except Exception as error:  # zipfile and numpy raise many kinds for bytes that are not such an archive
            raise Corrupt(
                f"{FILE}: is not an archive of inputs and labels: {' '.join(str(error).split())[:200]}"
            ) from None
        expected = (len(labels), *signature.shape) if labels.ndim == 1 else None
        if inputs.shape != expected or inputs.dtype != signature.dtype or labels.dtype != np.int32:
            raise Corrupt(f"{FILE}: does not hold {signature.input} with their labels")
        if not np.isin(labels, np.arange(len(signature.classes))).all() or not np.isfinite(inputs).all():
            raise Corrupt(f"{FILE}: holds an unknown class, or a number that is not finite")
        return cls(inputs, labels)

    def encode(self) -> bytes:
        """The file."""
        import numpy as np

        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, inputs=self.inputs, labels=self.labels)
        return buffer.getvalue()

    def __len__(self) -> int:
        return len(self.labels)


def choose(labels: "NDArray[np.integer]", example_bytes: int) -> "NDArray[np.int64]":
    """The indices of the first few examples of each class that fit into a file, starting with one per class."""
    import numpy as np

    order = np.argsort(labels, kind="stable")
    classes = labels[order]
    ranks = np.arange(len(classes)) - np.searchsorted(classes, classes)
    few = ranks < PER_CLASS
    return order[few][np.lexsort((classes[few], ranks[few]))][: MOST_BYTES // example_bytes]
