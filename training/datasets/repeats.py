"""Duplicate examples, found by the hash of their content, and those with contradicting classes."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from training.datasets.dataset import Inputs, Targets, blocks

ID_BYTES = 16


def content_ids(inputs: Inputs) -> NDArray[np.uint8]:
    """The id of each example [N, 16]: BLAKE2b of its pixels, or of its numbers."""
    joined = bytearray()
    for block in blocks(inputs):
        for example in block:
            joined += hashlib.blake2b(example, digest_size=ID_BYTES).digest()
    return np.frombuffer(joined, np.uint8).reshape(-1, ID_BYTES)


def contradictions(
    things: str, names: Sequence[str], inputs: Inputs, targets: Targets, classes: Sequence[str]
) -> Iterator[str]:
    """A note of equal examples of different classes, if there are any; `names` are shown in it."""
    return of_ids(things, names, content_ids(inputs), targets, classes)


def of_ids(
    things: str, names: Sequence[str], ids: NDArray[np.uint8], targets: Targets, classes: Sequence[str]
) -> Iterator[str]:
    """The same, for examples whose ids are known."""
    high, low = ids.view(">u8").reshape(-1, 2).T
    order = np.lexsort((low, high))
    changes = np.r_[True, (np.diff(high[order]) != 0) | (np.diff(low[order]) != 0)][: len(order)]
    group = np.cumsum(changes) - 1
    labels = targets[order]
    first = np.flatnonzero(changes)[group]
    other = np.flatnonzero(labels != labels[first])
    if not len(other):
        return
    count = int(np.isin(group, group[other]).sum())
    nearest = other[np.argmin(order[other])]
    one, two = sorted((int(order[first[nearest]]), int(order[nearest])))
    yield (
        f"{count:,} of {len(ids):,} {things} are identical to one of another class, such as {names[one]} "
        f"({classes[int(targets[one])]!r}) and {names[two]} ({classes[int(targets[two])]!r})"
    )
