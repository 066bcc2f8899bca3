"""`baseline.json`: the scores of a version at registration."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from tailorbird import bins
from tailorbird.errors import Corrupt
from tailorbird.package.record import Count, Figure, Record, Share


def _label(label: str) -> str:
    if label not in bins.LABELS:
        raise ValueError(f"{label[:20]!r} is not the lower edge of a bin")
    return label


Label = Annotated[str, AfterValidator(_label)]
"""Counts of one confidence bin."""


class Score(Record):
    """An accuracy, and the number of answers."""

    accuracy: Share
    samples: Count


class Bin(Record):
    """The number of answers of one class and confidence bin, and of right ones among them."""

    count: Count
    correct: Count

    @model_validator(mode="after")
    def _check(self) -> "Bin":
        if self.correct > self.count:
            raise ValueError(f"{self.correct} of {self.count} answers cannot be right")
        return self


class Baseline(Score):
    """Everything is measured on the held-out split, except `test`.

    `nll` is in nats, `nll_uncalibrated` the same without the temperature; rows of `confusion` are true classes,
    columns answers; `bins` are by the answered class and the lower edge of the confidence, where there are any.
    """

    file: ClassVar = "baseline.json"

    standard_error: Share
    nll: Figure = None
    nll_uncalibrated: Figure = None
    calibration_error: Share | None = None
    confusion: Annotated[tuple[Annotated[tuple[Count, ...], Field(strict=False)], ...], Field(strict=False)]
    bins: dict[str, dict[Label, Bin]]
    test: Score

    def check(self, classes: Sequence[str]) -> "Baseline":
        """Return it if it is for these classes, else raise Corrupt."""
        size = len(classes)
        if len(self.confusion) != size or any(len(row) != size for row in self.confusion):
            raise Corrupt(f"{self.file}: its confusion must be {size} rows of {size} counts")
        if others := self.bins.keys() - set(classes):
            raise Corrupt(f"{self.file}: its bins are of {min(others)[:60]!r}, which is not a class")
        return self
