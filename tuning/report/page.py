"""The report of a sweep as a self-contained page with tables and plots."""

from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import resources

import yaml

from registry.core import Registry
from registry.incidents import Incident
from tailorbird.errors import Corrupt, Unavailable
from tailorbird.pages.document import (
    Block,
    Bullets,
    Code,
    Document,
    Inline,
    Listing,
    Paragraph,
    Picture,
    Section,
    Table,
    Terms,
)
from tailorbird.pages.html import as_html
from tailorbird.settings import Settings
from tuning import finalists, outcome, study
from tuning.report import pictures, tables
from tuning.report.drawings import Search
from tuning.report.pictures import Answers
from tuning.report.results import SweepResults

ROWS = 200
"""Rows of a table on the page; `--json` has all."""


def html(registry: Registry, settings: Settings, results: SweepResults) -> str:
    """The page; pictures need weights and data, and where these are missing the page says so."""
    script = resources.files("tuning.report").joinpath("page.js").read_text()
    return as_html(_document(registry, settings, results), script)


def _document(registry: Registry, settings: Settings, results: SweepResults) -> Document:
    rows, some = results.rows, pictures.drawn(results)
    sections = [Section("Trials that failed or were skipped", [_others(results)])] if results.others else []
    if rows:
        answers = Answers(registry, settings, results)
        sections = [
            Section("Results", _results(results)),
            Section("Search", _search(registry, results)),
            Section("First and last epoch", [tables.ends(rows[:ROWS])]),
            *sections,
            Section("Loss curves", list(pictures.losses(rows))),
            Section("Learning curves", _of(results, pictures.learning(some))),
            Section("Answers", _of(results, answers.pictures(some))),
        ]
    sections = [section for section in sections if section.blocks]
    text = yaml.safe_dump(results.sweep.spec, sort_keys=False, allow_unicode=True, width=100)
    sections.append(Section("Spec", [Listing(text, "yaml")]))
    return Document(f"Sweep {results.sweep.id}", [_about(results)], sections)


def _about(results: SweepResults) -> Terms:
    sweep, spec = results.sweep, results.spec
    trials, rows = results.trials, len(results.rows)
    statuses = Counter(trial.status for trial in trials)
    counts = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
    ends = f": {counts}" if statuses.keys() != {"finished"} else ""
    ended = sum(len(row.trials) for row in results.rows)
    seeds = "" if ended == rows else f"; {rows} configs, with several seeds"
    apart = ", ".join(f"{part} {getattr(spec.data, part):g}" for part in ("validation", "holdout"))
    data = f"{spec.data.name}: {apart}, split seed {spec.data.split_seed}"
    terms: list[tuple[str, Inline]] = [
        ("Spec", spec.name),
        ("Data", data),
        ("Trials", f"{len(trials)}{ends}{seeds}"),
        ("Began", f"{_moment(sweep.created)} by {sweep.who}"),
        *_takeovers(results),
        ("Ended", _moment(sweep.ended) if sweep.ended else "not yet"),
        ("Status", sweep.standing + (f": {sweep.problem}" if sweep.problem else "")),
        ("Outcome", _repeatable(results)),
    ]
    if spec.promote and sweep.registered:
        terms.append(("Registered", f"{spec.promote.model}:{sweep.registered}"))
    if spec.source:
        terms.append(("Reference", spec.source))
    return Terms(terms)


def _takeovers(results: SweepResults) -> list[tuple[str, Inline]]:
    """How often the sweep was extended, and resumed otherwise, and who did so last."""
    turns = [incident for incident in results.incidents if incident.kind in ("extended", "resumed")]
    extended = [turn for turn in turns if turn.kind == "extended"]
    before = ["", *(turn.kind for turn in turns)]  # `sweeps extend` itself goes on with the sweep
    resumed = [turn for turn, kind in zip(turns, before, strict=False) if turn.kind == "resumed" and kind != "extended"]
    terms: list[tuple[str, Inline]] = []
    if extended:
        terms.append(("Extended", _often(extended)))
    if resumed:
        terms.append(("Resumed", f"{_often(resumed)}, after it was {resumed[-1].why}"))
    return terms


