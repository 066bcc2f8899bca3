"""`tailorbird data NAME|PATH`: download a data set and describe it."""

import io
import re
from pathlib import Path
from typing import Annotated, Any, get_args

import numpy as np
import typer
from PIL import Image
from rich import box
from rich.console import Console
from rich.table import Column, Table

from registry import inputs
from registry.core import Registry
from tailorbird import kept, settings, tables, terminal
from tailorbird.commands.options import AsJson, print_json, write_out
from tailorbird.errors import InvalidInput
from tailorbird.settings import Settings
from training import config, datasets
from training.config import CODE, IMAGES, TABLE, Published
from training.datasets import Dataset
from training.datasets.rows import is_table


def data(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|PATH|feedback:NAME",
            help="A published data set, package.module:name, a folder or archive of images, or a CSV or Parquet table.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Output: a contact sheet or scatter matrix (PNG); for feedback:NAME, a folder."),
    ] = None,
    image: Annotated[
        int | None, typer.Option(metavar="N", help="Write the test image with this index, from 0, to --out.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Label column of a table; repeat it for several labels.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="SIDE|HEIGHTxWIDTH", help="Resize all images to this many pixels.")
    ] = None,
    colour: Annotated[
        bool | None, typer.Option("--colour/--grey", help="Convert all images to colour, or to grey.")
    ] = None,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Skip images that cannot be read.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="For feedback:NAME: delete all stored inputs of this model.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Download or decode a data set if needed, and describe it.

    Example: tailorbird data fashion_mnist --out sheet.png
    """
    here = settings.load()
    if name.startswith(kept.PREFIX):
        _feedback(here, name.removeprefix(kept.PREFIX), out, forget=forget, as_json=as_json)
        return
    options = {"label": _labels(label), "size": _size(size), "colour": colour, "skip_broken": skip_broken}
    changes = {key: value for key, value in options.items() if value is not None}
    wanted = config.parse(config.DataConfig, {**_source(name, here.data), **changes}, f"{name}: ")
    dataset = datasets.load(wanted, here.data, here.cache, here.download_timeout)
    if image is not None:
        _write_image(dataset, image, out)
        return
    if out:
        write_out(out, _picture(dataset))
    if as_json:
        print_json(dataset.record())
    else:
        _show(dataset, out, terminal.console())


def _feedback(here: Settings, model: str, out: Path | None, *, forget: bool, as_json: bool) -> None:
    """Write or delete the inputs that an endpoint stored."""
    if forget == (out is not None):
        raise InvalidInput("feedback:NAME", "requires --out DIR to write a data set, or --forget to delete the inputs")
    with Registry(here) as registry:
        counts = {"deleted": inputs.forget(registry, model)} if out is None else kept.write(registry, model, out)
    if as_json:
        print_json(counts)
        return
    for label, count in counts.items():
        print(f"{label}: {count}")
    if out is not None:
        print(f"data set: {out} (for training and validation only: its labels are not a random sample)")


def _write_image(dataset: Dataset, number: int, out: Path | None) -> None:
    """Write one image of the test split as PNG and print its class; of all images if there is no test split."""
    if dataset.columns is not None:
        raise InvalidInput("--image", f"applies only to images; {dataset.name} is a table")
    if out is None:
        raise InvalidInput("--out", "is required: the file to write the image to")
    inputs, targets = dataset.test or (dataset.inputs, dataset.targets)
    if not 0 <= number < len(inputs):
        raise InvalidInput("--image", f"there is no image {number}; accepted: 0 to {len(inputs) - 1}")
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(inputs[number])).save(buffer, "PNG")
    write_out(out, buffer.getvalue())
    label = f"{dataset.classes[int(targets[number])]}: " if dataset.kind in ("multiclass", "binary") else ""
    print(f"{label}{out}")


def _source(name: str, folder: Path) -> dict[str, Any]:
    """The keys of a data config for a name or path; published names take precedence over paths."""
    if name in get_args(Published) or CODE.fullmatch(name):
        return {"name": name}
    path = next(
        (candidate for candidate in (Path(name).expanduser().absolute(), folder / name) if candidate.exists()), None
    )
    if path is None:
        known = ", ".join(get_args(Published))
        raise InvalidInput(
            "NAME|PATH", f"{name!r} is neither a data set nor a file or folder, here or in {folder}; data sets: {known}"
        )
    return {"name": TABLE if is_table(path) else IMAGES, "path": str(path)}


def _labels(names: list[str] | None) -> str | list[str] | None:
    return names[0] if names and len(names) == 1 else names or None


def _size(text: str | None) -> int | tuple[int, int] | None:
    if text is None:
        return None
    if not (match := re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", text)):
        raise InvalidInput("--size", f"must be SIDE or HEIGHTxWIDTH from 1 to 99999, as in 32 or 48x64, not {text!r}")
    return (int(match[1]), int(match[2])) if match[2] else int(match[1])


def _picture(dataset: Dataset) -> bytes:
    from training import plots  # loads matplotlib

    return plots.scatter_matrix(dataset) if dataset.columns else plots.contact_sheet(dataset)


def _figures(part: str) -> Column:
    return Column(part, justify="right")


def _show(dataset: Dataset, out: Path | None, console: Console) -> None:
    record = dataset.record()
    shape = "x".join(map(str, record["shape"])) if len(record["shape"]) > 1 else f"{record['shape'][0]} columns"
    title = f"{dataset.name}: {shape} {record['dtype']}, {dataset.kind}"
    if dataset.kind == "regression":
        table = Table(dataset.classes[0], *map(_figures, record["values"]), title=title, box=box.SIMPLE)
        for key in record["values"]["train"]:
            table.add_row(key, *(f"{values[key]:.4g}" for values in record["values"].values()))
    else:
        noun = "label" if dataset.kind == "multilabel" else "class"
        table = Table(noun, *map(_figures, dataset.parts), title=title, box=box.SIMPLE)
        for label, counts in record["counts"].items():
            table.add_row(label, *(f"{counts[part]:,}" for part in dataset.parts))
    table.add_row("all", *(f"{record[part]:,}" for part in dataset.parts), style="bold")
    tables.show(console, table)
    if dataset.columns:
        console.print(f"columns: {', '.join(dataset.columns)}", soft_wrap=True)
    for note in dataset.notes:
        console.print(note, style="yellow", soft_wrap=True)
    console.print(f"SHA-256 {record['sha256']}", soft_wrap=True)
    if not dataset.test:
        console.print("no test split: data.test holds one out")
    if out:
        kind = "scatter matrix" if dataset.columns else "contact sheet"
        console.print(f"{kind}: {out}", soft_wrap=True)
