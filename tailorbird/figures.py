"""Figures of a model as PNG bytes, drawn from the results of its training."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from tailorbird import images, results, settings
from tailorbird.errors import InvalidInput
from tailorbird.results import Results, Task
from training import config, datasets, models, plots
from training.plots import features as maps
from training.splits import Split

SHEET = 50


def of_model(draw: Callable[[Results], bytes], model: str, *, own_code: bool) -> bytes:
    """Draw a picture of a version NAME[:N|@ALIAS], or of a run's folder, whose custom code `own_code` allows to run."""
    with results.opened(model, settings.load(), own_code=own_code) as opened:
        return draw(opened)


def predictions(run: Results) -> bytes:
    """Held-out images with their true and their predicted class."""
    task = run.task()
    _image_shape(run, "predictions")
    split, judged = run.examples(SHEET)
    answers = [task.classes[index] for index in judged.probabilities.argmax(1)]
    truths = [task.classes[index] for index in split.targets]
    title = f"{run.name}: {len(split)} of {len(run.heldout()):,} held-out images"
    return plots.predictions(_pixels(split), truths, answers, title)


def features(run: Results, image: Path | None) -> bytes:
    """The feature maps of an image, by default of the first held-out one."""
    _image_shape(run, "features")
    network = run.network()
    pixels = image_file(image, run.here.max_pixels, run.task()) if image else _pixels(run.example())[0]
    layers = maps.maps(network, pixels)
    if not layers:
        raise InvalidInput("features", f"require convolutions; {run.name} has none")
    return plots.feature_maps(layers, pixels, f"{run.name}: feature maps")


def layers(run: Results) -> bytes:
    """The table of layers."""
    return plots.layer_table(models.summary(run.network(), run.task().shape), f"{run.name}: layers")


def graph(run: Results) -> bytes:
    """The operators of the ONNX export."""
    return plots.model_graph(run.read("model.onnx"), f"{run.name}: graph of the export")


def curves(run: Results) -> bytes:
    """Loss and accuracy by epoch."""
    epochs = run.epochs()
    return plots.curves(epochs, run.kept(epochs))


def confusion(run: Results, threshold: float | None) -> bytes:
    """Counts of held-out examples by true and predicted class, optionally at a decision threshold."""
    task = run.task()
    classes = task.classes
    if task.objective not in ("binary", "multiclass"):
        predicted = "numbers" if task.objective == "regression" else "several labels at once"
        raise InvalidInput("confusion", f"requires one class per example; {run.name} predicts {predicted}")
    if threshold is None:
        counts = np.array(run.confusion())
        subtitle = f"accuracy {np.trace(counts) / counts.sum():.2%}"
    else:
        heldout = run.heldout()
        counts = plots.decided(heldout.probabilities, heldout.labels, threshold)
        subtitle = f"{classes[1] if len(classes) == 2 else 'answers'} at a threshold of {threshold:g}"
    return plots.confusion(counts, classes, f"{run.name}: {counts.sum():,} held-out examples\n{subtitle}")


def scatter(table: str, *, own_code: bool) -> bytes:
    """Each column against every other, for a published table or the table of a model."""
    if table in get_args(config.Published):
        environment = settings.load()
        data = config.DataConfig(name=table)
        dataset = datasets.load(data, environment.data, environment.cache, environment.download_timeout)
    else:
        with results.opened(table, settings.load(), own_code=own_code) as run:
            dataset = run.dataset()
    if len(dataset.shape) > 1:
        raise InvalidInput("scatter", f"requires a table; {dataset.name} holds images")
    return plots.scatter_matrix(dataset)


def diagonal(image: Path | None) -> bytes:
    """An image, by default of drawn lines, convolved with a kernel that has a diagonal of ones."""
    pixels = image_file(image, settings.load().max_pixels) if image else maps.lines()
    if min(pixels.shape) < maps.LEAST_SIDE:
        sides = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise InvalidInput("--image", f"has {sides} pixels; accepted: {maps.LEAST_SIDE} or more each way")
    return plots.diagonal(pixels)


def image_file(path: Path, max_pixels: int, task: Task | None = None) -> NDArray[np.uint8]:
    """The user's image in the form that a task's model takes; without a task, grey in its own size."""
    try:
        decoded = images.decode(path.read_bytes(), max_pixels)
    except OSError as error:
        raise InvalidInput("--image", f"{path} cannot be read: {error.strerror}") from None
    if task is None:
        return images.to_signature(decoded, (decoded.height, decoded.width))
    return images.to_signature(decoded, task.shape, task.depth, task.ground)


def _image_shape(run: Results, figure: str) -> tuple[int, ...]:
    shape = run.task().shape
    if len(shape) == 1:
        raise InvalidInput(figure, f"require images; {run.name} takes rows of a table")
    return shape


def _pixels(split: Split) -> NDArray[np.uint8]:
    return np.asarray(split.at(slice(None)), np.uint8)
