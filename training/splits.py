"""Which image is in which split: decided by its content and the split seed, never by the run's seed.

Images are sorted by a keyed hash of their pixels, so that a split stays what it is when the run, the order of the
file or the machine changes. Duplicates stay together, and splits are stratified by class.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tailorbird.errors import InvalidInput
from tailorbird.package.signature import DEPTH, GROUND
from training import distinct
from training.config import DataConfig, Kind
from training.datasets import Dataset, Inputs, Targets
from training.datasets.dataset import BLOCK_BYTES
from training.datasets.repeats import content_ids
from training.dealing import Dealing, Dealt

FEW = 20
"""Sets of labels with fewer examples than this are not strata."""
WITHOUT = {
    "holdout": "without held-out examples nothing can be registered; registering requires more different examples",
    "validation": "without validation the objective must be a figure of training",
}
TOGETHER, NUMBERS = 512, 2**22
"""The most examples, and values of examples, that are evaluated at once: activations take far more memory."""


@dataclass(frozen=True)
class Split:
    """Some examples of a data set: those of `inputs` at `places` [N], with their targets [N, ...] and ids [N, 16].

    `inputs` are shared by splits and may lie on disk, so they are never copied whole; an id is the hash of an example.
    """

    inputs: Inputs
    places: NDArray[np.int64]
    targets: Targets
    ids: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.inputs.shape[1:]

    @property
    def together(self) -> int:
        """The number of examples that are evaluated at once."""
        return max(1, min(TOGETHER, NUMBERS // math.prod(self.shape)))

    def at(self, chosen: slice | NDArray[np.int64]) -> Inputs:
        """The inputs of some of its examples, copied."""
        return self.inputs[self.places[chosen]]

    def batches(self, size: int) -> Iterator[Inputs]:
        """All its inputs in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.at(slice(start, start + size))

    def blocks(self) -> Iterator[Inputs]:
        """All its inputs in order, a few megabytes at a time."""
        return self.batches(max(1, BLOCK_BYTES // max(1, self.inputs[:1].nbytes)))

    def only(self, chosen: slice | NDArray[np.int64]) -> "Split":
        """Some of its examples, as another split."""
        return Split(self.inputs, self.places[chosen], self.targets[chosen], self.ids[chosen])


@dataclass(frozen=True)
class Splits:
    """The splits of a data set for a run; `notes` tell the user how it was read and split."""

    kind: Kind
    classes: tuple[str, ...]
    columns: tuple[str, ...] | None
    train: Split
    validation: Split
    holdout: Split
    test: Split
    notes: tuple[str, ...] = ()
    depth: int = DEPTH
    ground: int = GROUND

    def absent(self, part: Split) -> list[str]:
        """The classes, quoted, without examples in a part; none if examples are not of one class."""
        if self.kind not in ("multiclass", "binary"):
            return []
        counts = np.bincount(part.targets.astype(np.int64), minlength=len(self.classes))
        return [repr(label) for label, count in zip(self.classes, counts, strict=True) if not count]

    def without_verdicts(self) -> "Splits":
        """The splits for trials, which never see the held-out and test examples."""
        nothing = self.train.only(slice(0))
        return replace(self, holdout=nothing, test=nothing)


def split(dataset: Dataset, config: DataConfig) -> Splits:
    """Split a data set; raises InvalidInput if sizes leave nothing to train on, or a requested part is empty.

    Test and held-out come first: another size of validation neither changes nor leaks their examples.
    """
    ids = content_ids(dataset.inputs)
    sizes = {"test": config.test, "holdout": config.holdout, "validation": config.validation}
    counts = {name: _count(size, len(ids)) for name, size in sizes.items() if name not in dataset.parts}
    _check_room(counts, dataset)
    dealing = Dealing(ids, _strata(dataset), config.split_seed)
    dealt = dealing.deal(counts)
    _check_dealt(dataset, dealt, counts, dealing)
    parts = {
        name: Split(dataset.inputs, places, dataset.targets[places], ids[places]) for name, places in dealt.items()
    }
    for name, (inputs, targets) in dataset.parts.items():
        if name != "train":
            parts[name] = Split(inputs, np.arange(len(targets)), targets, content_ids(inputs))
    train, validation, holdout, test = (parts[name] for name in ("train", "validation", "holdout", "test"))
    splits = Splits(dataset.kind, dataset.classes, dataset.columns, train, validation, holdout, test)
    own = (*_set_aside(dataset, config), *_leaks(dataset, splits), *distinct.notes(dataset))
    notes = (*dataset.notes, *_notes(splits, counts), *own)
    return replace(splits, notes=notes, depth=dataset.depth, ground=dataset.ground)


def _strata(dataset: Dataset) -> NDArray[np.int64]:
    """The stratum of each example: its class, or its set of labels; numbers are one stratum.

    All rare sets of labels are one stratum too: shares of a single example would be rounded by the order of sets.
    """
    if dataset.kind == "regression":
        return np.zeros(len(dataset.targets), np.int64)
    if dataset.kind == "multilabel":
        sets = np.unique(dataset.targets, axis=0, return_inverse=True)[1].reshape(-1)
        return np.where(np.bincount(sets)[sets] < FEW, -1, sets)
    return dataset.targets.astype(np.int64, copy=False)


def _count(size: float, total: int) -> int:
    if isinstance(size, int):
        return size
    return max(1, round(size * total)) if size else 0


def _check_room(counts: dict[str, int], dataset: Dataset) -> None:
    total, least = len(dataset.targets), len(dataset.classes)
    if total - sum(counts.values()) < least:
        wanted = ", ".join(f"data.{name} {count}" for name, count in counts.items())
        raise InvalidInput(
            f"data.{max(counts, key=lambda name: counts[name])}",
            f"{wanted} leave fewer than {least} of the {total} examples of {dataset.name} to train on; "
            f"accepted: together at most {total - least}",
        )


def _check_dealt(dataset: Dataset, dealt: Dealt, counts: dict[str, int], dealing: Dealing) -> None:
    """Refuse a part that is requested and empty, naming sizes at which none is."""
    if not (name := next((name for name in counts if counts[name] and not len(dealt[name])), None)):
        return
    sizes = dealing.sizes(counts, len(dataset.targets) - len(dataset.classes))
    wanted = {part: size for part, size in (sizes or {}).items() if counts[part]}
    named = ", ".join(f"data.{part} {size}" for part, size in wanted.items())
    without = "".join(f"; {why}" for part, why in WITHOUT.items() if wanted.get(part) == 0)
    noted = f" ({'; '.join(dataset.notes)})" if dataset.notes else ""
    raise InvalidInput(
        f"data.{name}",
        f"{counts[name]} of {dataset.name} cannot be split off: equal examples stay together, and they are "
        f"more{noted}; "
        f"accepted: {f'together {named}{without}' if sizes else 'data of more different examples'}",
    )


def _notes(splits: Splits, counts: dict[str, int]) -> Iterator[str]:
    parts = {"validation": splits.validation, "holdout": splits.holdout, "test": splits.test}
    for name, part in parts.items():
        if len(part) < counts.get(name, 0):
            yield f"data.{name} has {len(part):,} of {counts[name]:,}: equal examples stay together"
        if len(part) and (absent := splits.absent(part)):
            yield f"data.{name} has no examples of {', '.join(absent)}, so its figures say nothing about them"


def _set_aside(dataset: Dataset, config: DataConfig) -> Iterator[str]:
    for name in ("validation", "test"):
        if name in dataset.parts and getattr(config, name) != DataConfig.model_fields[name].default:
            yield f"data.{name} is ignored: {dataset.name} comes with a {name} split of its own"


def _leaks(dataset: Dataset, splits: Splits) -> Iterator[str]:
    """Notes of examples that are in an earlier split too; parts that are split from one pool share none."""
    shared = [("training", "train", name) for name in dataset.parts if name != "train"]
    if "validation" in dataset.parts:
        shared += [("validation", "validation", name) for name in ("holdout", "test")]
    for part, earlier, name in shared:
        known = {identity.tobytes() for identity in getattr(splits, earlier).ids}
        ids = getattr(splits, name).ids
        if again := sum(identity.tobytes() in known for identity in ids):
            yield f"{again:,} of {len(ids):,} {name} examples are in the {part} split too, and make the {name} easier"
