"""The registry beside MLflow's client on the same databases, and beside `sha256sum`.

    python -m benchmarks.registry

Both sides run in processes of their own and are asked in turn: ours through `versions` and `aliases`, MLflow's through
`MlflowClient` on the database itself, with its files in a local folder. A package is ten files, 1 MB together, of which
`heldout.npy` judges 5,000 images of ten classes. To register is, with MLflow, to begin a run, `log_artifacts` of the
folder, `create_model_version` and to end the run: without it a version has no lineage. To promote is
`set_registered_model_alias`, where ours reads the candidate through, compares it with the champion image by image and
writes verdict and history. All that ours has written is flushed to the disk when it returns; of MLflow's, the rows.

The first time, MLflow is installed into `build/mlflow`. Without PostgreSQL's programs that half is left out.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmarks import package, report
from benchmarks.workers import ROOT, Worker, once, worker
from registry import aliases, packages, schema, versions
from registry.core import Registry
from registry.requests import Promotion
from tailorbird.package.lineage import Lineage
from tailorbird.settings import SQLITE, Settings
from tests import postgres

MLFLOW = "mlflow==3.17.*"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "PYTHONWARNINGS": "ignore"}
IMPORT = {"tailorbird": "import registry.versions, registry.aliases", "MLflow": "import mlflow"}
FIRST_USE = {
    "tailorbird": (
        "import sys; from registry import versions; from registry.core import Registry; "
        "from tailorbird.settings import Settings; "
        "versions.resolve(Registry(Settings(home=sys.argv[1], _env_file=None)), 'bench@champion')"
    ),
    "MLflow": (
        "import sys; from mlflow import MlflowClient; "
        "MlflowClient(sys.argv[1], sys.argv[1]).get_model_version_by_alias('bench', 'champion')"
    ),
}


@dataclass(frozen=True)
class Sizes:
    """How much is measured: rounds, calls of each action in one, versions of a model, log rows, bytes of a file."""

    rounds: int
    calls: dict[str, int]
    listed: int
    versions: int
    log: int
    large: int


FULL = Sizes(5, {"register": 20, "promote": 50, "resolve": 1000, "list": 50}, 1000, 100_000, 1_000_000, 10**8)
QUICK = Sizes(1, {"register": 2, "promote": 2, "resolve": 20, "list": 2}, 200, 1000, 2000, 10**6)

Times = list[tuple[float, float]]
"""Seconds on the clock and of the processor, for each round."""


@dataclass
class Table:
    """The measurements so far, and the Python that has MLflow, if there is one."""

    sizes: Sizes
    mlflow: Path | None
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    ratios: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, took: dict[str, Times]) -> None:
        """A line for each side's time on the clock and of its processor."""
        for side, times in took.items():
            for suffix, values in zip(("", ", CPU"), zip(*times, strict=True), strict=True):
                self.figures[f"{side}: {name}{suffix}"] = report.figure([1000 * value for value in values], "ms")

    def beside_mlflow(self, name: str, took: dict[str, Times]) -> None:
        """The same, and how many times faster ours is."""
        self.add(name, took)
        if "MLflow" in took:
            self.ratio(name, took["MLflow"], took["tailorbird"], "as fast as MLflow")

    def ratio(self, name: str, times: Times, other: Times, meaning: str) -> None:
        self.ratios[name] = report.ratio([clock for clock, _ in times], [clock for clock, _ in other], meaning)


def main() -> None:
    arguments = report.arguments(__doc__, mlflow="the Python of an environment that has MLflow")
    mlflow = arguments.mlflow if arguments.mlflow or arguments.quick else _mlflow(ROOT / "build" / "mlflow")
    table = Table(QUICK if arguments.quick else FULL, mlflow)
    servers: dict[str, postgres.Server | None] = {"SQLite": None}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        if mlflow is None:
            print("only our side is measured: there is no MLflow")
        if postgres.binaries() is None:
            print("only SQLite is measured: there is no PostgreSQL")
        else:
            servers["PostgreSQL"] = stack.enter_context(postgres.server(flushed=True))
        table.figures["fsync of 4 kB on this machine"] = report.figure(_fsyncs(folder), "ms")
        for kind, server in servers.items():
            _actions(table, kind, server, folder / kind)
        _starts(table, folder / "SQLite")
        _verify(table, folder / "large")
        for kind, server in servers.items():
            _scale(table, kind, server, folder / f"{kind}, scale")
    report.tell("registry", table.sizes.rounds, table.figures, table.ratios, arguments.json)


