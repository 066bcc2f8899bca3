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
    b: Annotated[str, typer.Argument(metavar="B", help="Another, also of another model.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """What two versions differ in: configuration, data, environment, results, and images that one alone gets right.

    Example: tailorbird registry diff demo:1 demo@champion
    """
    with open_registry() as registry:
        found = diffs.between(registry, versions.resolve(registry, a), versions.resolve(registry, b))
    if as_json:
        print_json(found.record())
    else:
        _print(found, terminal.console())


def _print(found: Diff, console: Console) -> None:
    sides = [found.a, found.b]
    for name in ("config", "data", "environment"):
        pairs: dict[str, Pair] = getattr(found, name)
        if pairs:
            rows = [[key, _plain(pair.a), _plain(pair.b)] for key, pair in pairs.items()]
            _table(console, name, ["", *sides], rows, numbers=False)
        else:
            console.print(f"{name}: the same in both\n")
    if problem := _classes(found):
        console.print(problem)
    sides.append("difference")
    results = [[told, *_cells(found.metrics[name], *formats)] for name, (told, *formats) in METRICS.items()]
    _table(console, "results", ["", *sides], results)
    sizes = [[name, *_cells(pair, *COUNT)] for name, pair in found.sizes.items()]
    _table(console, "files, in bytes", ["", *sides], sizes)
    for part in ("recall", "precision") if found.by_class else ():
        of_part = [[name, *_cells(pairs[part], *SHARE)] for name, pairs in found.by_class.items()]
        _table(console, f"{part} by class", ["", *sides], of_part)
    console.print(_images(found))


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
    return value if isinstance(value, str) else json.dumps(value)


def _classes(found: Diff) -> str:
    a, b = found.classes.a, found.classes.b
    only = {found.a: [name for name in a if name not in b], found.b: [name for name in b if name not in a]}
    told = [f"{version} alone has the classes {', '.join(names)}" for version, names in only.items() if names]
    if not told and a != b:
        told = ["the classes are the same, in another order"]
    return clean("; ".join(told))


def _images(found: Diff) -> str:
    images = found.images
    if isinstance(images, str):
        return f"held-out images: {images}"
    low, high = images.interval
    return (
        f"Of {images.shared:,} held-out images that both were judged on (of {images.of:,}), both got "
        f"{images.both_right:,} right, {found.a} alone {images.only_a:,}, {found.b} alone {images.only_b:,}, neither "
        f"{images.both_wrong:,}. The difference in accuracy is {100 * images.difference:+.2f} points, from "
        f"{100 * low:+.2f} to {100 * high:+.2f} with 95% at each end; were both equally good, so much would come by "
        f"chance with p = {images.p:.2g} (exact McNemar, one-sided)."
    )
