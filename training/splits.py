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
    """Deal a data set; raises InvalidInput where the sizes leave nothing to train on.

    What judges is dealt first: another size of validation neither changes nor leaks the held-out and test images.
    """
    ids = content_ids(dataset.images)
    sizes = {"holdout": config.holdout, "validation": config.validation}
    if dataset.test is None:
        sizes = {"test": config.test, **sizes}
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
    if isinstance(size, int):
        return size
    return max(1, round(size * total)) if size else 0


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
    key = seed.to_bytes(8, "big")
    ranked = sorted(groups, key=lambda identity: hashlib.blake2b(identity, key=key, digest_size=16).digest())
    classes = labels.tolist()
    quotas = _quotas(Counter(classes), counts)
    parts: dict[str, list[int]] = {name: [] for name in counts}
    for identity in ranked:
        wanted = [classes[member] for member in groups[identity]]  # copies may lie in several classes
        fits = (name for name in quotas if all(quotas[name][label] >= wanted.count(label) for label in wanted))
        if part := next(fits, None):
            parts[part] += groups[identity]
            quotas[part].subtract(wanted)
            if not any(quotas[part].values()):
                del quotas[part]
    dealt = {name: np.sort(np.asarray(members, np.int64)) for name, members in parts.items()}
    return dealt | {"train": np.setdiff1d(np.arange(len(ids)), np.concatenate([*dealt.values()]))}


def _quotas(present: Counter[int], counts: dict[str, int]) -> dict[str, Counter[int]]:
    """How many images of each class make each part, in proportion to what the parts before it left."""
    quotas = {}
    for name, count in counts.items():
        quotas[name] = _shares(present, count)
        present = present - quotas[name]
    return quotas


def _shares(present: Counter[int], count: int) -> Counter[int]:
    """`count` in proportion to what is present, by largest remainders."""
    exact = {label: count * number / present.total() for label, number in present.items()}
    shares = Counter({label: int(share) for label, share in exact.items()})
    by_remainder = sorted(exact, key=lambda label: (int(exact[label]) - exact[label], label))
    shares.update(by_remainder[: count - shares.total()])
    return shares


def _take(images: Images, labels: Labels, ids: NDArray[np.uint8], chosen: NDArray[np.int64]) -> Split:
    return Split(images[chosen], labels[chosen], ids[chosen])
