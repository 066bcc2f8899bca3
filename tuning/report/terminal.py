"""The result of a sweep in a terminal: the best trials and the promotion, or the table of a study."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tuning import summary
from tuning.outcome import Outcome
from tuning.report import tables
from tuning.report.results import Row, best, described, rows
from tuning.spec import SweepSpec

ROWS = 40


def show(outcome: Outcome, spec: SweepSpec, console: Console) -> None:
    """The best trials of a search, with their promotion if it promotes, or the table of a study.

    A search without a metric to choose by has the table of a study too.
    """
    if spec.promote:
        summary.show_outcome(outcome, spec, console)
        return
    trials = sorted((candidate.trial for candidate in outcome.ranked), key=lambda trial: trial.number)
    result_rows = rows(spec, [(trial, spec.listed(trial.number)) for trial in trials])
    if spec.runs is None and spec.watched == spec.objective.metric:
        summary.show_best(outcome.ranked, spec, console)
    else:
        console.print(_study(spec, result_rows))
    for sentence in tables.top(spec, result_rows):
        console.print(sentence)
    if spec.source:
        console.print(f"reference: {spec.source}")
    console.print(f"sweep {outcome.sweep} finished; `tailorbird report {outcome.sweep}` draws it")


def _study(spec: SweepSpec, result_rows: Sequence[Row]) -> Table:
    """Every run with its reference, in the order of the spec; of very many, only the best."""
    referred = [name for row in result_rows for name in row.reference]
    shown = result_rows if len(result_rows) <= ROWS else best(spec, result_rows)[:ROWS]
    table = tables.results(shown, [*referred, *tables.SHORT])
    drawn = Table(title=spec.name, box=box.SIMPLE, padding=(0, 1, 0, 0))
    for index, title in enumerate(table.columns):
        if table.numeric(index):  # one word per line, also of spreads, so that all columns fit
            drawn.add_column(title.replace(" ", "\n"), justify="right", no_wrap=True)
        else:
            drawn.add_column(title, min_width=12)
    for row, line in zip(shown, table.rows, strict=True):
        name, *figures = line
        run = name if spec.runs is not None else f"{name}: {described(spec, row.values)}"
        drawn.add_row(run, *(figure.replace(" ± ", "\n± ") for figure in figures))
    return drawn
