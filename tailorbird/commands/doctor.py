"""`tailorbird doctor`: check the installation and suggest fixes."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata

import typer
from rich.table import Table
from rich.text import Text

from registry.core import Registry
from tailorbird import __version__, settings, tables, terminal
from tailorbird.commands.options import AsJson, print_json
from tailorbird.errors import TailorbirdError, Unmigrated
from tailorbird.settings import PREFIX, Settings

NEEDED = {
    "train": ("torch", "torchvision", "ray", "onnx", "onnxruntime", "scikit-learn"),
    "serve": ("bentoml", "onnxruntime", "prometheus-client"),
}
LEAST_FREE_BYTES = 2**30


@dataclass(frozen=True)
class Finding:
    """The result of a check: `ok`, `warning` or `error`, and how to fix it."""

    check: str
    state: str
    what: str
    mend: str = ""


def doctor(as_json: AsJson = False) -> None:
    """Check settings, database, storage, data, Ray and versions; exit status 1 if a check fails.

    Example: tailorbird doctor
    """
    here = settings.load()
    findings = [finding for check in CHECKS for finding in check(here)]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        table = Table("check", "state", "details", "how to fix it", box=None, header_style="bold", padding=(0, 2, 0, 0))
        colours = {"ok": "green", "warning": "yellow", "error": "red"}
        for finding in findings:
            table.add_row(finding.check, Text(finding.state, colours[finding.state]), finding.what, finding.mend)
        tables.show(terminal.console(), table)
    if any(finding.state == "error" for finding in findings):
        raise typer.Exit(1)


def _versions(_: Settings) -> Iterator[Finding]:
    yield Finding("tailorbird", "ok", f"{__version__} on Python {sys.version.split()[0]}")
    for extra, names in NEEDED.items():
        missing = [name for name in names if not _installed(name)]
        if missing:
            mend = f"pip install 'tailorbird[{extra}]' to {extra} here"
            yield Finding(extra, "warning", f"{', '.join(missing)} not installed", mend)
        else:
            yield Finding(extra, "ok", ", ".join(f"{name} {metadata.version(name)}" for name in names))


def _environment(here: Settings) -> Iterator[Finding]:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(os.environ.keys() - known):
        if name.startswith(PREFIX):
            yield Finding("settings", "warning", f"{name} is not a setting", f"known: {', '.join(sorted(known))}")
    yield Finding("settings", "ok", f"HOME {here.home}")
    folder = next(path for path in (here.home, *here.home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    state, mend = (
        ("ok", "")
        if free > LEAST_FREE_BYTES
        else ("warning", "free some space, or set TAILORBIRD_HOME to another disk")
    )
    yield Finding("disk", state, f"{free / 2**30:.1f} GiB free for {here.home}", mend)


def _registry(here: Settings) -> Iterator[Finding]:
    try:
        with Registry(here) as registry:
            access = ", read-only" if registry.database.read_only else ""
            yield Finding("database", "ok", f"{registry.database.name}{access}")
            try:
                next(registry.blobs.listing(), None)
            except TailorbirdError as error:
                yield Finding("storage", "error", str(error), "set TAILORBIRD_STORAGE_URL")
                return
            read_only = registry.blobs.read_only
    except Unmigrated as error:
        yield Finding("database", "error", str(error).rpartition(": ")[0], "run `tailorbird registry migrate`")
        return
    except TailorbirdError as error:
        yield Finding("database", "error", str(error), "set TAILORBIRD_HOME or TAILORBIRD_DATABASE_URL")
        return
    if read_only:
        yield Finding("storage", "warning", f"{here.storage} cannot be written", "set TAILORBIRD_STORAGE_URL to train")
    else:
        yield Finding("storage", "ok", here.storage)


def _data(here: Settings) -> Iterator[Finding]:
    if not _installed("torch"):
        return
    from training.datasets import cifar, idx

    for name, source in idx.SOURCES.items():
        if source.missing(here.data):
            yield Finding("data", "warning", f"{name} is not in {here.data}", f"tailorbird data {name} downloads it")
        else:
            yield Finding("data", "ok", f"{name} in {here.data}")
    if cifar_path := cifar.place(here.data):
        yield Finding("data", "ok", f"{cifar.NAME} at {cifar_path}")
    else:
        yield Finding("data", "warning", f"{cifar.NAME} {cifar.MISSING} {here.data}", cifar.MEND)


def _ray(_: Settings) -> Iterator[Finding]:
    if (address := os.environ.get("RAY_ADDRESS", "local")) not in ("", "local"):
        yield _ray_cluster(address)
    elif _installed("joblib"):
        import joblib

        yield Finding("ray", "ok", f"a local Ray for each sweep, on {joblib.cpu_count()} cores")


def _ray_cluster(address: str) -> Finding:
    from tuning import addresses

    try:
        addresses.check(address)
    except TailorbirdError as error:
        return Finding("ray", "error", str(error), "set RAY_ADDRESS to the head of a running cluster, or unset it")
    return Finding("ray", "ok", f"cluster at {address}")


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (_versions, _environment, _registry, _data, _ray)