def _mlflow(environment: Path) -> Path | None:
    """The Python of an environment with MLflow, made where it is missing; None where it cannot be."""
    python, marker = environment / "bin" / "python", environment / "made"
    try:
        if not marker.exists():
            print(f"installing {MLFLOW} into {environment}")
            subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", MLFLOW, "psycopg2-binary"], check=True)
            marker.touch()
    except subprocess.CalledProcessError as error:
        print(f"MLflow cannot be installed: {error}")
        return None
    return python


def _fsyncs(folder: Path) -> list[float]:
    took = []
    with (folder / "flushed").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(4096))
            start = time.perf_counter()
            os.fsync(file.fileno())
            took.append(1000 * (time.perf_counter() - start))
    return took


def _actions(table: Table, kind: str, server: postgres.Server | None, folder: Path) -> None:
    """Both sides' actions in turn, then two parts of our promotion."""
    sizes = table.sizes
    with _registry(folder / "home", server) as registry:
        _fill(registry, "listed", sizes.listed)
        settings = registry.settings
    with ExitStack() as stack:
        sides = {"tailorbird": stack.enter_context(_ours(settings))}
        if table.mlflow:
            sides["MLflow"] = stack.enter_context(_theirs(table.mlflow, server, folder, sizes.listed))
        for action, calls in sizes.calls.items():
            took: dict[str, list[Times]] = {side: [] for side in sides}
            for turn in range(sizes.rounds + 1):
                arguments = _arguments(action, calls, folder / f"packages {turn}")
                for side, asked in sides.items():
                    took[side].append(asked.ask(action, arguments))
            table.beside_mlflow(f"{action}, {kind}", _percentiles(took, 50))
            if action == "resolve":
                table.add(f"resolve, {kind}, p99", _percentiles(took, 99))
        for part in ("verify", "judge"):
            arguments = [1] * sizes.calls["promote"]
            times = [sides["tailorbird"].ask(part, arguments) for _ in range(sizes.rounds + 1)]
            table.add(f"promote, {kind}: {part} alone", _percentiles({"tailorbird": times}, 50))


def _starts(table: Table, folder: Path) -> None:
    """Fresh processes, from their start to their end."""
    pythons = {"tailorbird": Path(sys.executable)} | ({"MLflow": table.mlflow} if table.mlflow else {})
    where = {"tailorbird": str(folder / "home"), "MLflow": _sqlite(folder)}
    for name, code in (("import", IMPORT), ("first use, SQLite", FIRST_USE)):
        took: dict[str, Times] = {side: [] for side in pythons}
        for turn in range(table.sizes.rounds + 1):
            for side, python in pythons.items():
                times = once([python, "-c", code[side], where[side]], QUIET)
                took[side] += [times] if turn else []
        table.beside_mlflow(name, took)


def _verify(table: Table, folder: Path) -> None:
    """A package that is large enough for a process's start not to count, beside `sha256sum` of the same files."""
    with _registry(folder / "home", None, table.sizes.large) as registry:
        settings, manifest = registry.settings, versions.resolve(registry, "bench:1").manifest
        entries = packages.manifest(registry.blobs, manifest).files.values()
        files = [registry.blobs.place(entry.sha256) for entry in entries]
    took: dict[str, Times] = {"tailorbird": [], "sha256sum": []}
    with _ours(settings) as ours:
        for turn in range(table.sizes.rounds + 1):
            times = {"tailorbird": ours.ask("verify", [1])[0], "sha256sum": once(["sha256sum", *files])}
            for side, time in times.items():
                took[side] += [time] if turn else []
    name = f"verify {2 * table.sizes.large / 1e6:g} MB"
    table.add(name, took)
    table.ratio(name, took["tailorbird"], took["sha256sum"], "of sha256sum's time")


def _scale(table: Table, kind: str, server: postgres.Server | None, folder: Path) -> None:
    """A registry with one full page of versions, and one with very many and a long log."""
    sizes = table.sizes
    many = f"{sizes.versions:,} versions"
    with ExitStack() as stack:
        sides = {}
        for name, count, log in (("one page", versions.PAGE, 0), (many, sizes.versions, sizes.log)):
            with _registry(folder / name, server) as registry:
                _fill(registry, "bench", count, log)
            sides[name] = stack.enter_context(_ours(registry.settings))
        moves = sizes.calls["promote"] // 2
        for action, arguments in {
            "resolve": ["bench"] * sizes.calls["resolve"],
            "list": ["bench"] * sizes.calls["list"],
            "list all": [None] * sizes.calls["list"],
            "promote": [2, 1] * moves,
            "rollback after a promotion": [2] * moves,
            "refuse to delete": [1] * moves,
        }.items():
            took: dict[str, list[Times]] = {side: [] for side in sides}
            for _ in range(sizes.rounds + 1):
                for side, asked in sides.items():
                    took[side].append(asked.ask(action.partition(" ")[0], arguments))
            medians = _percentiles(took, 50)
            table.add(f"{action}, {kind}", medians)
            table.ratio(f"{action}, {kind}: {many}", medians[many], medians["one page"], "of one page's time")


