"""Runs every study of tuning/studies, and writes a page that compares their results with the figures of the notes.

    python -m benchmarks.studies [STUDY…] [--quick] [--out FILE.md] [--pages FOLDER]

A study is a sweep spec, run by `tailorbird sweep`. Configs that are finished in the ledger are not trained again, so an
interrupted round continues where it was, and a complete one only writes the page. Runs that are worse than their
reference get two more seeds: they count as worse only by more than the spread of three seeds.

`--quick` trains one epoch each on a part of the images, in a temporary ledger.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from benchmarks import report, study
from benchmarks.study import SEEDS, Held, Study, Wanted
from benchmarks.workers import ROOT
from registry.core import Registry
from tailorbird import settings
from tailorbird.errors import Interrupted, reported
from tailorbird.pages.document import Block, Bullets, Code, Document, Paragraph, Section
from tailorbird.pages.markdown import as_markdown
from tailorbird.settings import PREFIX, Settings
from tuning.report import page, results, tables
from tuning.report.results import Row

STUDIES = ROOT / "tuning" / "studies"
ENDS = 4
"""The largest number of rows for which the page shows the first and last epochs."""
TIMED = ("fashion-mlp",)
"""Studies that also measure time, and need an otherwise idle machine."""
TIMES = ("seconds", "accuracy_per_second")


def main() -> None:
    asked = _arguments()
    studies = [study.read(path, quick=asked.quick) for path in sorted(STUDIES.glob("*.yaml"))]
    chosen = [study for study in studies if study.name.startswith(tuple(asked.studies or [""]))]
    with _settings(quick=asked.quick) as (here, environment):
        for chosen_study in chosen:
            print(f"\n{chosen_study.name}: {chosen_study.about}", flush=True)
            complete(chosen_study, here, environment)
            draw(chosen_study, here, asked.pages)
            write(asked.out, studies, here)
        unfinished = [chosen_study.name for chosen_study in chosen if chosen_study.missing(chosen_study.held(here))]
    print(f"\n{asked.out}, and pages in {asked.pages}")
    if unfinished:
        sys.exit(f"not complete: {', '.join(unfinished)}; run the same command again to continue")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help="those whose names begin so; default: all")
    parser.add_argument("--quick", action="store_true", help="too short to say anything; shows that each one runs")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="the page; default: docs/studies.md")
    parser.add_argument("--pages", type=Path, metavar="FOLDER", help="HTML reports; default: build/studies")
    asked = parser.parse_args()
    names = [path.stem for path in sorted(STUDIES.glob("*.yaml"))]
    for prefix in asked.studies:
        if not any(name.startswith(prefix) for name in names):
            parser.error(f"no study's name begins with {prefix!r}; there are {', '.join(names)}")
    asked.out = asked.out or ROOT / ("build/studies-quick.md" if asked.quick else "docs/studies.md")
    asked.pages = asked.pages or ROOT / "build" / ("studies-quick" if asked.quick else "studies")
    return asked


@contextmanager
def _settings(*, quick: bool) -> Iterator[tuple[Settings, dict[str, str]]]:
    """The settings of the ledger, and the environment of sweeps that write to it."""
    here = settings.load()
    if not quick:
        yield here, dict(os.environ)
        return
    with tempfile.TemporaryDirectory(prefix="studies-") as home:
        paths = {"home": Path(home), "data_dir": here.data, "cache_dir": here.cache}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        own = {PREFIX + name.upper(): str(path) for name, path in paths.items()}
        yield Settings(**paths, _env_file=None), kept | own


def complete(study: Study, here: Settings, environment: Mapping[str, str]) -> None:
    """Train the missing configs of a study, then more seeds of those worse than their reference."""
    for _ in range(2):
        if missing := study.missing(study.held(here)):
            _sweep(study, missing, environment)


def _sweep(study: Study, missing: Wanted, environment: Mapping[str, str]) -> None:
    """Run the study's own file or, if only a part is missing, a spec of that part."""
    command = [sys.executable, "-m", "tailorbird", "sweep"]
    with tempfile.TemporaryDirectory() as folder:
        path = study.path
        if study.quick or missing != study.wanted():
            path = Path(folder) / study.path.name
            path.write_text(yaml.safe_dump(study.part(missing), sort_keys=False))
        if _run([*command, str(path)], environment) == Interrupted.exit_status:
            raise KeyboardInterrupt


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit status of a command; an interruption is passed on once, and the command ends by itself."""
    process = subprocess.Popen(command, cwd=ROOT, env={**environment}, process_group=0)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def draw(study: Study, here: Settings, folder: Path) -> None:
    """Write the report of the study's largest sweep, unless it exists."""
    sweeps = [held.sweep.id for held in study.held(here)]
    if not sweeps:
        return
    path = folder / f"{max(sweeps, key=sweeps.count)}.html"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with Registry(here) as registry:
            path.write_text(page.html(registry, here, results.read(registry, path.stem)), encoding="utf-8")


