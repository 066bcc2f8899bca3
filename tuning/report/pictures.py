"""The plots of a sweep: curves of its trials' reports, and evaluations of their stored weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from registry.core import Registry
from registry.ledger import Trial
from tailorbird.errors import NotFound, TailorbirdError
from tailorbird.pages.document import Block, Paragraph, Picture
from tailorbird.settings import Settings
from training import datasets, evaluation, features, plots, splits
from training.config import CODE, RunConfig, own_code
from training.network import restored
from training.progress import Epoch
from training.scores import THRESHOLD, Binary, Classification, Evaluation, Multilabel
from training.splits import Splits
from tuning.report.results import Row, SweepResults, best, kept

CURVES, DRAWN = 36, 20
"""The most runs in one plot, and in a sweep with plots of each run."""
BEST = 3
"""In larger sweeps only this many of the best runs have plots."""
FITTED = ("loss", "accuracy")
"""Figures of the kept weights on the training split."""


def losses(rows: Sequence[Row]) -> Iterator[Block]:
    """All training loss curves in one picture, and all validation loss curves in another."""
    for metric, title in (("train_loss", "Training loss"), ("val_loss", "Validation loss")):
        series = {}
        for row in rows[:CURVES]:
            points = [
                (report.epoch, report.metrics[metric]) for report in row.trials[0].reports if metric in report.metrics
            ]
            if len(points) > 1:
                series[row.name] = points
        if series:
            more = f" The first {CURVES} of {len(rows)} runs." if len(rows) > CURVES else ""
            caption = f"{title} by epoch, of each run.{more}"
            yield Picture(f"{metric}.png", caption, plots.loss_curves(series, title))


def learning(rows: Sequence[Row]) -> Iterator[Block]:
    """Curves of runs with the gap between training and validation, which shows where they overfit."""
    measured = [row for row in rows if "val_loss" in row.figures]
    for row in (row for row in measured if len(row.trials[0].reports) > 1):
        trial = row.trials[0]
        epochs = [Epoch.of({**report.metrics, "epoch": report.epoch}) for report in trial.reports]
        measured_once = trial.reports[-1].metrics
        fitted = {name: measured_once[f"fit_{name}"] for name in FITTED if f"fit_{name}" in measured_once}
        picture = plots.curves(epochs, kept(trial).epoch, fitted)
        yield Picture(f"curves-{trial.number}.png", f"{_called(row)}.", picture)
    if not measured:
        yield Paragraph("No validation split was kept, so there is no gap to draw.")


def drawn(results: SweepResults) -> list[Row]:
    """The runs that get pictures of their own."""
    ordered = best(results.spec, results.rows)
    return ordered if len(ordered) <= DRAWN else ordered[:BEST]


def _called(row: Row) -> str:
    trial = f"trial {row.trials[0].number}"
    return trial if row.name == trial else f"{row.name}, {trial}"


@dataclass(frozen=True)
class Answers:
    """Predictions of stored weights, on the split that a report may use."""

    registry: Registry
    settings: Settings
    results: SweepResults

    def pictures(self, rows: Sequence[Row]) -> Iterator[Block]:
        """Confusion matrices, and precision and recall by threshold, or the reason why there are none."""
        undrawn: dict[str, list[str]] = {}
        for row in rows:
            try:
                yield from self._drawn(row, self._evaluated(row.trials[0]))
            except TailorbirdError as error:
                undrawn.setdefault(str(error), []).append(row.name)
        for reason, names in undrawn.items():
            of = f" of {', '.join(names)}" if len(names) < len(rows) else ""
            yield Paragraph(f"Not drawn{of}: {reason}.")

    def _drawn(self, row: Row, evaluation: Evaluation) -> Iterator[Block]:
        number, classes = row.trials[0].number, self._splits.classes
        title = f"{row.name}: {{}}{len(evaluation):,} {self._where} examples"
        if isinstance(evaluation, Classification):
            picture = plots.confusion(
                evaluation.confusion(), classes, title.format(f"{evaluation.accuracy:.2%} right of ")
            )
            yield Picture(f"confusion-{number}.png", f"Confusion matrix, {_called(row)}.", picture)
        if isinstance(evaluation, Binary | Multilabel):
            places = [1] if isinstance(evaluation, Binary) else list(range(len(classes)))
            names = [classes[index] for index in places]
            picture = plots.precision_recall(
                evaluation.probabilities[:, places], evaluation.truth[:, places], names, THRESHOLD, title.format("")
            )
            caption = f"Precision and recall by decision threshold, {_called(row)}."
            yield Picture(f"thresholds-{number}.png", caption, picture)

    @cached_property
    def _splits(self) -> Splits:
        data = self.results.spec.data
        if CODE.fullmatch(data.name):  # the spec comes from the ledger, and nothing in the ledger may run code
            raise NotFound("data", f"{data.name} is custom code, which a report does not run")
        settings = self.settings
        return splits.split(datasets.load(data, settings.data, settings.cache, settings.download_timeout), data)

    @property
    def _where(self) -> str:
        """The test examples of a study; sweeps that promote choose on validation."""
        return "validation" if self.results.spec.promote else "test"

    def _evaluated(self, trial: Trial) -> Evaluation:
        config = RunConfig.model_validate(trial.config)
        for code in own_code(config.model).values():
            raise NotFound("model", f"{code} is custom code, which a report does not run")
        dealt = features.prepared(config, self._splits)
        split = dealt.validation if self.results.spec.promote else dealt.test
        if not len(split):
            raise NotFound("data", f"there are no {self._where} examples")
        stored = kept(trial).checkpoint
        if stored is None:
            raise NotFound("checkpoint", f"trial {trial.number} has none")
        if trial.outranked:
            raise NotFound("checkpoint", f"that of trial {trial.number} was deleted, since enough others are better")
        network = restored(config, dealt, self.registry.blobs.get(stored))
        temperature = evaluation.temperature(network, dealt.validation, dealt.kind)
        return evaluation.of(network, split, dealt.kind, temperature)
