"""Data sets that are part of scikit-learn."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird.errors import InvalidInput
from training.config import DataConfig
from training.datasets.dataset import Dataset, Images

_DIGITS = tuple("0123456789")
_LABELS = {"even": (0, 2, 4, 6, 8), "over four": (5, 6, 7, 8, 9), "prime": (2, 3, 5, 7), "has a hole": (0, 6, 8, 9)}


def load(config: DataConfig) -> Dataset:
    """The named data set; raises InvalidInput for a column that it does not have."""
    dataset = MAKERS[config.name]()
    return _only(dataset, config.columns) if config.columns else dataset


def _only(dataset: Dataset, columns: Sequence[str]) -> Dataset:
    known = dataset.columns or ()
    if unknown := [name for name in columns if name not in known]:
        raise InvalidInput("data.columns", f"there is no column {unknown[0]!r}; the columns are {', '.join(known)}")
    places = [known.index(name) for name in columns]
    rows = np.ascontiguousarray(dataset.inputs[:, places], np.float64)
    return replace(dataset, inputs=rows, columns=tuple(columns))


def _digits() -> Dataset:
    images, labels = _read_digits()
    return Dataset("digits", _DIGITS, images, labels, None)


def _digits_multilabel() -> Dataset:
    """The digits with several labels for each image; most people write a 4 that is open at the top."""
    images, labels = _read_digits()
    targets = np.stack([np.isin(labels, members) for members in _LABELS.values()], axis=1).astype(np.float32)
    return Dataset("digits_multilabel", tuple(_LABELS), images, targets, None, "multilabel")


def _read_digits() -> tuple[Images, NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)  # its own scale is 0 to 16
    return images, labels.astype(np.int64)


def _iris() -> Dataset:
    from sklearn.datasets import load_iris

    bunch = load_iris()
    return _table("iris", bunch, tuple(map(str, bunch.target_names)), bunch.target.astype(np.int64), "multiclass")


def _breast_cancer() -> Dataset:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    return _table("breast_cancer", bunch, tuple(map(str, bunch.target_names)), bunch.target.astype(np.int64), "binary")


def _diabetes() -> Dataset:
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(scaled=False)
    return _table("diabetes", bunch, ("progression",), bunch.target.astype(np.float64), "regression")


def _table(name: str, bunch: Any, classes: tuple[str, ...], targets: Any, kind: Any) -> Dataset:
    columns = tuple(map(str, bunch.feature_names))
    return Dataset(name, classes, bunch.data.astype(np.float64), targets, None, kind, columns)


MAKERS: dict[str, Callable[[], Dataset]] = {
    "breast_cancer": _breast_cancer,
    "diabetes": _diabetes,
    "digits": _digits,
    "digits_multilabel": _digits_multilabel,
    "iris": _iris,
}
