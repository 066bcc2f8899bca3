"""Features of a frozen backbone: computed once for all images, and stored in a file that every trial maps.

A frozen backbone gives an image the same features in every epoch of every run, so heads are trained on these, as on the
rows of a table. `augment.flip` adds the features of the mirrored images.
"""

import copy
import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from tailorbird import files, onnx, settings, terminal
from training import backbones, export, machine, resident
from training.arrays import as_tensor
from training.config import Device, PretrainedConfig, RunConfig
from training.datasets.dataset import Images, Inputs, blocks
from training.datasets.mapped import opened
from training.models import Normalize, pretrained
from training.resident import Data
from training.splits import Split, Splits

BATCH = 16
RULE = 4
"""Version of the computation: features of another version are computed again."""

Compute = Callable[[Images], NDArray[np.float32]]
"""Features [N, width] of images [N, ...]."""


def prepared(config: RunConfig, splits: Splits) -> Splits:
    """The splits of a run, with features in place of images if its backbone is frozen.

    Features of mirrored images join the training examples.
    """
    if not (isinstance(config.model, PretrainedConfig) and frozen(config)) or len(splits.train.shape) == 1:
        return splits
    kept = _Kept(config.model, config.device, config.augment.flip)
    return replace(
        splits,
        train=kept.mirrored(splits.train) if config.augment.flip else kept.of(splits.train),
        validation=kept.of(splits.validation),
        holdout=kept.of(splits.holdout),
        test=kept.of(splits.test),
    )


def data(config: RunConfig, splits: Splits) -> Data:
    """The same on the device of the run."""
    splits = prepared(config, splits)
    return Data(splits, resident.device(config, splits))


def key(config: RunConfig) -> tuple[str, str | None, bool] | None:
    """A key that is equal for runs that are trained on the same features; None for those that see images."""
    if not (isinstance(config.model, PretrainedConfig) and frozen(config)):
        return None
    return config.model.backbone, config.model.weights, config.augment.flip


class Views:
    """The inputs of a sweep's runs, features or images, prepared once for all runs that share them.

    Other processes are sent the file names of what was prepared, and load it onto their own devices.
    """

    def __init__(self, splits: Splits) -> None:
        self.splits = splits
        self._prepared: dict[Hashable, Splits] = {}
        self._data: dict[Hashable, Data] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_data": {}}

    def keep(self, configs: Iterable[RunConfig]) -> None:
        """Keep on the devices only what these runs see, since there may be no room for more."""
        seen = {(config.device, key(config)) for config in configs}
        self._data = {known: data for known, data in self._data.items() if known in seen}

    def prepared(self, config: RunConfig) -> Splits:
        """As `prepared`."""
        seen = key(config)
        if seen not in self._prepared:
            self._prepared[seen] = prepared(config, self.splits)
        return self._prepared[seen]

    def data(self, config: RunConfig) -> Data:
        """As `data`, without the held-out and test splits."""
        seen = config.device, key(config)
        if seen not in self._data:
            splits = self.prepared(config).without_verdicts()
            self._data[seen] = Data(splits, resident.device(config, splits))
        return self._data[seen]


def frozen(config: RunConfig) -> bool:
    """Whether only the head is trained."""
    return isinstance(config.model, PretrainedConfig) and config.model.tune == "head"