def _often(turns: Sequence[Incident]) -> str:
    often = "once," if len(turns) == 1 else f"{len(turns)} times, the last"
    return f"{often} {_moment(turns[-1].happened)} by {turns[-1].who}"


def _search(registry: Registry, results: SweepResults) -> list[Block]:
    """How the search went, which keys mattered, and which trials are not significantly worse than the best."""
    blocks = list(Search(results.spec, results.trials, results.news, results.incidents).blocks())
    if shares := study.importance(results.spec, results.trials):
        lines = [[results.spec.varied[key], f"{share:.0%}"] for key, share in shares.items()]
        blocks.append(Table(["key", "share in being among the best quarter at the first report"], lines, right=1))
    if ties := _ties(registry, results):
        blocks.append(Paragraph(ties))
    return blocks


def _ties(registry: Registry, results: SweepResults) -> str | None:
    """The trials whose stored answers are not significantly worse than those of the best."""
    ranked = outcome.rank(results.trials, results.spec.objective)
    known = [candidate.trial for candidate in ranked if candidate.trial.answers]
    try:
        right = {trial.number: finalists.unpacked(registry.blobs.get(trial.answers or "")) for trial in known}
    except (Corrupt, Unavailable) as error:
        return f"Ties with the best trial could not be determined: {error}."
    if len(right) < 2:
        return None
    best = known[0].number
    ties = [
        str(number)
        for number, answers in right.items()
        if number != best and finalists.p_value(right[best], answers) >= finalists.LEVEL
    ]
    several = f"trials {', '.join(ties)} are"
    message = several if len(ties) > 1 else f"trial {ties[0]} is" if ties else "none is"
    return f"Of the best {len(right)}, {message} not significantly worse than trial {best} on validation (McNemar, 5%)."


def _repeatable(results: SweepResults) -> str:
    """Whether another run of the spec would give the same result."""
    if timed := results.spec.timed:
        return f"depends on timing, because of {', '.join(timed)}"
    return f"a function of spec, seed and processor ({results.sweep.processor or 'unknown'})"


def _results(results: SweepResults) -> list[Block]:
    spec, rows = results.spec, results.rows[:ROWS]
    listed = spec.runs is not None
    blocks: list[Block] = [tables.results(rows, tables.compared(rows)) if listed else tables.searched(spec, rows)]
    blocks += [Paragraph(sentence) for sentence in tables.top(spec, results.rows)]
    for table in (tables.results(rows, tables.losses(rows)), tables.settings(spec, rows) if listed else None):
        if table and len(table.columns) > 1:
            blocks.append(table)
    blocks.append(Bullets([_MEASURED[name] for name in _MEASURED if any(name in row.figures for row in rows)]))
    if len(results.rows) > ROWS:
        which = "first" if listed else "best"
        blocks.append(Paragraph([f"The {which} {ROWS} of {len(results.rows)} rows; ", Code("--json"), " prints all."]))
    return blocks


_MEASURED = {
    "gap": "Train accuracy is that of the kept weights without dropout; the gap is train minus test accuracy.",
    "test_nll": "NLL is in nats, after temperature scaling where there is a validation split to fit it on.",
    "train_loss": "The running train figures are means over the kept epoch, with dropout and augmentation on.",
    "seconds": "Seconds are wall-clock time of a trial, including validation; trials ran in parallel.",
}


def _others(results: SweepResults) -> Table:
    lines = [[str(other.number), other.status, other.problem or "-"] for other in results.others[:ROWS]]
    return Table(["trial", "status", "problem"], lines)


def _of(results: SweepResults, blocks: Iterator[Block]) -> list[Block]:
    """Pictures of single runs and a sentence on which runs these are, or why there are none."""
    drawn, shown, rows = list(blocks), len(pictures.drawn(results)), len(results.rows)
    of = "Of every run, the best first." if shown == rows else f"Of the best {shown} of {rows} runs."
    return [Paragraph(of), *drawn] if any(isinstance(block, Picture) for block in drawn) else drawn


def _moment(stored: str) -> str:
    return f"{stored[:19].replace('T', ' ')} UTC"
