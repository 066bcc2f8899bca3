"""The measurements of a version, stored as `evidence` in its row and its manifest."""

from tailorbird.package.baseline import Baseline, Score
from tailorbird.package.record import Amount, Figure, Record, Share


class Parity(Record):
    """The agreement of two sets of predictions for held-out examples, usually those of export and torch.

    It is the share of equal labels, and the largest difference of probabilities.
    """

    agreement: Figure
    max_difference: Figure
    samples: Amount

    def __str__(self) -> str:
        agreement, difference = (
            float("nan") if figure is None else figure for figure in (self.agreement, self.max_difference)
        )
        return f"export agrees with torch on {agreement:.2%} of labels, probabilities within {difference:.0e}"


class Latency(Record):
    """Milliseconds of an export for one example: median and 99th percentile of `runs` runs."""

    p50_ms: Figure
    p99_ms: Figure
    runs: Amount
    threads: Amount


class Export(Record):
    """Measurements of an export that are in no file of the package.

    `batches` compares its answers in the whole split with those alone and in small batches, by torch too.
    """

    parity: Parity
    batches: Parity | None = None
    latency: Latency | None = None

    @property
    def caution(self) -> str | None:
        """A warning for the user if an answer depends on the rest of its batch."""
        if self.batches is None or self.batches.agreement in (None, 1):
            return None
        return (
            f"answers depend on the rest of the batch: alone and in small batches, examples get the label that they "
            f"have among all in {self.batches.agreement:.2%} of cases"
        )


class Measurements(Export, Score):
    """The figures of `baseline.json` that a version's row contains, with those of the export."""

    standard_error: Share
    calibration_error: Share | None = None
    test: Score

    @classmethod
    def of_package(cls, baseline: Baseline, export: Export) -> "Measurements":
        kept = {name: getattr(baseline, name) for name in cls.model_fields if name in Baseline.model_fields}
        return cls(**kept, parity=export.parity, batches=export.batches, latency=export.latency)
