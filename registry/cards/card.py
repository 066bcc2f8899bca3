"""Model cards: what a version is, how to use it, how it was made, what it scores, where it fails.

In the manner of «Model Cards for Model Reporting» (Mitchell et al. 2019, https://arxiv.org/abs/1810.03993). All of it
is derived from the registry's records; nothing is claimed that was not measured.
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
"""What the card says in words of its own."""
CURVES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
SHOWN_CLASSES = 30


def markdown(found: Facts, *, pictures: bool = True) -> str:
    """The card for a README or a wiki; with `pictures`, those of `files` belong beside it."""
    return as_markdown(_document(found), pictures=pictures)


def html(found: Facts) -> str:
    """The card as one self-contained page."""
    return as_html(_document(found))


def files(found: Facts) -> dict[str, bytes]:
    """The pictures that the Markdown refers to, by name."""
    return _document(found).pictures()


def write(found: Facts, path: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the card as `path`, `.html` or `.md` with its pictures beside it; returns what was written.

    A file that holds something else is left alone, and InvalidInput raised, unless `overwrite`.
    """
    match path.suffix.lower():
        case ".html":
            made = {path: html(found).encode()}
        case ".md":
            made = {path.with_name(name): data for name, data in files(found).items()}
            made[path] = markdown(found).encode()
        case _:
            raise InvalidInput(
                "path", f"{path} is neither Markdown nor HTML; accepted: a name that ends in .md or .html"
            )
    try:
        for other in made if not overwrite else ():
            if other.exists() and other.read_bytes() != made[other]:
                raise InvalidInput("path", f"{other} exists already and holds something else; --force overwrites it")
        path.parent.mkdir(parents=True, exist_ok=True)
        for other, data in made.items():
            other.write_bytes(data)
    except OSError as error:
        raise Unavailable(f"{error.filename or path} cannot be written: {error.strerror}") from None
    return list(made)


def _document(found: Facts) -> Document:
    sections = [
        Section("Model", [_about(found)]),
        Section("Intended use", _use(found)),
        Section("Results", _results(found)),
        Section("Results by class", _by_class(found)),
        Section("Confidence", _confidence(found)),
        Section("Limits", [Bullets(limits(found))]),
        Section("Export, speed and size", [_export(found)]),
        Section("Gates and history", _history(found)),
        Section("How it was made", _made(found)),
    ]
    return Document(str(found.version), [_lead(found)], [section for section in sections if section.blocks])


def _lead(found: Facts) -> Paragraph:
    score, kind = found.contents.baseline, found.contents.signature.thing
    low, high = interval(score.accuracy * score.samples, score.samples)
    return Paragraph(
        f"A classifier of {kind}s into {len(found.contents.classes)} classes, which answers {score.accuracy:.2%} of "
        f"held-out {kind}s rightly (95% interval {low:.2%} to {high:.2%})."
    )


def _about(found: Facts) -> Terms:
    version, signature, classes = found.version, found.contents.signature, found.contents.classes
    more = f" and {len(classes) - SHOWN_CLASSES} more, listed below" if len(classes) > SHOWN_CLASSES else ""
    return Terms(
        [
            ("Version", f"{version.number} of {version.model}"),
            ("Aliases", ", ".join(version.aliases) or "none"),
            ("Registered", f"{version.created[:19].replace('T', ' ')} UTC by {version.who}"),
            ("Architecture", _architecture(found.contents.config.get("model"))),
            ("Input", signature.input),
            (
                "Output",
                "probabilities of the classes, scaled by the temperature "
                + _shown(found.contents.signature.temperature),
            ),
            (f"{len(classes)} classes", ", ".join(classes[:SHOWN_CLASSES]) + more),
            *((f"Tag {key}", value) for key, value in found.tags.items()),
            ("SHA-256 of the manifest", [Code(version.manifest)]),
        ]
    )


def _use(found: Facts) -> list[Block]:
    name = str(found.version)
    body = (
        "-H 'content-type: application/json' -d '{\"inputs\": [[…]]}'"
        if found.contents.signature.kind == "table"
        else "-H 'content-type: image/png' --data-binary @image.png"
    )
    return [
        Paragraph(
            "To sort inputs like those of its training data into the classes above, where an error now and then is "
            "borne or caught by someone. Not for inputs of other kinds, nor for decisions about people that nobody "
            "checks: see the limits below."
        ),
        Paragraph("Over HTTP:"),
        Listing(f"tailorbird serve {name}\ncurl {body} http://127.0.0.1:3000/predict", "sh"),
        Paragraph(["Or from its ONNX file, after ", Code(f"tailorbird registry export {name} ./model"), ":"]),
        Listing(
            "import onnxruntime\n\n"
            'session = onnxruntime.InferenceSession("model/model.onnx")\n'
            f"inputs = {{session.get_inputs()[0].name: images}}  # {_array(found)}\n"
            '[probabilities] = session.run(["probabilities"], inputs)',
            "python",
        ),
    ]