class _Kept:
    """The features of a backbone, followed with `flip` by those of mirrored images; computed unless they are cached.

    Their file name is a hash of everything that they depend on, including a sample output of the backbone, since its
    code may change while its weights do not.
    """

    def __init__(self, model: PretrainedConfig, device: Device, flip: bool) -> None:
        self._model, self._wanted, self._flip = model, device, flip
        self._settings = settings.load()
        self._provenance = backbones.provenance(model, self._settings)
        self._opened: dict[int, NDArray[np.float32]] = {}
        self._network = cache(self._loaded)

    def of(self, split: Split) -> Split:
        """The same examples with features as inputs; an empty split is returned unchanged."""
        return replace(split, inputs=self._features(split.inputs)) if len(split) else split

    def mirrored(self, split: Split) -> Split:
        """Each image and its mirror image."""
        places = np.concatenate([split.places, len(split.inputs) + split.places])
        twice = partial(np.concatenate, axis=0)
        return Split(self._features(split.inputs), places, twice([split.targets] * 2), twice([split.ids] * 2))

    def _features(self, inputs: Inputs) -> NDArray[np.float32]:
        key = id(inputs)
        if key not in self._opened:
            plain, flipped = self._paths(inputs)
            path = flipped if self._flip or flipped.exists() else plain
            if not path.exists():
                with files.locked(path.parent):
                    if not path.exists():  # another process may have written it meanwhile
                        self._compute(inputs, path, opened(plain) if plain.exists() else None)
            self._opened[key] = opened(path)
        return self._opened[key]

    def _paths(self, inputs: Inputs) -> list[Path]:
        """Of the images alone, and of these and the mirrored ones."""
        total = hashlib.sha256(f"{RULE} {self._provenance.sha256} {inputs.shape}".encode())
        total.update(_probe(self._network(inputs.shape[1:]), inputs.shape[1:]).data)
        for block in blocks(inputs):
            total.update(block.data)
        stem = f"{self._provenance.backbone}-{total.hexdigest()[:32]}"
        return [self._settings.cache / "features" / f"{stem}{suffix}.npy" for suffix in ("", "-flipped")]

    def _compute(self, inputs: Inputs, path: Path, plain: NDArray[np.float32] | None) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        console = terminal.console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            total = len(inputs) * (2 if self._flip else 1)
            task = bar.add_task(f"features of {self._provenance.backbone}", total=total)
            with files.as_unavailable(path), files.new_file(path) as hidden:
                with hidden.open("xb") as file:
                    for rows in self._all(inputs, plain):
                        if not file.tell():
                            header = {"descr": "<f4", "fortran_order": False, "shape": (total, rows.shape[1])}
                            np.lib.format.write_array_header_1_0(file, header)
                        file.write(rows.tobytes())
                        bar.advance(task, len(rows))
                files.flush(hidden)

    def _all(self, inputs: Inputs, plain: NDArray[np.float32] | None) -> Iterator[NDArray[np.float32]]:
        yield from self._rows(inputs, mirrored=False) if plain is None else blocks(plain)
        if self._flip:
            yield from self._rows(inputs, mirrored=True)

    def _rows(self, inputs: Inputs, *, mirrored: bool) -> Iterator[NDArray[np.float32]]:
        """The features of each batch, in order; on a CPU, by one thread per core."""
        device = machine.choose_device(self._wanted)
        network = self._network(inputs.shape[1:])
        compute = _exported(network, inputs.shape[1:]) if device.type == "cpu" else _on(device, network)

        def rows(start: int) -> NDArray[np.float32]:
            images = inputs[start : start + BATCH]
            return compute(np.ascontiguousarray(images[:, :, ::-1] if mirrored else images))

        threads = joblib.cpu_count() if device.type == "cpu" else 1
        parallel = joblib.Parallel(threads, prefer="threads", return_as="generator")
        yield from parallel(joblib.delayed(rows)(start) for start in range(0, len(inputs), BATCH))

    def _loaded(self, shape: tuple[int, ...]) -> nn.Module:
        backbone = pretrained.backbone_of(self._model)
        backbones.load(backbone.body, self._model, self._settings)
        pretrained.features(backbone, shape)  # raises InvalidInput if the code is wrong
        return nn.Sequential(Normalize(*pixels(shape)), backbone).eval()


def _probe(network: nn.Module, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The features of two images of noise: bit for bit the same for the same processor and PyTorch."""
    noise = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    with machine.using(1), machine.seeded(0), torch.inference_mode():
        rows: NDArray[np.float32] = network(as_tensor(noise)).float().numpy()
    return np.ascontiguousarray(rows)


def _exported(network: nn.Module, shape: tuple[int, ...]) -> Compute:
    """By ONNX Runtime, as it will be served: of an EfficientNet-lite0 at 112 pixels 2.4 ms for an image, where PyTorch
    takes 7.3 (one core of an EPYC)."""
    opened = onnx.session(export.to_onnx(network, shape, ["features"]))
    name = opened.get_inputs()[0].name
    return lambda images: opened.run(["features"], {name: images})[0]


def _on(device: torch.device, network: nn.Module) -> Compute:
    moved = copy.deepcopy(network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def compute(images: Images) -> NDArray[np.float32]:
        with torch.inference_mode():
            rows: NDArray[np.float32] = moved(as_tensor(images).to(device)).float().cpu().numpy()
        return rows

    return compute


def pixels(shape: tuple[int, ...]) -> tuple[list[float], list[float]]:
    """Mean and deviation by channel that backbones expect; for grey images the average of the three."""
    if len(shape) == 3 and shape[2] == 3:
        return list(pretrained.MEAN), list(pretrained.DEVIATION)
    return [pretrained.MEAN[1]], [pretrained.DEVIATION[1]]
