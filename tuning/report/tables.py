"""The tables of a sweep's results, for pages, text and terminals."""

from collections.abc import Callable, Sequence
from typing import Any

from tailorbird.pages.document import Table
from tuning.report.results import Figure, Row, best, merit
from tuning.spec import SweepSpec
from tuning.summary import cells

MINUS = "\N{MINUS SIGN}"


def percent(figure: Figure) -> str:
    return f"{figure.mean:.2%}" + ("" if figure.spread is None else f" ± {100 * figure.spread:.2f}")


def points(figure: Figure) -> str:
    return signed(100 * figure.mean, 2) + ("" if figure.spread is None else f" ± {100 * figure.spread:.2f}")


def plain(figure: Figure) -> str:
    return f"{figure.mean:.4f}" + ("" if figure.spread is None else f" ± {figure.spread:.4f}")


def seconds(figure: Figure) -> str:
    return f"{figure.mean:.1f}" if figure.mean < 100 else f"{figure.mean:,.0f}"


def rate(figure: Figure) -> str:
    value = 100 * figure.mean
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def signed(value: float, digits: int) -> str:
    """A difference with its sign, if it is not 0."""
    shown = f"{abs(value):.{digits}f}"
    return shown if not float(shown) else (MINUS if value < 0 else "+") + shown


RESULTS: dict[str, tuple[str, Callable[[Figure], str]]] = {
    "test_accuracy": ("test accuracy", percent),
    "test_rmse": ("test RMSE", plain),
    "test_mae": ("test MAE", plain),
    "test_r2": ("test R²", plain),
    "test_exact_match": ("test, all labels right", percent),
    "test_precision": ("test precision", percent),
    "test_recall": ("test recall", percent),
    "test_f1": ("test F1", percent),
    "fit_accuracy": ("train accuracy", percent),
    "gap": ("gap, points", points),
    "val_accuracy": ("validation accuracy", percent),
    "test_loss": ("test loss", plain),
    "test_nll": ("test NLL", plain),
    "test_calibration_error": ("calibration error", percent),
    "fit_loss": ("train loss", plain),
    "val_loss": ("validation loss", plain),
    "train_loss": ("train loss, running", plain),
    "train_accuracy": ("train accuracy, running", percent),
    "seconds": ("seconds", seconds),
    "accuracy_per_second": ("points per second", rate),
}
"""The columns, in order; those without measurements are omitted."""
LOSSES = ("test_loss", "test_nll", "test_calibration_error", "fit_loss", "val_loss", "train_loss", "train_accuracy")
SHORT = ("test_accuracy", "test_rmse", "test_r2", "gap", "test_nll", "seconds")
"""The columns that fit into a terminal."""


def compared(rows: Sequence[Row]) -> list[str]:
    """The columns of the main table: those with a reference, then all others except losses."""
    referred = {name for row in rows for name in row.reference}
    others = [name for name in RESULTS if name not in LOSSES and name not in referred]
    return [*(name for name in RESULTS if name in referred), *others]


def losses(rows: Sequence[Row]) -> list[str]:
    """The other columns."""
    return [name for name in RESULTS if name not in compared(rows)]


def results(rows: Sequence[Row], names: Sequence[str]) -> Table:
    """Figures of each row by name, with any reference and the difference to it, in points for ratios."""
    columns = ["run"]
    lines = [[_titled(row)] for row in rows]
    referred = {name for row in rows for name in row.reference}
    for name in dict.fromkeys(names):
        title, form = RESULTS[name]
        if not any(name in row.figures for row in rows):
            continue
        columns.append(title)
        for row, line in zip(rows, lines, strict=True):
            line.append(form(row.figures[name]) if name in row.figures else "-")
        if name in referred:
            columns += ["reference", "difference"]
            for row, line in zip(rows, lines, strict=True):
                line += [_reference(row, name, form), _difference(row, name, form)]
    return Table(columns, lines, len(columns) - 1)


def top(spec: SweepSpec, rows: Sequence[Row]) -> list[str]:
    """The result of the best row, one sentence for each reference figure."""
    if (by := merit(spec, rows)) is None:
        return []
    first = best(spec, rows)[0]
    messages = []
    for name, theirs in (spec.reference or {}).items():
        if name in first.figures:
            title, form = RESULTS[name]
            reached = f"{title} {form(first.figures[name])}; reference {form(Figure(theirs))}"
            messages.append(f"Best by {RESULTS[by][0]}: {first.name}, {reached}.")
    return messages


def amount(name: str, value: float) -> str:
    """A difference of a figure, in points if it is a ratio."""
    return f"{100 * value:.2f} points" if RESULTS[name][1] is percent else f"{value:.4f}"


def settings(spec: SweepSpec, rows: Sequence[Row]) -> Table | None:
    """The keys in which the rows differ, if they have no names."""
    differing = [
        position for position in range(len(spec.varied)) if len({str(row.values[position]) for row in rows}) > 1
    ]
    if not differing:
        return None
    names = list(spec.varied.values())
    lines = [[row.name, *(cells(row.values[index])[0] for index in differing)] for row in rows]
    return Table(["run", *(names[index] for index in differing)], lines)


def searched(spec: SweepSpec, rows: Sequence[Row]) -> Table:
    """The main table of a search: the figures of each trial, how far it was trained, and where it differs."""
    main, keys = results(rows, compared(rows)), settings(spec, rows)
    trained = [f"{row.trials[0].reports[-1].epoch} of {row.trials[0].config['epochs']}" for row in rows]
    differing = [line[1:] for line in keys.rows] if keys else [[]] * len(rows)
    columns = [*main.columns, "epochs trained", *(keys.columns[1:] if keys else [])]
    lines = [[*line, epochs, *more] for line, epochs, more in zip(main.rows, trained, differing, strict=True)]
    return Table(columns, lines, len(columns) - 1)


def ends(rows: Sequence[Row]) -> Table:
    """The first and the last epoch of each row's first trial."""
    shown = {"train_loss": plain, "train_accuracy": percent, "val_loss": plain, "val_accuracy": percent}
    names = [name for name in shown if any(name in row.trials[0].reports[-1].metrics for row in rows)]
    lines = []
    for row in rows:
        reports = row.trials[0].reports
        for report in reports[:1] + reports[1:][-1:]:
            shown_figures = [
                shown[name](Figure(report.metrics[name])) if name in report.metrics else "-" for name in names
            ]
            lines.append([row.name, str(report.epoch), *shown_figures])
    titles = [name.replace("val_", "validation ").replace("_", " ") for name in names]
    return Table(["run", "epoch", *titles], lines, len(names) + 1)


def _titled(row: Row) -> str:
    return row.name if len(row.trials) == 1 else f"{row.name} ({len(row.trials)} seeds)"


def _reference(row: Row, name: str, form: Callable[[Figure], str]) -> str:
    return form(Figure(row.reference[name])) if name in row.reference else "-"


def _difference(row: Row, name: str, form: Callable[[Figure], str]) -> str:
    if row.behind(name) is None:
        return "-"
    difference: Any = row.figures[name].mean - row.reference[name]
    return signed(100 * difference, 2) if form is percent else signed(difference, 4)
