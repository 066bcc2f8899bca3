"""`tailorbird predict FILE|DIR…`: predictions for many files, by a version of the registry or an endpoint."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tailorbird import settings, terminal
from tailorbird.commands.options import AsJson, open_registry, print_json
from tailorbird.errors import InvalidInput, TailorbirdError
from tailorbird.prediction import inputs, offline, outputs
from tailorbird.prediction.inputs import Failure
from tailorbird.prediction.outputs import Output, Records
from tailorbird.prediction.predictors import Local, Predictor, Remote


def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE|DIR…", help="Image files, tables (CSV, Parquet) or folders of them.", show_default=False
        ),
    ],
    model: Annotated[
        str | None, typer.Option(metavar="NAME[@ALIAS|:N]", help="Version to predict with; default: TAILORBIRD_MODEL.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Endpoint to predict with, such as http://127.0.0.1:3000.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.csv|.parquet", help="Output file (.csv, .parquet); default: print.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict for images or tables on all cores; exit status 1 if some cannot be read; they are listed at the end.

    Example: tailorbird predict photos/ --model demo@champion --out predictions.csv
    """
    if model and url:
        raise InvalidInput("--url", "cannot be combined with --model")
    if out:
        outputs.check(out)
    configured = settings.load()
    predictor = Remote(url, configured) if url else _local(model or configured.model)
    selection = inputs.select(paths, predictor.signature)
    console = terminal.console(stderr=True)
    if selection.others:
        console.print(f"{selection.others:,} other files were skipped", style="yellow")
    readers = inputs.readers(selection.files, predictor.signature, configured.max_pixels)
    with _output(out, predictor, as_json) as output, _bar(console) as bar:
        task = bar.add_task("predicting", total=inputs.count(selection.files, predictor.signature))
        answered, failures = offline.predict(readers, predictor, output, lambda size: bar.advance(task, size))
    if as_json:
        print_json(_record(predictor, output, answered, failures, out))
    elif out:
        terminal.console().print(f"{answered:,} predictions: {out}", soft_wrap=True)
    _tell(failures, console, as_json)


def _local(reference: str) -> Local:
    with open_registry() as registry:
        return Local(registry, reference)


@contextmanager
def _output(out: Path | None, predictor: Predictor, as_json: bool) -> Iterator[Output]:
    if out:
        with outputs.file(out, predictor.signature) as file:
            yield file
    elif as_json:
        yield Records(predictor.signature)
    else:
        yield outputs.Lines(terminal.console())


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("left"))
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)


def _record(
    predictor: Predictor, output: Output, answered: int, failures: Sequence[Failure], out: Path | None
) -> dict[str, object]:
    record: dict[str, object] = {
        "model": predictor.model,
        "version": predictor.version,
        "answered": answered,
        "unreadable": [{"source": failure.source, "problem": failure.problem} for failure in failures],
    }
    if isinstance(output, Records):
        return record | {"predictions": output.records}
    return record | {"out": str(out)}


def _tell(failures: Sequence[Failure], console: Console, as_json: bool) -> None:
    if not failures:
        return
    for failure in () if as_json else failures:
        console.print(f"{failure.source}: {failure.problem}", soft_wrap=True)
    raise TailorbirdError(f"{len(failures):,} could not be read; all others were predicted")
