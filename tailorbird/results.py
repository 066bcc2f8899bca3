"""Results: the files of one training, of a registered version or of a folder that `tailorbird train` wrote.

They may be untrusted, so none of them can run code: a config that names code is refused, unless it is in a folder and
the user allows it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch import nn

from registry import packages, verification, versions
from registry.cards import contents
from registry.core import Registry
from tailorbird.errors import InvalidInput, NotFound
from tailorbird.package import config as package_config
from tailorbird.package import curves
from tailorbird.package.baseline import Baseline
from tailorbird.package.heldout import Heldout
from tailorbird.package.signature import DEPTH, GROUND, Signature
from tailorbird.settings import Settings
from training import checkpoint, datasets, models, objectives, splits
from training import config as configs
from training.config import CODE, DataConfig, RunConfig, own_code
from training.datasets import Dataset
from training.models import Denormalize, Normalize
from training.progress import Epoch
from training.splits import Split

T = TypeVar("T")
CONFIG = package_config.FILE


@dataclass(frozen=True)
class Task:
    """Inputs and outputs of a model; unlike a package's signature, for every kind of target."""

    shape: tuple[int, ...]
    classes: tuple[str, ...]
    objective: configs.Kind
    depth: int = DEPTH
    ground: int = GROUND


@dataclass(frozen=True)
class Results:
    """`name` is the user's name for them, `epoch` the best one, if the registry knows it.

    `read` returns a file's bytes; it raises NotFound for files that a run without held-out examples does not have.
    """

    name: str
    epoch: int | None
    read: Callable[[str], bytes]
    here: Settings
    own_code: bool = False
    """Whether code that the config names may run."""

    def config(self) -> RunConfig:
        """The configuration."""
        config = self._understood(CONFIG, package_config.parse)
        return configs.parse(RunConfig, config, f"{self.name}: {CONFIG}: ")

    def task(self) -> Task:
        """From the package's signature or, for a run without a package, from its data set."""
        try:
            signature = self._understood(Signature.file, Signature.parse)
        except NotFound:
            dataset = self.dataset()
            return Task(dataset.shape, dataset.classes, dataset.kind, dataset.depth, dataset.ground)
        return Task(signature.shape, signature.classes, signature.objective, signature.depth, signature.ground)

    def confusion(self) -> Sequence[Sequence[int]]:
        """Counts of the held-out split by true and predicted class."""
        classes = self.task().classes
        return self._understood(Baseline.file, lambda data: Baseline.parse(data).check(classes)).confusion

    def heldout(self) -> Heldout:
        """The held-out examples with their predictions."""
        return Heldout.parse(self.read("heldout.npy"), len(self.task().classes))

    def epochs(self) -> list[Epoch]:
        """The figures of each epoch."""
        epochs = self._understood(curves.FILE, curves.parse)
        return [Epoch.of(epoch.model_dump(exclude_none=True)) for epoch in epochs]

    def kept(self, epochs: list[Epoch]) -> int:
        """The epoch of the weights: by the registry, else the one that the run's objective chooses."""
        if self.epoch is not None:
            return self.epoch
        accurate = [epoch for epoch in epochs if not math.isnan(epoch.val_accuracy)]
        if accurate:
            return max(accurate, key=lambda epoch: epoch.val_accuracy).epoch
        measured = [epoch for epoch in epochs if not math.isnan(epoch.val_loss)]
        return min(measured, key=lambda epoch: epoch.val_loss).epoch if measured else epochs[-1].epoch

    def network(self) -> nn.Sequential:
        """The network with its weights."""
        task, config = self.task(), self.config()
        for field, code in own_code(config.model).items() if not self.own_code else ():
            raise self._of_code(field, code, "; `tailorbird figure graph` draws any model")
        normalize = Normalize.blank(task.shape)
        last = Denormalize(0.0, 1.0) if task.objective == "regression" else None
        outputs = objectives.outputs(task.objective, task.classes)
        network = models.build(config.model, task.shape, outputs, normalize, last)
        checkpoint.restore(network, self.read("checkpoint.safetensors"))
        return network

    def dataset(self) -> Dataset:
        """The data set on this machine."""
        return datasets.load(self._data(), self.here.data, self.here.cache, self.here.download_timeout)

    def examples(self, count: int) -> tuple[Split, Heldout]:
        """So many held-out examples, spread over the split, which may be sorted by class, with their predictions.

        Raises InvalidInput if the data set is a different one.
        """
        heldout = self.heldout()
        judged = heldout.only(np.linspace(0, len(heldout) - 1, min(count, len(heldout))).astype(np.int64))
        dealt = splits.split(self.dataset(), self._data()).holdout
        places = {bytes(identity): index for index, identity in enumerate(dealt.ids)}
        wanted = [places.get(bytes(identity)) for identity in judged.ids]
        chosen = np.array([index for index in wanted if index is not None], np.int64)
        if len(chosen) < len(wanted):
            raise InvalidInput(
                "data",
                f"the data set {self._data().name} here does not hold the examples that {self.name} was evaluated on; "
                "set TAILORBIRD_DATA_DIR to the folder of the right one",
            )
        return dealt.only(chosen), judged

    def example(self) -> Split:
        """The first held-out example or, in a run without any, the first of the test split."""
        try:
            return self.examples(1)[0]
        except NotFound:
            return self.test().only(slice(1))

    def test(self) -> Split:
        """The test split."""
        return splits.split(self.dataset(), self._data()).test

    def _data(self) -> DataConfig:
        data = self.config().data
        if CODE.fullmatch(data.name) and not self.own_code:
            raise self._of_code("data.name", data.name)
        return data

    def _of_code(self, field: str, code: str, instead: str = "") -> InvalidInput:
        problem = f"{code} is custom code, which runs only from a folder and with --own-code"
        return InvalidInput(f"{self.name}: {field}", f"{problem}{instead}")

    def _understood(self, name: str, parse: Callable[[bytes], T]) -> T:
        return contents.understood(self.name, name, self.read(name), parse)


@contextmanager
def opened(model: str, here: Settings, *, own_code: bool = False) -> Iterator[Results]:
    """The results of a version NAME[:N|@ALIAS], or of a run's folder, whose custom code `own_code` allows to run.

    Raises NotFound if there are none, InvalidInput for a version with custom code.
    """
    folder = Path(model).expanduser()
    if (folder / CONFIG).is_file():
        yield Results(folder.absolute().name, None, partial(_read, folder), here, own_code)
    elif own_code:
        raise InvalidInput("--own-code", f"applies only to a folder that `tailorbird train` wrote; {model} is not one")
    elif folder.is_dir() or "/" in model:
        raise NotFound(model, f"is not a folder that `tailorbird train` wrote: it has no {CONFIG}")
    else:
        with Registry(here) as registry:
            version = versions.resolve(registry, model)
            verification.check(version, packages.manifest(registry.blobs, version.manifest))
            read = partial(packages.file, registry.blobs, version.manifest)
            yield Results(str(version), version.lineage.epoch, read, here)


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        names = ", ".join(sorted(path.name for path in folder.iterdir()))
        raise NotFound(str(folder / name), f"is missing, and this figure requires it; the folder has {names}") from None
    except OSError as error:
        raise InvalidInput(str(folder / name), f"cannot be read: {error.strerror}") from None
