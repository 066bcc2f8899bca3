"""`tailorbird figure NAME [MODEL]`: one picture."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from tailorbird.commands.options import write_out
from tailorbird.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tailorbird.results import Results
    from tailorbird.settings import Settings
    from training.splits import Split

SHEET = 50
RATES = (0.08, 0.4, 0.88, 1.04)
"""Default learning rates of descent, of 1 over the larger of a and b: slow, quick, zigzagging, diverging."""
STEEPNESS, MOST_RATE = (0.01, 100.0), 1000.0


@dataclass(frozen=True)
class Wanted:
    """What the options say."""

    here: "Settings"
    image: Path | None
    threshold: float | None
    a: float | None
    b: float | None
    rates: tuple[float, ...]
    own_code: bool


def figure(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="predictions, features, layers, graph, curves, confusion, scatter or descent.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL[:N|@ALIAS]",
            help="A version, or a folder that `tailorbird train` wrote; of scatter also a data set by name, as iris "
            "(of a file: `tailorbird data FILE --out`).",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write it (PNG); default: NAME.png here.")] = None,
    image: Annotated[
        Path | None, typer.Option(help="Of features: the image; default: the first held-out one, or drawn lines.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Of confusion: the probability from which the second of two classes, or the likeliest, is named.",
        ),
    ] = None,
    a: Annotated[float | None, typer.Option("--a", help="Of descent: steepness along x; default: 1.")] = None,
    b: Annotated[float | None, typer.Option("--b", help="Of descent: steepness along y; default: 4.")] = None,
    lr: Annotated[list[float] | None, typer.Option("--lr", help="Of descent: a learning rate, up to 7 times.")] = None,
    own_code: Annotated[
        bool,
        typer.Option("--own-code", help="Of a folder: the model or data set that its config names is yours; run it."),
    ] = False,
) -> None:
    """Draw one picture of a model, of its training, or of what it is taught with.

    Example: tailorbird figure confusion demo@champion --threshold 0.8
    """
    from tailorbird import settings

    known = OF_A_MODEL.keys() | OF_NONE.keys()
    if name not in known:
        raise InvalidInput("NAME", f"there is no figure {name!r}; accepted: {', '.join(sorted(known))}")
    options = {"--image": image, "--threshold": threshold, "--a": a, "--b": b, "--lr": lr}
    for option, value in options.items():
        if value is not None and name != OPTIONS[option]:
            raise InvalidInput(option, f"is an option of {OPTIONS[option]}, not of {name}")
    if own_code and model is None:
        raise InvalidInput("--own-code", "is for a folder that `tailorbird train` wrote, and there is no MODEL")
    picture = _draw(name, model, Wanted(settings.load(), image, threshold, a, b, tuple(lr or ()), own_code))
    path = out or Path(f"{name}.png")
    write_out(path, picture)
    typer.echo(path)


def _draw(name: str, model: str | None, wanted: Wanted) -> bytes:
    if name in OF_NONE and (model is None or name != "features"):
        return OF_NONE[name](model, wanted)
    if model is None:
        raise InvalidInput("MODEL", f"is missing: {name} is drawn of a model, as in `tailorbird figure {name} demo`")
    from tailorbird import results

    with results.opened(model, wanted.here, own_code=wanted.own_code) as found:
        return OF_A_MODEL[name](found, wanted)


def _predictions(found: "Results", _: Wanted) -> bytes:
    from training import plots

    signature = found.signature()
    if len(signature.shape) == 1:
        raise InvalidInput("predictions", f"are drawn of images, and {found.name} takes rows of a table")
    split, judged = found.examples(SHEET)
    answers = [signature.classes[place] for place in judged.probabilities.argmax(1)]
    truths = [signature.classes[place] for place in split.targets]
    title = f"{found.name}: {len(split)} of {len(found.heldout()):,} held-out images"
    return plots.predictions(_pixels(split), truths, answers, title)


def _features(found: "Results", wanted: Wanted) -> bytes:
    from training import plots
    from training.plots import features

    shape = found.signature().shape
    if len(shape) == 1:
        raise InvalidInput("features", f"are drawn of images, and {found.name} takes rows of a table")
    network = found.network()
    image = _image(wanted.image, wanted.here, shape) if wanted.image else _pixels(found.example())[0]
    maps = features.maps(network, image)
    if not maps:
        raise InvalidInput("features", f"are drawn of convolutions, and {found.name} has none")
    return plots.feature_maps(maps, image, f"{found.name}: feature maps")


def _diagonal(_: str | None, wanted: Wanted) -> bytes:
    from training import plots
    from training.plots import features

    image = _image(wanted.image, wanted.here, None) if wanted.image else features.lines()
    if min(image.shape) < features.LEAST_SIDE:
        sides = f"{image.shape[1]}x{image.shape[0]}"
        raise InvalidInput("--image", f"has {sides} pixels; accepted: {features.LEAST_SIDE} or more each way")
    return plots.diagonal(image)


def _pixels(split: "Split") -> "NDArray[np.uint8]":
    import numpy as np

    return np.asarray(split.at(slice(None)), np.uint8)


def _image(path: Path, here: "Settings", shape: tuple[int, ...] | None) -> "NDArray[np.uint8]":
    """A file of the user's own, brought to `shape`; without one, grey in the size that it has."""
    from tailorbird import images

    try:
        decoded = images.decode(path.read_bytes(), here.max_pixels)
    except OSError as error:
        raise InvalidInput("--image", f"{path} cannot be read: {error.strerror}") from None
    return images.to_signature(decoded, shape or (decoded.height, decoded.width))


