"""A registry with a model of images and one of a table, both trained, and files that they have not seen."""

import csv
from types import SimpleNamespace

import numpy as np
from PIL import Image

from registry import aliases, versions
from registry.core import Registry
from registry.requests import Promotion
from tailorbird.package.lineage import Lineage
from tailorbird.settings import Settings
from training import candidate, checkpoint, datasets, splits
from training.config import RunConfig
from training.loop import Run

IMAGES = 70


def trained(registry, name, data):
    model, optimizer = {"family": "linear"}, {"lr": 0.01}
    config = RunConfig.model_validate({"data": data, "model": model, "optimizer": optimizer, "epochs": 20})
    dealt = splits.split(datasets.load(config.data, None, None), config.data)
    run = Run(config, dealt)
    while not run.done:
        run.step()
    made = candidate.make(config, dealt, checkpoint.encode(run.best_state), run.epochs, run.best.epoch)
    versions.register(registry, name, made.files, made.export, Lineage(epoch=1), "ada")
    aliases.promote(registry, Promotion(name, 1, alias="champion", why="first", who="ada", force=True))
    return dealt


def build(root):
    """`settings` of a registry of digits@champion and cells@champion; `images`, a folder; `table`, a CSV file."""
    settings = Settings(home=root / "home", _env_file=None)
    with Registry(settings) as registry:
        digits = trained(registry, "digits", {"name": "digits"})
        cells = trained(registry, "cells", {"name": "breast_cancer", "holdout": 0.2})
    pixels = np.asarray(digits.test.at(slice(IMAGES)), np.uint8)
    (root / "images" / "more").mkdir(parents=True)
    for index, image in enumerate(pixels):
        folder = root / "images" / ("more" if index >= IMAGES // 2 else "")
        Image.fromarray(image).save(folder / f"{index:02}.png")
    rows = np.asarray(cells.test.at(slice(None)))
    with (root / "cells.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["patient", *cells.columns], *([n, *row] for n, row in enumerate(rows.tolist()))])
    return SimpleNamespace(
        settings=settings, images=root / "images", pixels=pixels, table=root / "cells.csv", rows=rows, cells=cells
    )