def write(path: Path, studies: Sequence[Study], here: Settings) -> None:
    """The page of all studies: sections by the ledger, and the old ones for studies that it does not have."""
    lead = Paragraph(
        [
            "Made by ",
            Code("make studies"),
            ", which trains what is missing in the ledger; ",
            Code("tailorbird report SWEEP"),
            " draws a sweep. Accuracies are those of the test split; differences from the reference are in points, or "
            f"for losses in their own unit. Runs that are worse than it have {SEEDS} seeds, and are shown as mean ± "
            "standard deviation. NLL and calibration error are after temperature scaling, if there is a validation "
            "split to fit the temperature on. Seconds are wall-clock times with one trial per core, for studies whose "
            "notes have times too. The machine is the one that wrote the page.",
        ]
    )
    held = {study.name: study.held(here) for study in studies}
    text = as_markdown(Document("Studies", [lead], [_section(study, held[study.name]) for study in studies]))
    if path.exists():
        kept = {name: part for name, part in _parts(path.read_text(encoding="utf-8")).items() if held.get(name) == []}
        text = "\n".join(f"{part.rstrip()}\n" for part in (_parts(text) | kept).values())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _parts(page: str) -> dict[str, str]:
    """A page's sections by name; the text before them has the empty name."""
    lead, *sections = re.split(r"(?m)^(?=## )", page)
    return {"": lead} | {part.partition("\n")[0].removeprefix("## "): part for part in sections}


def _section(study: Study, held: Sequence[Held]) -> Section:
    blocks: list[Block] = [Paragraph(study.about)]
    if not held:
        return Section(study.name, [*blocks, Paragraph("Not run yet.")])
    rows = study.rows(held)
    columns = [*tables.compared(rows), "test_nll", "test_calibration_error"]
    if study.name not in TIMED:
        columns = [name for name in columns if name not in TIMES]
    blocks.append(tables.results(rows, columns))
    if len(rows) <= ENDS:
        blocks.append(tables.ends(rows))
    blocks += [Paragraph(text) for text in tables.top(study.spec, rows)]
    if study.spec.source:
        blocks.append(Paragraph(f"Reference: {study.spec.source}."))
    missing = study.missing(held)
    lagging = [] if study.quick or missing else [_shortfall(row) for row in study.judged(rows) if row.lags]
    if lagging:
        blocks += [Paragraph("Worse than the reference by more than the spread over seeds:"), Bullets(lagging)]
    ended = max(each.sweep.ended or each.sweep.created for each in held)
    ids = ", ".join(sorted({each.sweep.id for each in held}))
    some = f"; runs still to be made, including more seeds: {len(missing)}" if missing else ""
    where = f"on {report.machine()}, {report.flags()}"
    blocks.append(Paragraph(f"Data {study.spec.data.name}; {ended[:10]}, {where}; sweeps {ids}{some}."))
    return Section(study.name, blocks)


def _shortfall(row: Row) -> str:
    worse = {name: row.behind(name) or 0.0 for name in row.reference}
    text = [f"{tables.RESULTS[name][0]} by {tables.amount(name, count)}" for name, count in worse.items() if count > 0]
    return f"{row.name}: {', '.join(text)}"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with reported():
        try:
            main()
        except KeyboardInterrupt:
            raise Interrupted("the round was interrupted; run the same command again to continue") from None