def _layers(found: "Results", _: Wanted) -> bytes:
    from training import models, plots

    return plots.layer_table(models.summary(found.network(), found.signature().shape), f"{found.name}: layers")


def _graph(found: "Results", _: Wanted) -> bytes:
    from training import plots

    return plots.model_graph(found.read("model.onnx"), f"{found.name}: graph of the export")


def _curves(found: "Results", _: Wanted) -> bytes:
    from training import plots

    epochs = found.epochs()
    return plots.curves(epochs, found.kept(epochs))


def _confusion(found: "Results", wanted: Wanted) -> bytes:
    import numpy as np

    from training import plots

    signature, threshold = found.signature(), wanted.threshold
    classes = signature.classes
    if signature.objective not in ("binary", "multiclass"):
        what = "numbers" if signature.objective == "regression" else "several labels at once"
        raise InvalidInput("confusion", f"is drawn of examples of one class each, and {found.name} predicts {what}")
    if threshold is None:
        counts = np.array(found.confusion())
        told = f"accuracy {np.trace(counts) / counts.sum():.2%}"
    else:
        heldout = found.heldout()
        counts = plots.decided(heldout.probabilities, heldout.labels, threshold)
        told = f"{classes[1] if len(classes) == 2 else 'answers'} from a probability of {threshold:g} on"
    return plots.confusion(counts, classes, f"{found.name}: {counts.sum():,} held-out examples\n{told}")


def _scatter(model: str | None, wanted: Wanted) -> bytes:
    from tailorbird import results
    from training import config, datasets, plots

    if model is None:
        raise InvalidInput("MODEL", "is missing: scatter is drawn of a table, as in `tailorbird figure scatter iris`")
    if model in get_args(config.Published):
        here = wanted.here
        dataset = datasets.load(config.DataConfig(name=model), here.data, here.cache, here.download_timeout)
    else:
        with results.opened(model, wanted.here, own_code=wanted.own_code) as found:
            dataset = found.dataset()
    if len(dataset.shape) > 1:
        raise InvalidInput("scatter", f"is drawn of tables, and {dataset.name} holds images")
    return plots.scatter_matrix(dataset)


def _descent(model: str | None, wanted: Wanted) -> bytes:
    from training import plots

    if model is not None:
        raise InvalidInput("MODEL", "is not needed: descent is drawn of a·x² + b·y²")
    a, b = (1.0 if wanted.a is None else wanted.a), (4.0 if wanted.b is None else wanted.b)
    for option, value in (("--a", a), ("--b", b)):
        if not STEEPNESS[0] <= value <= STEEPNESS[1]:
            raise InvalidInput(option, f"must be from {STEEPNESS[0]:g} to {STEEPNESS[1]:g}, not {value:g}")
    rates = wanted.rates or tuple(float(f"{share / max(a, b):.3g}") for share in RATES)
    for rate in rates:
        if not (math.isfinite(rate) and 0 < rate <= MOST_RATE):
            raise InvalidInput("--lr", f"must be above 0 and at most {MOST_RATE:g}, not {rate:g}")
    if len(rates) > 7:
        raise InvalidInput("--lr", f"is given {len(rates)} times; accepted: at most 7")
    return plots.gradient_descent(a, b, rates)


OPTIONS = {"--image": "features", "--threshold": "confusion", "--a": "descent", "--b": "descent", "--lr": "descent"}
OF_A_MODEL: dict[str, Callable[["Results", Wanted], bytes]] = {
    "predictions": _predictions,
    "features": _features,
    "layers": _layers,
    "graph": _graph,
    "curves": _curves,
    "confusion": _confusion,
}
OF_NONE: dict[str, Callable[[str | None, Wanted], bytes]] = {
    "features": _diagonal,
    "scatter": _scatter,
    "descent": _descent,
}
