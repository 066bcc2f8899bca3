"""The class and split of each image of a tree, inferred from its path."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tailorbird import classes
from tailorbird.errors import InvalidInput
from training.datasets.dataset import PARTS

NAMED = 3
DEEP = 3
"""Parts of an image's path: its split, its class and its name."""
CALLED = {
    **dict.fromkeys(("train", "training", "train_set", "training_set"), "train"),
    **dict.fromkeys(("test", "testing", "test_set", "testing_set"), "test"),
}
"""Names of folders of splits, in lower case."""
BESIDE_TRAIN = dict.fromkeys(("validation", "validation_set", "val", "val_set", "valid", "dev"), "validation")
"""Other names of splits, if there is a `train`; without one they may be classes."""


@dataclass(frozen=True)
class Layout:
    """Where each image belongs: its split and its row there; classes by name, targets by split and row.

    `notes` point out what may not be intended.
    """

    classes: tuple[str, ...]
    places: dict[str, tuple[str, int]]
    targets: dict[str, list[int]]
    notes: tuple[str, ...] = ()


def layout(root: Path, names: Sequence[str]) -> Layout:
    """Infer splits and classes from the paths of all images; raises InvalidInput if these are ambiguous.

    Rows are sorted by split, class and name, whatever the order in an archive.
    """
    steps = dict(zip(names, _below(names), strict=True))
    belongs = {name: _part_and_class(root, parts) for name, parts in steps.items()}
    if len(belongs) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise InvalidInput(str(root), f"holds {twice!r} more than once")
    labels = {part: {label for its, label in belongs.values() if its == part} for part in PARTS}
    classes_by_part = {part: sorted(its, key=classes.order) for part, its in labels.items()}
    _check_classes(root, classes_by_part)
    places: dict[str, tuple[str, int]] = {}
    targets: dict[str, list[int]] = {part: [] for part in classes_by_part if classes_by_part[part]}
    index = {label: index for index, label in enumerate(classes_by_part["train"])}
    for part, target, name in sorted((part, index[label], name) for name, (part, label) in belongs.items()):
        places[name] = part, len(targets[part])
        targets[part].append(target)
    notes = (*_forms(steps.values()), *_deeper(steps.values()))
    return Layout(tuple(classes_by_part["train"]), places, targets, notes)


def _forms(steps: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A note of classes whose folders have several spellings: composed and decomposed, with and without spaces."""
    forms = defaultdict(set)
    for step in steps:
        forms[classes.normal(step[1])].add(step[1])
    if several := [
        f"{label!r} of {' and '.join(map(ascii, sorted(of)))}" for label, of in forms.items() if len(of) > 1
    ]:
        yield f"folders whose names differ only in form were merged into one class: {some(several)}"


def _deeper(steps: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A note of folders inside class folders, which may be the real classes."""
    below: dict[str, Counter[str]] = defaultdict(Counter)
    for step in steps:
        if len(step) > DEEP:
            below[step[1]][step[2]] += 1
    if below:
        counted = [f"{name!r} ({some([f'{name_in_part!r} {count:,}' for name_in_part, count in sorted(of.items())])})"
                for name, of in sorted(below.items())]  # fmt: skip
        yield (
            f"folders inside a class folder were ignored, and their images count for that class: {some(counted)}; if "
            f"they are the classes, move them up"
        )


def _below(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The parts of each path, without the folders that contain all of them."""
    paths = [PurePosixPath(name).parts for name in names]
    while _part(paths[0][0]) is None and all(len(path) > 2 and path[0] == paths[0][0] for path in paths):
        paths = [path[1:] for path in paths]
    parts = [_part(path[0]) for path in paths]
    others = {path[0].lower() for part, path in zip(parts, paths, strict=True) if part is None}
    if "train" in parts or ("test" in parts and others <= BESIDE_TRAIN.keys()):
        parts = [part or BESIDE_TRAIN.get(path[0].lower(), path[0]) for part, path in zip(parts, paths, strict=True)]
    return [(part, *path[1:]) if part else ("train", *path) for part, path in zip(parts, paths, strict=True)]


def _part(folder: str) -> str | None:
    return CALLED.get(folder.lower())


def _part_and_class(root: Path, steps: tuple[str, ...]) -> tuple[str, str]:
    if steps[0] not in PARTS:
        raise InvalidInput(
            str(root),
            f"has images in {steps[0]!r} beside 'train'; accepted: 'train', 'validation' and 'test', since "
            f"data.holdout is split from 'train'",
        )
    if len(steps) < 3:
        raise InvalidInput(str(root), f"has {steps[-1]!r} outside a class folder")
    label = classes.normal(steps[1])
    if problem := classes.problem(label):
        raise InvalidInput(str(root), f"has a folder {steps[1][:60]!r}, which is not a valid class name: it {problem}")
    return steps[0], label


def _check_classes(root: Path, names: dict[str, list[str]]) -> None:
    train = names["train"]
    if not train:
        held = " and ".join(repr(part) for part, labels in names.items() if labels)
        raise InvalidInput(
            str(root), f"has images only in {held}; accepted: 'train' and 'test', or one folder for each class"
        )
    if len(train) == 1:
        raise InvalidInput(str(root), f"has only one class, {train[0]!r}; accepted: two or more")
    for part, labels in names.items():
        for known, others, where in ((labels, train, "train"), (train, labels, part)):
            if labels and (missing := [label for label in known if label not in others]):
                named = some(list(map(repr, missing)))
                problem = f"has no images in '{where}' of {named}; every part needs images of every class"
                raise InvalidInput(str(root), problem)


def some(names: Sequence[str], most: int = NAMED) -> str:
    """The first names, and the number of the others."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
