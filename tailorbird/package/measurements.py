"""The measurements of a version, stored as `evidence` in its row and its manifest."""

from tailorbird.package.baseline import Baseline, Score
from tailorbird.package.record import Amount, Figure, Record, Share


class Parity(Record):
    """How two ways to answer so many held-out examples compare, of an export and of torch for the most part: the share
    of equal labels, and the largest difference of probabilities."""

    agreement: Figure
    max_difference: Figure
    samples: Amount

    def __str__(self) -> str:
        agreement, difference = (
            float("nan") if figure is None else figure for figure in (self.agreement, self.max_difference)
        )
        return f"export agrees with torch on {agreement:.2%} of labels, probabilities within {difference:.0e}"


class Latency(Record):
    """Milliseconds that an export takes for one example: the median and the 99th percentile of so many runs."""

    p50_ms: Figure
    p99_ms: Figure
    runs: Amount
    threads: Amount


class Export(Record):
    """What was measured of an export, which no file of the package tells; `batches` compares what it answers to
    examples one by one and in small batches, by torch too, with what it answers to the whole split."""

    parity: Parity
    batches: Parity | None = None
    latency: Latency | None = None

    @property
    def caution(self) -> str | None:
        """What whoever trained it must hear: that an answer depends on what else is in its batch."""
        if self.batches is None or self.batches.agreement in (None, 1):
            return None
        return (
            f"answers depend on the rest of the batch: alone and in small batches, examples get the label that they "
            f"have among all in {self.batches.agreement:.2%} of cases"
        )


class Measurements(Export, Score):
    """The figures of `baseline.json` that a row keeps, with those of the export."""

    standard_error: Share
    calibration_error: Share | None = None
    test: Score

    @classmethod
    def of_package(cls, baseline: Baseline, export: Export) -> "Measurements":
        kept = {name: getattr(baseline, name) for name in cls.model_fields if name in Baseline.model_fields}
        return cls(**kept, parity=export.parity, batches=export.batches, latency=export.latency)
