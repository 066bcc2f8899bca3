"""`estimator.json`: the fitted estimator of accuracy without labels, used by `tailorbird.drift`."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from tailorbird.errors import Corrupt
from tailorbird.package.baseline import Label
from tailorbird.package.record import LARGEST, Count, Record, Share

MOST_WEIGHT = 1e6
"""Far above any fitted weight, so that sums of weights stay finite."""

Weight = Annotated[float, Field(ge=-MOST_WEIGHT, le=MOST_WEIGHT, allow_inf_nan=False)]


class Error(Record):
    """Mean absolute errors, as fractions, on kinds of corruption that were left out of the fit.

    `small` is over windows whose accuracy drops by less than 15 points, `p90` their 90th percentile, `all` over all
    windows; `window` is the number of predictions in each.
    """

    small: Share
    p90: Share
    all: Share
    window: Count


class Fit(Record):
    """`answers` counts the held-out examples by true class, predicted class and bin; `weights` are by predicted class
    and bin. A missing cell is 0. `weights` and `error` are None if inputs cannot be corrupted.
    """

    file: ClassVar = "estimator.json"

    answers: dict[str, dict[str, dict[Label, Count]]]
    weights: dict[str, dict[Label, Weight]] | None
    error: Error | None

    @model_validator(mode="after")
    def _check(self) -> "Fit":
        total = sum(count for table in self.answers.values() for row in table.values() for count in row.values())
        if not 0 < total <= LARGEST:
            raise ValueError(f"answers must count from 1 to {LARGEST} examples, not {total}")
        return self

    def check(self, classes: Sequence[str]) -> "Fit":
        """Return it if it is for these classes, else raise Corrupt."""
        names = set(classes)
        if missing := names - self.answers.keys():
            raise Corrupt(f"{self.file}: its answers do not name {min(missing)[:60]!r}, which is a class")
        if others := {*self.answers, *(self.weights or {})}.union(*self.answers.values()) - names:
            raise Corrupt(f"{self.file}: it names {min(others)[:60]!r}, which is not a class")
        return self
