"""DataConfig: which data set, and how it is dealt into what is trained on, chosen on, held out and tested."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, StrictFloat, StrictInt, field_validator, model_validator

from tailorbird.errors import InvalidInput
from training.config.base import CODE, Config, PositiveInt, Seed

Kind = Literal["multiclass", "binary", "multilabel", "regression"]
"""What is predicted: one class of several, one of two, any number of labels, or a number."""

Published = Literal[
    "breast_cancer", "cifar10", "diabetes", "digits", "digits_multilabel", "fashion_mnist", "iris", "mnist"
]  # fmt: skip
IMAGES, TABLE = "images", "table"
COLUMNS = ("breast_cancer", "diabetes", "iris")
"""Published tables."""


def _size(size: float) -> float:
    if size < 0 or (isinstance(size, float) and size >= 1):
        raise ValueError(f"must be a count of images, or a fraction below 1, not {size}")
    return size


Size = Annotated[StrictInt | StrictFloat, AfterValidator(_size)]


class DataConfig(Config):
    """Which images or rows are trained on, chosen on, and held out.

    `name` is a published set; `images`, a folder or archive at `path` with a folder for each class; `table`, a CSV or
    Parquet file at `path`; or `package.module:name`, a function of the user's own that returns a
    `training.datasets.Dataset`.
    """

    name: str
    path: str | None = Field(None, description="of images and table: absolute, or below TAILORBIRD_DATA_DIR")
    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = Field(
        None,
        description="of images: side, or height and width, that all are brought to; default: the usual one",
    )
    colour: bool | None = Field(None, description="of images: three channels or one; default: three if any has colour")
    skip_broken: bool = Field(False, description="of images: leave out files that cannot be read")
    label: str | Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="of a table: the column that is predicted; of multilabel ones a list"
    )
    columns: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="the columns of a table that are looked at; default: all but the label"
    )
    kind: Kind | None = Field(None, description="of a table, the kind of its label; default: inferred from its values")
    validation: Size = Field(
        0.1, description="images that choices are made on: a count, or a fraction; of a set that comes without its own"
    )
    holdout: Size = Field(0.1, description="images that gates are judged on: a count, or a fraction")
    test: Size = Field(0.2, description="test split, of a set that comes without its own")
    split_seed: Seed = Field(0, description="with the images' content decides which image is where")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        known = (*get_args(Published), IMAGES, TABLE)
        if name not in known and not CODE.fullmatch(name):
            raise ValueError(f"must be one of {', '.join(known)}, or package.module:name, not {name!r}")
        return name

    @field_validator("test")
    @classmethod
    def _test_is_measured(cls, size: float) -> float:
        if not size:
            raise ValueError("must be above 0: registered models are tested on it")
        return size

    @model_validator(mode="after")
    def _keys_suit_name(self) -> "DataConfig":
        of = {"path": (IMAGES, TABLE), "size": (IMAGES,), "colour": (IMAGES,), "skip_broken": (IMAGES,)}
        of |= {"label": (TABLE,), "columns": (TABLE, *COLUMNS), "kind": (TABLE,)}
        for key, names in of.items():
            if getattr(self, key) not in (None, False) and self.name not in names:
                raise ValueError(f"{key} applies only to {' and '.join(names)}, not to {self.name}")
        if self.name in (IMAGES, TABLE) and not self.path:
            raise InvalidInput("data.path", f"is required: the path of the {self.name}")
        if self.name == TABLE and not self.label:
            raise InvalidInput("data.label", "is required: the column to predict (--label)")
        return self

    def located(self, folder: Path) -> Path:
        """`path`, taken from `folder` if it is relative; raises InvalidInput if it cannot be resolved."""
        try:
            path = folder / Path(self.path or "").expanduser()
            path.exists()
        except RuntimeError as error:
            raise InvalidInput("data.path", f"{self.path} cannot be resolved: {error}") from None
        except OSError as error:
            raise InvalidInput("data.path", f"{self.path} cannot be resolved: {error.strerror}") from None
        return path
