"""`tailorbird registry diff`."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from registry import versions
from registry.cards import diff as diffs
from registry.cards.diff import Diff, Pair
from tailorbird import tables, terminal
from tailorbird.commands.options import AsJson, open_registry, print_json
from tailorbird.pages.document import clean

SHARE = ("{:.2%}", "{:+.2f} points")
COUNT = ("{:,.0f}", "{:+,.0f}")
MILLISECONDS = ("{:.3f} ms", "{:+.3f} ms")
METRICS = {
    "held_out_accuracy": ("held-out accuracy", *SHARE),
    "held_out_standard_error": ("its standard error", *SHARE),
    "held_out_samples": ("held-out images", *COUNT),
    "test_accuracy": ("test accuracy", *SHARE),
    "test_samples": ("test images", *COUNT),
    "calibration_error": ("calibration error", *SHARE),
    "parity_agreement": ("export: labels agree", *SHARE),
    "parity_max_difference": ("export: largest difference", "{:.1e}", "{:+.1e}"),
    "latency_p50_ms": ("latency, median", *MILLISECONDS),
    "latency_p99_ms": ("latency, 99th percentile", *MILLISECONDS),
}


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A version: NAME[:N|@ALIAS].", show_default=False)],
    b: Annotated[
        str, typer.Argument(metavar="B", help="Version to compare with; may be of another model.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Compare two versions: configuration, data, environment, results, and images that only one gets right.

    Example: tailorbird registry diff demo:1 demo@champion
    """
    with open_registry() as registry:
        difference = diffs.between(registry, versions.resolve(registry, a), versions.resolve(registry, b))
    if as_json:
        print_json(difference.record())
    else:
        _print(difference, terminal.console())


def _print(difference: Diff, console: Console) -> None:
    sides = [difference.a, difference.b]
    for name in ("config", "data", "environment"):
        pairs: dict[str, Pair] = getattr(difference, name)
        if pairs:
            rows = [[key, _plain(pair.a), _plain(pair.b)] for key, pair in pairs.items()]
            _table(console, name, ["", *sides], rows, numbers=False)
        else:
            console.print(f"{name}: the same in both\n")
    if problem := _classes(difference):
        console.print(problem)
    sides.append("difference")
    results = [[caption, *_cells(difference.metrics[name], *formats)] for name, (caption, *formats) in METRICS.items()]
    _table(console, "results", ["", *sides], results)
    sizes = [[name, *_cells(pair, *COUNT)] for name, pair in difference.sizes.items()]
    _table(console, "files, in bytes", ["", *sides], sizes)
    for part in ("recall", "precision") if difference.by_class else ():
        of_part = [[name, *_cells(pairs[part], *SHARE)] for name, pairs in difference.by_class.items()]
        _table(console, f"{part} by class", ["", *sides], of_part)
    console.print(_images(difference))


def _table(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True
) -> None:
    table = Table(box=box.SIMPLE, title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if numbers and index else "left")
    for row in rows:
        table.add_row(*map(clean, row))
    tables.show(console, table)


def _cells(pair: Pair, value: str, difference: str) -> list[str]:
    apart = None if pair.difference is None else pair.difference * (100 if difference.endswith("points") else 1)
    shown = (value.format(item) if isinstance(item, int | float) else "-" for item in (pair.a, pair.b))
    return [*shown, "-" if apart is None else difference.format(apart) if apart else "0"]


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)


def _classes(difference: Diff) -> str:
    a, b = difference.classes.a, difference.classes.b
    only = {difference.a: [name for name in a if name not in b], difference.b: [name for name in b if name not in a]}
    sentences = [f"{version} alone has the classes {', '.join(names)}" for version, names in only.items() if names]
    if not sentences and a != b:
        sentences = ["the classes are the same, in another order"]
    return clean("; ".join(sentences))


def _images(difference: Diff) -> str:
    images = difference.images
    if isinstance(images, str):
        return f"held-out images: {images}"
    low, high = images.interval
    return (
        f"Of {images.shared:,} shared held-out images (of {images.of:,}), {images.both_right:,} are right in both, "
        f"{images.only_a:,} only in {difference.a}, {images.only_b:,} only in {difference.b}, and "
        f"{images.both_wrong:,} in neither. Difference in accuracy: {100 * images.difference:+.2f} points, one-sided "
        f"95% bounds {100 * low:+.2f} and {100 * high:+.2f}; exact one-sided McNemar test: p = {images.p:.2g}."
    )
