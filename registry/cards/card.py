"""Model cards: what a version is, how to use it, how it was trained, its scores and its weaknesses.

After «Model Cards for Model Reporting» (Mitchell et al. 2019, https://arxiv.org/abs/1810.03993). Everything is derived
from the registry's records; nothing is claimed that was not measured.
"""

import json
from pathlib import Path
from typing import Any

from registry.cards.contents import flatten
from registry.cards.facts import Event, Facts
from registry.cards.limits import limits
from tailorbird.errors import InvalidInput, Unavailable
from tailorbird.package.baseline import Score
from tailorbird.package.lineage import Backbone, Data
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
from tailorbird.pages.markdown import as_markdown
from tailorbird.shares import interval

CAPTIONS = {
    "confusion.png": "Confusion matrix of the held-out images: rows are true classes, columns answers.",
    "curves.png": "Loss and accuracy by epoch; the dotted line is the epoch that was kept.",
}
LINEAGE = ("sweep", "trial", "epoch", "data", "champion", "code", "backbone")
"""The lineage keys that have a row of their own in the card."""
CURVES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
SHOWN_CLASSES = 30


def markdown(facts: Facts, *, pictures: bool = True) -> str:
    """The card in Markdown; with `pictures` it refers to the files of `files`."""
    return as_markdown(_document(facts), pictures=pictures)


def html(facts: Facts) -> str:
    """The card as one self-contained page."""
    return as_html(_document(facts))


def files(facts: Facts) -> dict[str, bytes]:
    """The pictures of the Markdown, by file name."""
    return _document(facts).pictures()