def _made(found: Facts) -> list[Block]:
    lineage = found.version.lineage
    others = {key: value for key, value in lineage.record().items() if key not in LINEAGE}
    figures = [(name, getattr(found.kept, name, None)) for name in CURVES]
    kept = [f", {name.replace('_', ' ')} {value:.4g}" for name, value in figures if value is not None]
    rows: list[tuple[str, Inline]] = [
        ("Sweep", f"{_shown(lineage.sweep)}, trial {_shown(lineage.trial)}"),
        ("Weights", f"of epoch {_shown(lineage.epoch)} of {len(found.contents.epochs)}{''.join(kept)}"),
        *_data(lineage.data),
        *_backbone(lineage.backbone),
        ("Champion at that time", "none" if lineage.champion is None else f"version {lineage.champion}"),
        ("Code", f"tailorbird {_shown(lineage.code)}"),
        *((key, _shown(value)) for key, value in flatten(others)),
    ]
    return [
        Terms(rows),
        Paragraph(
            "Training images fitted the weights, validation images chose epoch and configuration, held-out images "
            "judge it at the gates, test images were measured once, at the end. Which image is where is decided by its "
            "content, so that a retraining does not learn what it is judged on."
        ),
        Paragraph("Configuration of the run:"),
        Listing(found.contents.config_text, "yaml"),
        Paragraph("Environment:"),
        Listing("\n".join(found.contents.environment), "text"),
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
        ("It had been trained on", _shown(backbone.images)),
        ("Its weights", f"{_shown(backbone.source)}; licence: {_shown(backbone.licence)}"),
        ("SHA-256 of its weights", _shown(None) if backbone.sha256 is None else [Code(backbone.sha256)]),
    ]


def _results(found: Facts) -> list[Block]:
    baseline = found.contents.baseline
    rows = [_result("held-out", baseline, baseline.standard_error), _result("test", baseline.test)]
    return [Table(["images", "accuracy", "standard error", "95% interval", "number"], rows, right=4)]


def _result(name: str, score: Score, error: float | None = None) -> list[str]:
    accuracy, samples = score.accuracy, score.samples
    if not samples:
        return [name, _percent(accuracy), _percent(error), "-", "-"]
    low, high = interval(accuracy * samples, samples)
    error = (accuracy * (1 - accuracy) / samples) ** 0.5 if error is None else error
    return [name, f"{accuracy:.2%}", f"{error:.2%}", f"{low:.2%} to {high:.2%}", f"{samples:,.0f}"]


def _by_class(found: Facts) -> list[Block]:
    rows = []
    for one in found.contents.by_class:
        low, high = interval(one.right, one.support) if one.support else (0, 1)
        name, times = one.mistaken or ("-", 0)
        within = f"{low:.1%} to {high:.1%}" if one.support else "-"
        rows.append([
            one.name, f"{name} ({times:,})" if times else name,
            _percent(one.precision), _percent(one.recall), within, f"{one.support:,}",
        ])  # fmt: skip
    columns = ["class", "taken for most", "precision", "recall", "95% interval", "images"]
    table: list[Block] = [Table(columns, rows, right=4)] if rows else []
    return table + _pictures(found)


def _pictures(found: Facts) -> list[Block]:
    stem = f"{found.version.model}-{found.version.number}"
    return [
        Picture(f"{stem}-{name}", caption, found.pictures[name])
        for name, caption in CAPTIONS.items()
        if name in found.pictures
    ]


def _confidence(found: Facts) -> list[Block]:
    error, mean = found.contents.baseline.calibration_error, found.confidence
    told = "not measured" if error is None else f"{100 * error:.2f} points"
    rows = [
        [f"{one.low:g} to {one.high:g}", f"{one.count:,}", f"{one.correct:,}", f"{one.correct / one.count:.1%}"]
        for one in found.contents.bins
    ]
    return [
        Terms([("Expected calibration error", told), ("Mean confidence", _percent(mean))]),
        *([Table(["confidence", "images", "right", "share right"], rows, right=3)] if rows else []),
    ]


def _export(found: Facts) -> Terms:
    parity, latency = found.version.evidence.parity, found.version.evidence.latency
    told = f"{parity}; {parity.samples:,} held-out images compared" if parity.samples else "not measured"
    rows: list[tuple[str, Inline]] = [("Parity", told)]
    if latency:
        p50, p99, runs, threads = map(_shown, latency.record().values())
        told = f"{p50} ms in the median, {p99} ms at the 99th percentile of {runs} runs with {threads} threads"
        rows.append(("Latency", f"{told}, on the machine that registered it"))
    rows += [(name, f"{size:,} bytes") for name, size in found.contents.sizes.items() if name.startswith("model")]
    return Terms([*rows, ("Package", f"{sum(found.contents.sizes.values()):,} bytes")])


def _history(found: Facts) -> list[Block]:
    said = found.record.gates
    answers = [[gate["name"], "passed" if gate["passed"] else "FAILED", gate["message"]] for gate in said]
    events = [_event(one) for one in found.record.events]
    if not events:
        return [Paragraph("No gate has judged it, and no alias has pointed to it.")]
    blocks: list[Block] = []
    if answers:
        blocks += [Paragraph("What the gates said last:"), Table(["gate", "answer", "because"], answers)]
    blocks.append(Paragraph("Aliases that pointed to it or were to, newest first:"))
    return [*blocks, Table(["when (UTC)", "alias", "what", "who", "why"], events)]


def _event(one: Event) -> list[str]:
    against = f", although {'; '.join(one.reasons)}" if one.reasons and one.why else ": " + "; ".join(one.reasons)
    what = one.what + (against if one.reasons else "")
    return [one.when[:19].replace("T", " "), one.alias, what, one.who, one.why or "-"]


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


def _array(found: Facts) -> str:
    signature = found.contents.signature
    return f"{signature.dtype} [{', '.join(['N', *map(str, signature.shape)])}]"
