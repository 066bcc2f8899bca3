"""`signature.json`: the inputs and outputs of a model."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from tailorbird import classes as names
from tailorbird.package.record import Positive, Record

DEPTH, GROUND = 16, 0
"""Defaults of bits and background, for data sets without images of more than 8 bits or transparency."""
MOST_CLASSES = 2**16
"""The most classes: receipts store the class in two bytes."""


def _class_name(name: str) -> str:
    if problem := names.problem(name):
        raise ValueError(f"{name[:60]!r} is not a valid class name: it {problem}")
    if names.normal(name) != name:
        raise ValueError(f"{name[:60]!r} is not in its normal form: NFC, without spaces around it")
    return name


def _distinct(classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(classes)) < len(classes):
        raise ValueError("names a class twice")
    return classes


ClassName = Annotated[str, AfterValidator(_class_name)]
Size = Annotated[int, Field(ge=1)]


class Signature(Record):
    """`shape` is that of one input: [height, width] of grey, [height, width, 3] of colour images, [columns] of a table.

    `classes` are in the order of the outputs, `columns` in that of the inputs; `temperature` divides the logits. For
    images, `depth` is the number of bits in use in files of more than 8, and `ground` the grey under transparency.
    """

    file: ClassVar = "signature.json"

    kind: Literal["image", "table"]
    shape: Annotated[tuple[Size, ...], Field(min_length=1, max_length=3, strict=False)]
    dtype: Literal["uint8", "float32", "float64"]
    classes: Annotated[
        tuple[ClassName, ...],
        Field(min_length=2, max_length=MOST_CLASSES, strict=False),
        AfterValidator(_distinct),
    ]
    columns: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    depth: Annotated[int, Field(ge=8, le=16)] = DEPTH
    ground: Annotated[int, Field(ge=0, le=255)] = GROUND
    objective: Literal["multiclass", "binary"]
    temperature: Positive

    @model_validator(mode="after")
    def _check(self) -> "Signature":
        if (self.kind == "table") != (len(self.shape) == 1) or (self.kind == "image") != (self.dtype == "uint8"):
            raise ValueError(f"{self.kind} does not go with shape {list(self.shape)} of {self.dtype}")
        return self

    @property
    def input(self) -> str:
        """The model's input, in words."""
        if self.columns is not None:
            return f"rows of {', '.join(self.columns)}"
        if self.kind == "table":
            return "rows of numbers"
        height, width, *channels = self.shape
        return f"{'colour' if channels else 'grey'} images of {height} × {width} pixels"

    @property
    def thing(self) -> str:
        """One input, in a word."""
        return "row" if self.kind == "table" else "image"
