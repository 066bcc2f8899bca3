"""Features of a frozen backbone: computed once for all images, and kept in a file that every trial maps.

A frozen backbone gives an image the same features in every epoch of every run, so heads are trained on these, as on the
rows of a table. `augment.flip` adds the features of the mirrored images.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from tailorbird import files, settings, terminal
from training import backbones, machine
from training.arrays import as_tensor
from training.config import PretrainedConfig, RunConfig
from training.datasets.dataset import Inputs, blocks
from training.datasets.mapped import opened
from training.models import Normalize, pretrained
from training.splits import Split, Splits

BATCH = 32
RULE = 1
"""Counts changes of how features are computed: those of another rule are computed again."""


def prepared(config: RunConfig, splits: Splits) -> Splits:
    """What a run is trained on: features in the place of images where its backbone is frozen, else the splits."""
    if not frozen(config) or len(splits.train.shape) == 1:
        return splits
    extract = _Extractor(config, splits)
    nothing = splits.train.only(slice(0))
    return replace(
        splits,
        train=extract.mirrored(splits.train) if config.augment.flip else extract(splits.train),
        validation=extract(splits.validation),
        holdout=nothing,
        test=nothing,
    )


def keep(configs: Iterable[RunConfig], splits: Splits) -> None:
    """Compute what the runs of a sweep will map, with a progress bar, before they start."""
    seen = set()
    for config in configs:
        if isinstance(config.model, PretrainedConfig) and frozen(config):
            key = (config.model.backbone, config.model.weights, config.augment.flip)
            if key not in seen:
                seen.add(key)
                prepared(config, splits)


def frozen(config: RunConfig) -> bool:
    """Whether the head alone is trained."""
    return isinstance(config.model, PretrainedConfig) and config.model.tune == "head"


class _Extractor:
    """Makes splits of features out of splits of images, whose features are computed where they are not kept."""

    def __init__(self, config: RunConfig, splits: Splits) -> None:
        assert isinstance(config.model, PretrainedConfig)  # noqa: S101 - of those that are frozen
        self._settings = settings.load()
        backbone = pretrained.backbone_of(config.model)
        self._provenance = backbones.load(backbone.body, config.model, self._settings)
        normalize = Normalize(*pixels(splits.train.shape))
        self._network = nn.Sequential(normalize, backbone).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = machine.choose_device(config.device)
        self._kept: dict[tuple[int, bool], NDArray[np.float32]] = {}

    def __call__(self, split: Split) -> Split:
        return replace(split, inputs=self._features(split.inputs, mirrored=False))

    def mirrored(self, split: Split) -> Split:
        """Each image and its mirror image."""
        both = np.concatenate(
            [self._features(split.inputs, mirrored=mirrored)[split.places] for mirrored in (False, True)]
        )
        twice = partial(np.concatenate, axis=0)
        return Split(both, np.arange(len(both)), twice([split.targets] * 2), twice([split.ids] * 2))

    def _features(self, inputs: Inputs, *, mirrored: bool) -> NDArray[np.float32]:
        key = (id(inputs), mirrored)
        if key not in self._kept:
            path = self._path(inputs, mirrored)
            if not path.exists():
                with files.locked(path.parent):
                    if not path.exists():  # another process may have been faster
                        self._compute(inputs, mirrored, path)
            self._kept[key] = opened(path)
        return self._kept[key]

    def _path(self, inputs: Inputs, mirrored: bool) -> Path:
        total = hashlib.sha256(f"{RULE} {self._provenance.sha256} {mirrored} {inputs.shape}".encode())
        for block in blocks(inputs):
            total.update(block.data)
        return self._settings.cache / "features" / f"{self._provenance.backbone}-{total.hexdigest()[:32]}.npy"

    def _compute(self, inputs: Inputs, mirrored: bool, path: Path) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        console = terminal.console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(f"features of {self._provenance.backbone}", total=len(inputs))
            with machine.using(int(joblib.cpu_count())), files.told(path), files.new_file(path) as hidden:
                rows = list(self._batches(inputs, mirrored, partial(bar.advance, task)))
                with hidden.open("xb") as file:
                    np.lib.format.write_array(file, np.concatenate(rows), (1, 0), allow_pickle=False)
                files.flush(hidden)

    def _batches(self, inputs: Inputs, mirrored: bool, advance: Callable[[int], None]) -> Iterator[NDArray[np.float32]]:
        network = self._network.to(self._device)
        for start in range(0, len(inputs), BATCH):
            images = as_tensor(np.ascontiguousarray(inputs[start : start + BATCH])).to(self._device)
            with torch.inference_mode():
                yield network(images.flip(2) if mirrored else images).float().cpu().numpy()
            advance(len(images))


def pixels(shape: tuple[int, ...]) -> tuple[list[float], list[float]]:
    """Mean and deviation by channel of what backbones expect; a grey image has the middle of the three."""
    if len(shape) == 3 and shape[2] == 3:
        return list(pretrained.MEAN), list(pretrained.DEVIATION)
    return [pretrained.MEAN[1]], [pretrained.DEVIATION[1]]
