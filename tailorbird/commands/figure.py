"""`tailorbird figure …`: figures of a model, its training or its data."""

import math
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tailorbird.commands.options import write_out
from tailorbird.errors import InvalidInput

RATES = (0.08, 0.4, 0.88, 1.04)
"""Default learning rates of descent, in units of 1 / max(a, b): slow, quick, zigzagging, diverging."""
STEEPNESS, MOST_RATE, MOST_RATES = (0.01, 100.0), 1000.0, 7

OF = "A version, or a folder that `tailorbird train` wrote."
Model = Annotated[str, typer.Argument(metavar="MODEL[:N|@ALIAS]", help=OF, show_default=False)]
Out = Annotated[Path | None, typer.Option(metavar="FILE.png", help="Output file; default: the figure's name, as PNG.")]
OwnCode = Annotated[
    bool,
    typer.Option("--own-code", help="Run the custom model or data set code that a run folder's config names."),
]


def predictions(model: Model, out: Out = None, own_code: OwnCode = False) -> None:
    """Draw fifty held-out images with their true and predicted classes.

    Example: tailorbird figure predictions demo@champion
    """
    from tailorbird import figures

    _write("predictions", figures.of_model(figures.predictions, model, own_code=own_code), out)


def features(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL[:N|@ALIAS]", help=f"{OF[:-1]}; default: a kernel, without a model.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="Input image; default: the first held-out one, or drawn lines.")
    ] = None,
    out: Out = None,
    own_code: OwnCode = False,
) -> None:
    """Draw feature maps of an image, layer by layer; without a model, those of a diagonal kernel.

    Example: tailorbird figure features demo@champion --image boot.png
    """
    from tailorbird import figures

    if model is not None:
        picture = figures.of_model(partial(figures.features, image=image), model, own_code=own_code)
    elif own_code:
        raise InvalidInput("--own-code", "applies only to a folder that `tailorbird train` wrote; no MODEL was given")
    else:
        picture = figures.diagonal(image)
    _write("features", picture, out)


def layers(model: Model, out: Out = None, own_code: OwnCode = False) -> None:
    """Draw the layers of a model with their output shapes and parameters.

    Example: tailorbird figure layers demo@champion
    """
    from tailorbird import figures

    _write("layers", figures.of_model(figures.layers, model, own_code=own_code), out)


def graph(model: Model, out: Out = None, own_code: OwnCode = False) -> None:
    """Draw the operators of a model's ONNX export.

    Example: tailorbird figure graph demo@champion
    """
    from tailorbird import figures

    _write("graph", figures.of_model(figures.graph, model, own_code=own_code), out)


def curves(model: Model, out: Out = None, own_code: OwnCode = False) -> None:
    """Draw loss and accuracy by epoch, with the overfitting gap at the best epoch.

    Example: tailorbird figure curves demo@champion
    """
    from tailorbird import figures

    _write("curves", figures.of_model(figures.curves, model, own_code=own_code), out)


def confusion(
    model: Model,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Decision threshold: the least probability at which a class is predicted."),
    ] = None,
    out: Out = None,
    own_code: OwnCode = False,
) -> None:
    """Draw the confusion matrix of the held-out split.

    Example: tailorbird figure confusion demo@champion --threshold 0.8
    """
    from tailorbird import figures

    picture = figures.of_model(partial(figures.confusion, threshold=threshold), model, own_code=own_code)
    _write("confusion", picture, out)


def scatter(
    table: Annotated[
        str,
        typer.Argument(
            metavar="MODEL[:N|@ALIAS]|DATA",
            help="A table model, or the name of a data set such as iris (for a file: `tailorbird data FILE --out`).",
            show_default=False,
        ),
    ],
    out: Out = None,
    own_code: OwnCode = False,
) -> None:
    """Draw each column of a table against each other, by class.

    Example: tailorbird figure scatter iris
    """
    from tailorbird import figures

    _write("scatter", figures.scatter(table, own_code=own_code), out)


def descent(
    a: Annotated[float, typer.Option("--a", help="Steepness along x.")] = 1.0,
    b: Annotated[float, typer.Option("--b", help="Steepness along y.")] = 4.0,
    lr: Annotated[list[float] | None, typer.Option("--lr", help="Learning rate; repeat it up to 7 times.")] = None,
    out: Out = None,
) -> None:
    """Draw gradient descent on a·x² + b·y² with several learning rates.

    Example: tailorbird figure descent --a 1 --b 4 --lr 0.1 --lr 0.22
    """
    from training import plots

    for option, steepness in (("--a", a), ("--b", b)):
        if not STEEPNESS[0] <= steepness <= STEEPNESS[1]:
            raise InvalidInput(option, f"must be from {STEEPNESS[0]:g} to {STEEPNESS[1]:g}, not {steepness:g}")
    rates = tuple(lr or (float(f"{share / max(a, b):.3g}") for share in RATES))
    for rate in rates:
        if not (math.isfinite(rate) and 0 < rate <= MOST_RATE):
            raise InvalidInput("--lr", f"must be above 0 and at most {MOST_RATE:g}, not {rate:g}")
    if len(rates) > MOST_RATES:
        raise InvalidInput("--lr", f"is given {len(rates)} times; accepted: at most {MOST_RATES}")
    _write("descent", plots.gradient_descent(a, b, rates), out)


def _write(name: str, picture: bytes, out: Path | None) -> None:
    path = out or Path(f"{name}.png")
    write_out(path, picture)
    typer.echo(path)
