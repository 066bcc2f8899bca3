"""`tailorbird train CONFIG.yaml`: one run."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailorbird.commands.options import AsJson, print_json
from tailorbird.errors import Unavailable

if TYPE_CHECKING:
    from rich.console import Console

    from training.candidate import Candidate
    from training.config import RunConfig
    from training.loop import Run
    from training.splits import Splits


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="A run config.", show_default=False)],
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key, as in optimizer.lr=0.01.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; default: runs/NAME-DIGEST in HOME.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train one model; write curves, confusion matrix, checkpoint and ONNX export.

    Example: tailorbird train run.yaml --set model.width=256 --set epochs=10
    """
    from rich.console import Console

    from registry.storage.files import write_flushed
    from tailorbird import settings
    from training import candidate, checkpoint, datasets, splits
    from training import config as configs

    here = settings.load()
    checked = configs.parse(configs.RunConfig, configs.override(configs.read(config), assignments or []))
    folder = (out or here.home / "runs" / f"{config.stem}-{configs.digest(checked)[:8]}").absolute()
    dataset = datasets.load(checked.data.name, here.data, here.download_timeout)
    dealt = splits.split(dataset, checked.data)
    console = Console(stderr=as_json)
    candidate.check(dealt)
    _make(folder)
    run = with_bar(checked, dealt, console, checked.epochs)
    made = candidate.make(checked, dealt, checkpoint.encode(run.best_state), run.epochs, run.best.epoch)
    for name, data in made.files.items():
        write_flushed(folder / name, data)
    if as_json:
        print_json(_record(run, made, folder))
    else:
        _show(run, made, folder, console)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be made: {error.strerror}; --out names another folder") from None


def with_bar(config: "RunConfig", dealt: "Splits", console: "Console", epochs: int) -> "Run":
    """Train so many epochs of a run, with a progress bar where somebody looks on."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from training.loop import Run

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=epochs * len(dealt.train))
        run = Run(config, dealt, on_batch=lambda images: bar.advance(task, images))
        for epoch in islice(run, epochs):
            figures = "  ".join(f"{name} {value:.4f}" for name, value in epoch.metrics().items() if "_" in name)
            bar.console.print(f"epoch {epoch.epoch}/{config.epochs}  {figures}  {epoch.seconds:.1f} s", highlight=False)
    return run


def _record(run: "Run", made: "Candidate", folder: Path) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "best_epoch": run.best.epoch,
        "holdout_accuracy": made.holdout.accuracy,
        "test_accuracy": made.test.accuracy,
        "parity": made.parity.record(),
        "epochs": [{"epoch": one.epoch, **one.metrics()} for one in run.epochs],
    }


def _show(run: "Run", made: "Candidate", folder: Path, console: Any) -> None:
    kept = f"kept epoch {run.best.epoch} of {len(run.epochs)}"
    figures = [
        f"{name} accuracy {evaluated.accuracy:.2%} ± {evaluated.standard_error:.2%}"
        for name, evaluated in (("held-out", made.holdout), ("test", made.test))
    ]
    console.print("; ".join([kept, *figures]), highlight=False, soft_wrap=True)
    console.print(f"results: {folder}", highlight=False, soft_wrap=True)
