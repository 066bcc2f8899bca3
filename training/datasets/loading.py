"""Loading the data set that a config names."""

from dataclasses import replace
from pathlib import Path

from tailorbird import classes
from training.config import IMAGES, TABLE, DataConfig
from training.datasets import cifar, idx, images, own, scikit, table
from training.datasets.dataset import Dataset
from training.datasets.layout import some


def load(config: DataConfig, folder: Path, cache: Path, timeout: float = 5) -> Dataset:
    """Read a data set: published ones below `folder`, decoded images from `cache` once they are there.

    Raises InvalidInput for data that cannot be read as the config says, Unavailable if a download gets no response
    within `timeout` seconds or nothing can be written.
    """
    dataset = _read(config, folder, cache, timeout)
    alike = [" and ".join(map(repr, names)) for names in classes.alike(dataset.classes)]
    notes = [f"different classes whose names look alike: {some(alike)}"] if alike else []
    if printed := classes.printed(dataset.classes):
        notes.append(f"classes called as Python prints an object, or nothing: {some(list(map(repr, printed)))}")
    return replace(dataset, notes=(*dataset.notes, *notes)) if notes else dataset


def _read(config: DataConfig, folder: Path, cache: Path, timeout: float) -> Dataset:
    if config.name in scikit.MAKERS:
        return scikit.load(config)
    if config.name in idx.SOURCES:
        return idx.load(config.name, folder, timeout)
    if config.name == cifar.NAME:
        return cifar.load(folder, cache)
    if config.name == IMAGES:
        return images.load(config, folder, cache)
    if config.name == TABLE:
        return table.load(config, folder)
    return own.load(config.name)