def write(facts: Facts, path: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the card as `path`, `.html` or `.md` with its pictures beside it; returns what was written.

    Raises InvalidInput instead of overwriting a file with other content, unless `overwrite`.
    """
    match path.suffix.lower():
        case ".html":
            contents = {path: html(facts).encode()}
        case ".md":
            contents = {path.with_name(name): data for name, data in files(facts).items()}
            contents[path] = markdown(facts).encode()
        case _:
            raise InvalidInput(
                "path", f"{path} is neither Markdown nor HTML; accepted: a name that ends in .md or .html"
            )
    try:
        for other in contents if not overwrite else ():
            if other.exists() and other.read_bytes() != contents[other]:
                raise InvalidInput("path", f"{other} already exists with other content; overwrite it with --force")
        path.parent.mkdir(parents=True, exist_ok=True)
        for other, data in contents.items():
            other.write_bytes(data)
    except OSError as error:
        raise Unavailable(f"{error.filename or path} cannot be written: {error.strerror}") from None
    return list(contents)


def _document(facts: Facts) -> Document:
    sections = [
        Section("Model", [_about(facts)]),
        Section("Intended use", _use(facts)),
        Section("Results", _results(facts)),
        Section("Results by class", _by_class(facts)),
        Section("Confidence", _confidence(facts)),
        Section("Limits", [Bullets(limits(facts))]),
        Section("Export, speed and size", [_export(facts)]),
        Section("Gates and history", _history(facts)),
        Section("How it was made", _made(facts)),
    ]
    return Document(str(facts.version), [_lead(facts)], [section for section in sections if section.blocks])


def _lead(facts: Facts) -> Paragraph:
    score, kind = facts.contents.baseline, facts.contents.signature.thing
    low, high = interval(score.accuracy * score.samples, score.samples)
    return Paragraph(
        f"A classifier of {kind}s into {len(facts.contents.classes)} classes, which answers {score.accuracy:.2%} of "
        f"held-out {kind}s rightly (95% interval {low:.2%} to {high:.2%})."
    )


def _about(facts: Facts) -> Terms:
    version, signature, classes = facts.version, facts.contents.signature, facts.contents.classes
    more = f" and {len(classes) - SHOWN_CLASSES} more, listed below" if len(classes) > SHOWN_CLASSES else ""
    return Terms(
        [
            ("Version", f"{version.number} of {version.model}"),
            ("Aliases", ", ".join(version.aliases) or "none"),
            ("Registered", f"{version.created[:19].replace('T', ' ')} UTC by {version.who}"),
            ("Architecture", _architecture(facts.contents.config.get("model"))),
            ("Input", signature.input),
            (
                "Output",
                "probabilities of the classes, scaled by the temperature "
                + _shown(facts.contents.signature.temperature),
            ),
            (f"{len(classes)} classes", ", ".join(classes[:SHOWN_CLASSES]) + more),
            *((f"Tag {key}", value) for key, value in facts.tags.items()),
            ("SHA-256 of the manifest", [Code(version.manifest)]),
        ]
    )


def _use(facts: Facts) -> list[Block]:
    name = str(facts.version)
    body = (
        "-H 'content-type: application/json' -d '{\"inputs\": [[…]]}'"
        if facts.contents.signature.kind == "table"
        else "-H 'content-type: image/png' --data-binary @image.png"
    )
    return [
        Paragraph(
            "Classifying inputs like its training data into the classes above, where occasional errors are acceptable "
            "or reviewed. Not intended for other kinds of input, nor for decisions about people without review; see "
            "the limits below."
        ),
        Paragraph("Over HTTP:"),
        Listing(f"tailorbird serve {name}\ncurl {body} http://127.0.0.1:3000/predict", "sh"),
        Paragraph(["Or from its ONNX file, after ", Code(f"tailorbird registry export {name} ./model"), ":"]),
        Listing(
            "import onnxruntime\n\n"
            'session = onnxruntime.InferenceSession("model/model.onnx")\n'
            f"inputs = {{session.get_inputs()[0].name: images}}  # {_array(facts)}\n"
            '[probabilities] = session.run(["probabilities"], inputs)',
            "python",
        ),
    ]


def _made(facts: Facts) -> list[Block]:
    lineage = facts.version.lineage
    others = {key: value for key, value in lineage.record().items() if key not in LINEAGE}
    figures = [(name, getattr(facts.kept, name, None)) for name in CURVES]
    kept = [f", {name.replace('_', ' ')} {value:.4g}" for name, value in figures if value is not None]
    rows: list[tuple[str, Inline]] = [
        ("Sweep", f"{_shown(lineage.sweep)}, trial {_shown(lineage.trial)}"),
        ("Weights", f"of epoch {_shown(lineage.epoch)} of {len(facts.contents.epochs)}{''.join(kept)}"),
        *_data(lineage.data),
        *_backbone(lineage.backbone),
        ("Champion at that time", "none" if lineage.champion is None else f"version {lineage.champion}"),
        ("Code", f"tailorbird {_shown(lineage.code)}"),
        *((key, _shown(value)) for key, value in flatten(others)),
    ]
    return [
        Terms(rows),
        Paragraph(
            "Weights were fitted on the training split, and epoch and configuration chosen on the validation split. "
            "Gates evaluate on the held-out split; the test split was measured once, at the end. Images are assigned "
            "to splits by their content, so a retraining does not train on images that it is evaluated on."
        ),
        Paragraph("Configuration of the run:"),
        Listing(facts.contents.config_text, "yaml"),
        Paragraph("Environment:"),
        Listing("\n".join(facts.contents.environment), "text"),
    ]


def _data(data: Data | None) -> list[tuple[str, Inline]]:
    if data is None:
        return [("Data", "not recorded")]
    return [
        ("Data", _shown(data.name)),
        ("Split", ", ".join(f"{key} {_shown(value)}" for key, value in flatten(data.split)) or "not recorded"),
        ("SHA-256 of the data", _shown(None) if data.sha256 is None else [Code(data.sha256)]),
    ]


def _backbone(backbone: Backbone | None) -> list[tuple[str, Inline]]:
    if backbone is None:
        return []
    return [
        ("Pretrained backbone", backbone.backbone),
        ("Pretrained on", _shown(backbone.images)),
        ("Its weights", f"{_shown(backbone.source)}; licence: {_shown(backbone.licence)}"),
        ("SHA-256 of its weights", _shown(None) if backbone.sha256 is None else [Code(backbone.sha256)]),
    ]


def _results(facts: Facts) -> list[Block]:
    baseline = facts.contents.baseline
    rows = [_result("held-out", baseline, baseline.standard_error), _result("test", baseline.test)]
    return [Table(["images", "accuracy", "standard error", "95% interval", "number"], rows, right=4)]


def _result(name: str, score: Score, error: float | None = None) -> list[str]:
    accuracy, samples = score.accuracy, score.samples
    if not samples:
        return [name, _percent(accuracy), _percent(error), "-", "-"]
    low, high = interval(accuracy * samples, samples)
    error = (accuracy * (1 - accuracy) / samples) ** 0.5 if error is None else error
    return [name, f"{accuracy:.2%}", f"{error:.2%}", f"{low:.2%} to {high:.2%}", f"{samples:,.0f}"]


def _by_class(facts: Facts) -> list[Block]:
    rows = []
    for row in facts.contents.by_class:
        low, high = interval(row.right, row.support) if row.support else (0, 1)
        name, times = row.mistaken or ("-", 0)
        within = f"{low:.1%} to {high:.1%}" if row.support else "-"
        rows.append([
            row.name, f"{name} ({times:,})" if times else name,
            _percent(row.precision), _percent(row.recall), within, f"{row.support:,}",
        ])  # fmt: skip
    columns = ["class", "most confused with", "precision", "recall", "95% interval", "images"]
    table: list[Block] = [Table(columns, rows, right=4)] if rows else []
    return table + _pictures(facts)


def _pictures(facts: Facts) -> list[Block]:
    stem = f"{facts.version.model}-{facts.version.number}"
    return [
        Picture(f"{stem}-{name}", caption, facts.pictures[name])
        for name, caption in CAPTIONS.items()
        if name in facts.pictures
    ]


def _confidence(facts: Facts) -> list[Block]:
    error, mean = facts.contents.baseline.calibration_error, facts.confidence
    shown = "not measured" if error is None else f"{100 * error:.2f} points"
    rows = [
        [f"{row.low:g} to {row.high:g}", f"{row.count:,}", f"{row.correct:,}", f"{row.correct / row.count:.1%}"]
        for row in facts.contents.bins
    ]
    return [
        Terms([("Expected calibration error", shown), ("Mean confidence", _percent(mean))]),
        *([Table(["confidence", "images", "right", "share right"], rows, right=3)] if rows else []),
    ]


def _export(facts: Facts) -> Terms:
    parity, latency = facts.version.evidence.parity, facts.version.evidence.latency
    shown = f"{parity}; {parity.samples:,} held-out images compared" if parity.samples else "not measured"
    rows: list[tuple[str, Inline]] = [("Parity", shown)]
    if latency:
        p50, p99, runs, threads = map(_shown, latency.record().values())
        shown = f"{p50} ms in the median, {p99} ms at the 99th percentile of {runs} runs with {threads} threads"
        rows.append(("Latency", f"{shown}, on the machine that registered it"))
    rows += [(name, f"{size:,} bytes") for name, size in facts.contents.sizes.items() if name.startswith("model")]
    return Terms([*rows, ("Package", f"{sum(facts.contents.sizes.values()):,} bytes")])


def _history(facts: Facts) -> list[Block]:
    gates = facts.record.gates
    answers = [[gate["name"], "passed" if gate["passed"] else "FAILED", gate["message"]] for gate in gates]
    events = [_event(row) for row in facts.record.events]
    if not events:
        return [Paragraph("No gate has evaluated it, and no alias has pointed to it.")]
    blocks: list[Block] = []
    if answers:
        blocks += [Paragraph("Latest results of the gates:"), Table(["gate", "answer", "because"], answers)]
    blocks.append(Paragraph("History of its aliases, newest first:"))
    return [*blocks, Table(["when (UTC)", "alias", "what", "who", "why"], events)]


def _event(row: Event) -> list[str]:
    against = f", although {'; '.join(row.reasons)}" if row.reasons and row.why else ": " + "; ".join(row.reasons)
    what = row.what + (against if row.reasons else "")
    return [row.when[:19].replace("T", " "), row.alias, what, row.who, row.why or "-"]


def _architecture(model: Any) -> str:
    if not isinstance(model, dict):
        return "not recorded"
    return ", ".join(f"{key} {_shown(value)}" for key, value in flatten(model) if value is not None)


def _shown(value: Any) -> str:
    if value is None:
        return "not recorded"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _array(facts: Facts) -> str:
    signature = facts.contents.signature
    return f"{signature.dtype} [{', '.join(['N', *map(str, signature.shape)])}]"
