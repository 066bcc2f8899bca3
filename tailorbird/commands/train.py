"""`tailorbird train CONFIG.yaml`: one run."""

import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tailorbird import settings, terminal
from tailorbird.commands.options import AsJson, print_json
from tailorbird.errors import Interrupted, InvalidInput, Unavailable
from tailorbird.files import write_flushed

if TYPE_CHECKING:
    from training.candidate import Candidate, RunResults
    from training.config import RunConfig
    from training.loop import Run
    from training.splits import Splits

INTERRUPTED = "interrupted.safetensors"
KEEPING = 0.05
"""The largest share of the time that may be spent on saving the state for --resume."""
SPLITS = {"validation": "validation", "holdout": "held-out", "test": "test"}


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="A run config.", show_default=False)],
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as optimizer.lr=0.01.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Output folder; default: runs/NAME-DIGEST in HOME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume this run after an interruption.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train one model; write curves, confusion matrix, checkpoint and, for a classifier, a package.

    An interrupted run continues with --resume, and ends with the same weights as an uninterrupted one.

    Example: tailorbird train run.yaml --set model.width=256 --set epochs=10
    """
    from tailorbird import yaml_files
    from training import candidate, datasets, memory, precision, registrable, requirements, splits
    from training import config as configs

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # sent by Kubernetes: handled like Ctrl-C
    here = settings.load()
    checked = configs.parse(
        configs.RunConfig, configs.override(yaml_files.read(config, "epochs: 5"), assignments or [])
    )
    dataset = datasets.load(checked.data, here.data, here.cache, here.download_timeout)
    dealt = splits.split(dataset, checked.data)
    console = terminal.console(stderr=as_json)
    if checked.precision == "auto":
        console.print(precision.note(checked, dealt))
        checked = precision.settled(checked, dealt)
    folder = (out or here.home / "runs" / f"{config.stem}-{configs.digest(checked)[:8]}").absolute()
    obstacle = registrable.obstacle(dealt)
    notes = (*dealt.notes, *requirements.notes([checked], dealt))
    memory.check(checked, dealt)
    for note in notes:
        console.print(note, style="yellow")
    _make(folder)
    run = _trained(checked, dealt, console, folder, resume)
    weights = _keep(folder, run)  # written first, so that they exist even if the rest fails
    outcome = (candidate.results if obstacle else candidate.make)(checked, dealt, weights, run.epochs, run.best.epoch)
    _write(folder, outcome.files)
    (folder / INTERRUPTED).unlink(missing_ok=True)
    if as_json:
        print_json({**_record(run, outcome, folder, obstacle), "notes": notes})
    else:
        _show(run, outcome, folder, obstacle, console)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be created: {error.strerror}; choose another folder with --out") from None


def _trained(config: "RunConfig", dealt: "Splits", console: Console, folder: Path, resume: bool) -> "Run":
    """Train to the end; the state for --resume is saved after epochs, as often as that is cheap."""
    from training.loop import Diverged, Run

    state = folder / INTERRUPTED
    run = Run(config, dealt, snapshot=_read(state) if resume else None)
    due, whole = 0.0, run.snapshot()

    def keep() -> None:
        nonlocal due, whole
        whole = run.snapshot()
        if (start := time.monotonic()) >= due:
            write_flushed(state, whole.pack())
            due = start + (time.monotonic() - start) / KEEPING

    try:
        with_bar(run, console, config.epochs, keep)
    except KeyboardInterrupt:
        if not whole.trained:
            raise Interrupted("interrupted in epoch 1, before anything was saved") from None
        write_flushed(state, whole.pack())
        again = f"resume after epoch {whole.trained} by adding --resume to the same command"
        raise Interrupted(f"interrupted in epoch {run.trained + 1}; {again}") from None
    except Diverged as error:
        if not run.best_state:
            raise
        _keep(folder, run)
        raise Diverged(f"{error}; they are in {folder / 'checkpoint.safetensors'}") from None
    return run


def _keep(folder: Path, run: "Run") -> bytes:
    """Write the best weights and the records after removing the files of an earlier run, so that they never mix."""
    from training import candidate, checkpoint

    weights = checkpoint.encode(run.best_state)
    for name in candidate.FILES:
        (folder / name).unlink(missing_ok=True)
    _write(folder, {"checkpoint.safetensors": weights})
    _write(folder, candidate.records(run.config, weights, run.epochs, run.best.epoch))
    return weights


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        write_flushed(folder / name, data)


def _read(state: Path) -> bytes:
    try:
        return state.read_bytes()
    except OSError:
        raise InvalidInput("--resume", f"there is no interrupted run in {state.parent}; run again without it") from None


def with_bar(run: "Run", console: Console, epochs: int, on_epoch: Callable[[], None] = lambda: None) -> None:
    """Train a run for this many epochs, with a progress bar on a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=epochs * run.examples, completed=run.trained * run.examples)
        run.on_batch = lambda examples: bar.advance(task, examples)
        while not run.done and run.trained < epochs:
            epoch = run.step()
            on_epoch()
            figures = "  ".join(f"{name} {value:.4f}" for name, value in epoch.metrics().items() if "_" in name)
            number = f"epoch {epoch.epoch}/{run.config.epochs}"
            bar.console.print(f"{number}  {figures}  {epoch.seconds:.1f} s")


def _record(run: "Run", outcome: "Candidate | RunResults", folder: Path, obstacle: str | None) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "best_epoch": run.best.epoch,
        **outcome.record(),
        "no_package": obstacle,
        "epochs": [{"epoch": epoch.epoch, **epoch.metrics()} for epoch in run.epochs],
    }


def _show(run: "Run", outcome: "Candidate | RunResults", folder: Path, obstacle: str | None, console: Console) -> None:
    console.print(f"kept epoch {run.best.epoch} of {run.trained}")
    for split, figures in outcome.figures.items():
        message = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in figures.items())
        console.print(f"{SPLITS[split]}: {message}")
    if outcome.caution:
        console.print(outcome.caution, style="yellow")
    if obstacle:
        console.print(f"no package written: {obstacle}")
    console.print(f"results: {folder}", soft_wrap=True)
