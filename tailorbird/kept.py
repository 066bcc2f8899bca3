"""`tailorbird data feedback:NAME`: a data set of the inputs that an endpoint stored, with their labels."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from registry import inputs, verification, versions
from registry.core import Registry
from registry.inputs import Labelled
from tailorbird.errors import InvalidInput, NotFound
from tailorbird.package.signature import Signature

PREFIX = "feedback:"
ROWS = "rows.csv"


def write(registry: Registry, model: str, out: Path) -> dict[str, int]:
    """Write folders of images by class, or a table, into a new folder; returns the number of examples by class.

    Raises InvalidInput if the folder is not empty or a class cannot be the name of a folder, NotFound if nothing is
    stored.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidInput("--out", f"{out} already exists; accepted: a new or empty folder")
    examples = list(inputs.labelled(registry, model))
    if not examples:
        raise NotFound("NAME", f"no labelled inputs of {model} are stored; set TAILORBIRD_KEEP_INPUTS to store inputs")
    numbers = {example.version for example in examples}
    signatures = {
        number: verification.signature(registry, versions.recall(registry, model, number)) for number in numbers
    }
    out.mkdir(parents=True, exist_ok=True)
    if any(signature.kind == "table" for signature in signatures.values()):
        _write_table(examples, signatures, out / ROWS)
    else:
        for example in examples:
            _write_image(example, signatures[example.version], out)
    return dict(sorted(Counter(example.label for example in examples).items()))


def _write_image(example: Labelled, signature: Signature, out: Path) -> None:
    if "/" in example.label or example.label in (".", ".."):
        raise InvalidInput("NAME", f"the class {example.label!r} cannot be the name of a folder")
    folder = out / example.label
    folder.mkdir(exist_ok=True)
    pixels = np.frombuffer(example.example, signature.dtype).reshape(signature.shape)
    Image.fromarray(pixels).save(folder / f"{example.receipt}.png")


def _write_table(examples: list[Labelled], signatures: dict[int, Signature], path: Path) -> None:
    columns = {signature.columns or tuple(map(str, range(signature.shape[0]))) for signature in signatures.values()}
    if len(columns) > 1:
        raise InvalidInput("NAME", "its versions have different columns, which do not fit into one table")
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*columns.pop(), "label"])
        for example in examples:
            row = np.frombuffer(example.example, signatures[example.version].dtype)
            table.writerow([*row.tolist(), example.label])
