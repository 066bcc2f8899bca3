"""Which image is trained on, chosen on and held out: by its content and a seed, never by the run's seed.

Images are sorted by a keyed hash of their pixels, so that a split stays what it is when the run, the order of the
file or the machine changes. Copies of one image go together, and each class is dealt in proportion.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tailorbird.errors import InvalidInput
from training.config import DataConfig
from training.datasets import Dataset, Images, Labels

ID_BYTES = 16


@dataclass(frozen=True)
class Split:
    """Some images with their labels and ids; an id [16 bytes] is the hash of an image's pixels."""

    images: Images
    labels: Labels
    ids: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """What a run sees of a data set."""

    classes: tuple[str, ...]
    train: Split
    validation: Split
    holdout: Split
    test: Split

    def without_verdicts(self) -> "Splits":
        """What trials are given: the images that judge a candidate stay out of their reach."""
        nothing = Split(self.train.images[:0], self.train.labels[:0], self.train.ids[:0])
        return replace(self, holdout=nothing, test=nothing)


def split(dataset: Dataset, config: DataConfig) -> Splits:
    """Deal a data set; raises InvalidInput where the sizes leave nothing to train on."""
    ids = content_ids(dataset.images)
    sizes = {"validation": config.validation, "holdout": config.holdout}
    if dataset.test is None:
        sizes["test"] = config.test
    counts = {name: _count(size, len(ids)) for name, size in sizes.items()}
    _check_room(counts, dataset)
    dealt = _deal(ids, dataset.labels, counts, config.split_seed)
    parts = {name: _take(dataset.images, dataset.labels, ids, dealt[name]) for name in dealt}
    if dataset.test is not None:
        images, labels = dataset.test
        parts["test"] = Split(images, labels, content_ids(images))
    return Splits(dataset.classes, **parts)


def content_ids(images: Images) -> NDArray[np.uint8]:
    """The id of each image [N, 16]: BLAKE2b of its pixels."""
    joined = b"".join(hashlib.blake2b(image, digest_size=ID_BYTES).digest() for image in np.ascontiguousarray(images))
    return np.frombuffer(joined, np.uint8).reshape(-1, ID_BYTES)


def _count(size: float, total: int) -> int:
    return size if isinstance(size, int) else round(size * total)


def _check_room(counts: dict[str, int], dataset: Dataset) -> None:
    total, least = len(dataset.labels), len(dataset.classes)
    if total - sum(counts.values()) < least:
        wanted = ", ".join(f"data.{name} {count}" for name, count in counts.items())
        raise InvalidInput(
            f"data.{max(counts, key=lambda name: counts[name])}",
            f"{wanted} leave fewer than {least} of the {total} images of {dataset.name} to train on; "
            f"accepted: together at most {total - least}",
        )


def _deal(ids: NDArray[np.uint8], labels: Labels, counts: dict[str, int], seed: int) -> dict[str, NDArray[np.int64]]:
    """Indices of each part; groups of equal images are dealt whole, each class by its share."""
    groups: dict[bytes, list[int]] = {}
    for position, identity in enumerate(map(bytes, ids)):
        groups.setdefault(identity, []).append(position)
    key = seed.to_bytes(8, "big", signed=False)
    ranked = sorted(groups, key=lambda identity: hashlib.blake2b(identity, key=key, digest_size=16).digest())
    quotas = {name: _quotas(labels, count) for name, count in counts.items()}
    parts: dict[str, list[int]] = {name: [] for name in (*counts, "train")}
    for identity in ranked:
        members = groups[identity]
        label = int(labels[members[0]])
        part = next((name for name in counts if quotas[name][label] >= len(members)), "train")
        parts[part] += members
        if part != "train":
            quotas[part][label] -= len(members)
    return {name: np.sort(np.asarray(members, np.int64)) for name, members in parts.items()}


def _quotas(labels: Labels, count: int) -> Counter[int]:
    """How many images of each class make `count` in proportion (largest remainders)."""
    present = Counter(labels.tolist())
    exact = {label: count * number / len(labels) for label, number in present.items()}
    quotas = Counter({label: int(share) for label, share in exact.items()})
    by_remainder = sorted(exact, key=lambda label: (int(exact[label]) - exact[label], label))
    quotas.update(by_remainder[: count - quotas.total()])
    return quotas


def _take(images: Images, labels: Labels, ids: NDArray[np.uint8], chosen: NDArray[np.int64]) -> Split:
    return Split(images[chosen], labels[chosen], ids[chosen])
