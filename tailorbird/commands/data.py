"""`tailorbird data NAME`: get a data set and describe it."""

from pathlib import Path
from typing import Annotated

import typer

from tailorbird.commands.options import AsJson, print_json


def data(
    name: Annotated[str, typer.Argument(help="digits, fashion_mnist or mnist.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Write a contact sheet (PNG) here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Get a data set, downloading what is missing, and describe it.

    Example: tailorbird data fashion_mnist --out sheet.png
    """
    from rich.console import Console
    from rich.table import Table

    from tailorbird import settings
    from training import config, datasets, plots

    wanted = config.parse(config.DataConfig, {"name": name})
    here = settings.load()
    dataset = datasets.load(wanted.name, here.data, here.download_timeout)
    if out:
        _write(out, plots.contact_sheet(dataset))
    record = dataset.record()
    if as_json:
        print_json(record)
        return
    table = Table("class", "train", "test", title=f"{dataset.name}: {record['shape']} {record['dtype']}")
    for label, counts in record["counts"].items():
        table.add_row(label, str(counts["train"]), str(counts["test"]))
    table.add_row("all", str(record["train"]), str(record["test"]), style="bold")
    console = Console()
    console.print(table)
    console.print(f"SHA-256 {record['sha256']}", highlight=False, soft_wrap=True)
    if not dataset.test:
        console.print("no test split of its own: data.test sets one apart", highlight=False)
    if out:
        console.print(f"contact sheet: {out}", highlight=False, soft_wrap=True)


def _write(path: Path, picture: bytes) -> None:
    from tailorbird.errors import InvalidInput

    try:
        path.write_bytes(picture)
    except OSError as error:
        raise InvalidInput("--out", f"{path} cannot be written: {error.strerror}") from None
