"""Memory-mapped arrays: read page by page on access, and sent to other processes by file name."""

import math
import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird.errors import Unavailable


class Mapped(np.ndarray):
    """A read-only array in a file.

    It is pickled as a reference to that file; slices of it are pickled as plain arrays.
    """

    _path: Path | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is None:
            return np.asarray(self).__reduce__()  # type: ignore[return-value]
        return opened, (self._path,)


def opened(path: Path) -> NDArray[Any]:
    """A whole `.npy` file as a mapped array; raises Unavailable if the file is not on this machine, or is truncated."""
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if path.stat().st_size != file.tell() + math.prod(shape) * dtype.itemsize:
                raise ValueError("its length differs from that in its header")
            if not math.prod(shape):  # zero bytes cannot be mapped
                return np.zeros(shape, dtype)
            buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            array = np.frombuffer(buffer, dtype, offset=file.tell()).reshape(shape).view(Mapped)
    except FileNotFoundError:
        raise Unavailable(
            f"{path} is not on this machine; TAILORBIRD_CACHE_DIR must name a folder that all machines of a sweep share"
        ) from None
    except (OSError, ValueError) as error:
        raise Unavailable(f"{path} cannot be read ({error}); delete it to recreate it") from None
    array._path = path
    return array