def _arguments(action: str, calls: int, folder: Path) -> list[Any]:
    """One for each call; to register takes a folder that was not registered yet."""
    if action == "register":
        return [str(package.write(folder / str(number))) for number in range(calls)]
    if action == "promote":
        return [2, 1] * (calls // 2)
    return ["listed" if action == "list" else None] * calls


def _percentiles(took: dict[str, list[Times]], percent: int) -> dict[str, Times]:
    """A percentile of the calls in each round but the first, which warms up."""
    return {
        side: [
            (float(clock), float(cpu)) for clock, cpu in (np.percentile(times, percent, axis=0) for times in rounds[1:])
        ]
        for side, rounds in took.items()
    }


@contextmanager
def _registry(home: Path, server: postgres.Server | None, large: int = 320_000) -> Iterator[Registry]:
    """A registry whose model `bench` has two versions, the first of them champion."""
    url = server.database() if server else _sqlite(home)
    with Registry(Settings(home=home, database_url=url, _env_file=None)) as registry:
        for number in (1, 2):
            folder = package.write(home / "packages" / str(number), large)
            files = {path.name: path.read_bytes() for path in folder.iterdir()}
            versions.register(registry, "bench", files, package.EXPORT, Lineage(sweep="bench-1"), "benchmark")
        aliases.promote(registry, Promotion("bench", 1, why="to be measured", who="benchmark"))
        yield registry


def _sqlite(folder: Path) -> str:
    return f"{SQLITE}{folder / 'tailorbird.db'}"


def _ours(settings: Settings) -> AbstractContextManager[Worker]:
    return worker(sys.executable, "benchmarks.registry_ours", str(settings.home), settings.database)


def _theirs(python: Path, server: postgres.Server | None, folder: Path, listed: int) -> AbstractContextManager[Worker]:
    url = _sqlite(folder)
    if server:
        server.execute("CREATE DATABASE mlflow")
        url = server.url("mlflow").replace("+psycopg", "+psycopg2")
    return worker(python, "benchmarks.registry_mlflow", url, str(folder / "artifacts"), str(listed), environment=QUIET)


def _fill(registry: Registry, model: str, count: int, log: int = 0) -> None:
    """Give a model this many versions more, as its row by row registration would, and `log` lines of history."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
    moment = "'2020-01-01T00:00:00.' || CAST(100000 + i % 900000 AS VARCHAR(6)) || 'Z'"
    with registry.atomic() as connection:
        names = {"model": model, "count": count}
        if model != "bench":
            connection.execute(schema.models.insert().values(name=model, last_number=count, created=schema.now()))
        last = connection.scalar(sa.select(sa.func.max(schema.log.c.id)))
        entered = f"{numbers} INSERT INTO log (model) SELECT CAST(:model AS VARCHAR(64)) FROM n"
        connection.execute(sa.text(entered), names)
        connection.execute(
            sa.text(
                f"{numbers} INSERT INTO versions (id, model, number, manifest, evidence, lineage, who, created) "
                f"SELECT :last + i, CAST(:model AS VARCHAR(64)), i + 2, manifest, evidence, lineage, who, {moment} "
                f"FROM n, versions WHERE model = 'bench' AND number = 1"
            ),
            names | {"last": last},
        )
        if log:
            connection.execute(
                sa.text(
                    f"{numbers} INSERT INTO verdicts "
                    f"(model, number, alias, holder, passed, split, policy, gates, who, judged) "
                    f"SELECT model, 1 + i % 2, alias, 2 - i % 2, passed, split, '{{}}', '[]', who, {moment} "
                    f"FROM n, (SELECT * FROM verdicts WHERE model = 'bench' LIMIT 1) AS judged"
                ),
                {"count": log // 2},
            )
            last = connection.scalar(sa.select(sa.func.max(schema.log.c.id)))
            connection.execute(sa.text("INSERT INTO log (model) SELECT model FROM verdicts WHERE holder IS NOT NULL"))
            connection.execute(
                sa.text(
                    "INSERT INTO moves "
                    "(id, model, alias, kind, from_number, to_number, verdict, forced, why, who, moved) "
                    "SELECT :last + row_number() OVER (ORDER BY id), model, alias, 'promote', holder, number, id, "
                    "FALSE, 'to be measured', who, judged FROM verdicts WHERE holder IS NOT NULL"
                ),
                {"last": last},
            )


if __name__ == "__main__":
    main()
