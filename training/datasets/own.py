"""The user's own data set, returned by a function that their config names."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird import classes as class_names
from tailorbird.classes import problem
from tailorbird.errors import InvalidInput
from training import code
from training.config import Kind
from training.datasets import repeats
from training.datasets.dataset import LARGEST, Dataset, Inputs, Targets, blocks

FIELD = "data.name"
FLOATS = (np.float64, np.float32)
TARGETS = {"multiclass": (np.int64,), "binary": (np.int64,), "multilabel": (np.float32,), "regression": FLOATS}


def load(reference: str) -> Dataset:
    """Call `package.module:name` and check what it returns; raises InvalidInput where that is no sound data set."""
    make = code.load(reference, FIELD)
    with code.blamed(reference, FIELD):
        dataset = make()
    if not isinstance(dataset, Dataset):
        raise InvalidInput(FIELD, f"{reference} must return a training.datasets.Dataset, not {type(dataset).__name__}")
    with code.blamed(reference, FIELD):
        wrong = next(problems(dataset), None)
    if wrong:
        raise InvalidInput(FIELD, f"the data set of {reference} {wrong}")
    parts: dict[str, Any] = {
        name: (_laid_out(inputs, inputs.ndim == 2), _laid_out(targets, dataset.kind == "regression"))
        for name, (inputs, targets) in dataset.parts.items()
    }
    inputs, targets = parts.pop("train")
    classes, notes = tuple(map(class_names.normal, dataset.classes)), dataset.notes
    if dataset.kind in ("multiclass", "binary"):
        numbers = [f"number {number}" for number in range(len(targets))]
        notes = (*notes, *repeats.contradictions("examples", numbers, inputs, targets, classes))
    return replace(dataset, classes=classes, inputs=inputs, targets=targets, notes=notes, **parts)


def _laid_out(array: NDArray[Any], numbers: bool) -> NDArray[Any]:
    """The array, numbers as float64; a view with negative strides is copied, since torch refuses it."""
    array = array.astype(np.float64, copy=False) if numbers else array
    return np.ascontiguousarray(array) if min(array.strides, default=0) < 0 else array


def problems(dataset: Dataset) -> Iterator[str]:
    """What is wrong with a data set, in words that follow its name; later checks rely on earlier ones."""
    classes, least, most = len(dataset.classes), *_classes_of(dataset.kind)
    if not least <= classes <= (most or classes):
        yield f"has {classes} classes; accepted of {dataset.kind}: {least}{'' if most else ' or more'}"
    if not all(isinstance(name, str) for name in dataset.classes):
        yield "has classes that are not names"
    normal = [class_names.normal(name) for name in dataset.classes]
    yield from (
        f"has a class {name[:60]!r}, which is not a valid class name: it {why}"
        for name in normal
        if (why := problem(name))
    )
    if len(set(normal)) < classes:
        yield "has duplicate classes"
    yield from _of_inputs("inputs", dataset.inputs)
    yield from _of_targets("targets", dataset.targets, dataset, len(dataset.inputs))
    if dataset.inputs.ndim == 2 and len(dataset.columns or ()) != dataset.inputs.shape[1]:
        yield f"has names of {len(dataset.columns or ())} columns for rows of {dataset.inputs.shape[1]}"
    for name, (inputs, targets) in dataset.parts.items():
        if name != "train":
            yield from _of_inputs(f"{name} inputs", inputs)
            if inputs.shape[1:] != dataset.shape:
                yield f"has {name} inputs of shape {inputs.shape[1:]} beside inputs of {dataset.shape}"
            yield from _of_targets(f"{name} targets", targets, dataset, len(inputs))


def _classes_of(kind: Kind) -> tuple[int, int | None]:
    """The fewest and the most classes accepted; None where there is no maximum."""
    return {"multiclass": (2, None), "binary": (2, 2), "multilabel": (1, None), "regression": (1, 1)}[kind]


def _of_inputs(name: str, inputs: Inputs) -> Iterator[str]:
    image = inputs.dtype == np.uint8 and (inputs.ndim == 3 or (inputs.ndim == 4 and inputs.shape[3] == 3))
    row = inputs.dtype in FLOATS and inputs.ndim == 2
    if not (image or row):
        yield (
            f"has {name} of {inputs.dtype} {list(inputs.shape)}; accepted: uint8 [N, H, W] or [N, H, W, 3], "
            f"float64 or float32 [N, columns]"
        )
    if not inputs.size:
        yield f"has no {name}"
    if row and not all((np.abs(block) <= LARGEST).all() for block in blocks(inputs)):
        yield f"has {name} that are not finite numbers, or beyond {LARGEST:.1e}"


def _of_targets(name: str, targets: Targets, dataset: Dataset, count: int) -> Iterator[str]:
    classes = len(dataset.classes)
    shape = (count, classes) if dataset.kind == "multilabel" else (count,)
    accepted = TARGETS[dataset.kind]
    if targets.dtype not in accepted or targets.shape != shape:
        dtypes = " or ".join(str(np.dtype(dtype)) for dtype in accepted)
        yield (
            f"has {name} of {targets.dtype} {list(targets.shape)}; accepted of {dataset.kind}: {dtypes} {list(shape)}"
        )
    if dataset.kind == "multilabel" and not np.isin(targets, (0, 1)).all():
        yield f"has {name} other than 0 and 1"
    elif dataset.kind == "regression" and not (np.abs(targets) <= LARGEST).all():
        yield f"has {name} that are not finite numbers, or beyond {LARGEST:.1e}"
    elif dataset.kind == "regression" and name == "targets" and targets.min() == targets.max():
        yield f"has {name} that are all {targets[0]:g}"
    elif dataset.kind in ("multiclass", "binary") and (targets.min() < 0 or targets.max() >= classes):
        yield f"has {name} from {targets.min()} to {targets.max()}; accepted: indices of its {classes} classes"
