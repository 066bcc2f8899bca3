"""The data of the monitoring page: the accuracy of the served version, measured and estimated."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from registry import feedback, history, judgements, schema
from registry.core import Registry
from registry.judgements import Judgement
from registry.version import Version
from serving.endpoint import Served
from serving.metrics import Metrics
from serving.monitor import LEAST, observed
from tailorbird.drift import cells, transport
from tailorbird.drift import judgement as judging
from tailorbird.drift.judgement import MEANINGS, Known, Observed
from tailorbird.drift.policy import Policy

LABEL_DAYS = 1
POLICY = Policy()
MOVES = 10
QUANTILES = (0.5, 0.95, 0.99)
BLIND_SPOTS = (
    "No estimate detects that the meaning of classes changed; only labels do.",
    "Inputs of no known class are detected only by the estimate that assumes the class mix of training, and that one "
    "is wrong if the mix changes.",
)


def content(served: Served, metrics: Metrics, registry: Registry) -> dict[str, Any]:
    """The data of the page; blocks. Raises TailorbirdError if the registry cannot be read."""
    known, version = served.model.known, served.version
    recent = observed(known, served.predictor.recent.rows())
    since = schema.timestamp(datetime.now(UTC) - timedelta(days=LABEL_DAYS))
    labels = feedback.cells(registry, version.model, version.number, since=since)
    count, correct = cells.labelled(labels, known.classes)
    seen = Observed(recent.predictions, count, correct, mix_steady=recent.mix_steady)
    judged = judging.judge(known, seen, POLICY)
    return {
        "model": version.model,
        "version": version.number,
        "state": judged.state,
        "accuracy": _accuracy(known, seen, judged),
        "words": [*judged.reasons, *judged.notes, *_missing(known), *BLIND_SPOTS],
        "classes": _classes(known, recent),
        "latency": _latency(metrics),
        "versions": _versions(registry, version),
    }


def _accuracy(known: Known, seen: Observed, judged: judging.Judgement) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"name": "held-out examples at registration", "value": known.accuracy, "note": ""}]
    labelled = judged.labelled
    if labelled is None:
        rows.append({"name": "labels of the last day", "value": None, "note": "none"})
    else:
        note = f"{labelled.low:.1%} to {labelled.high:.1%}, of {labelled.labels:,} labels"
        if (more := judging.needed(known, seen, POLICY)) > 1:
            note += f"; needs about {more:,} more"
        rows.append({"name": "labels of the last day", "value": labelled.value, "note": note})
    for name, value in judged.estimates.items():
        rows.append({"name": f"estimate {MEANINGS[name]}", "value": value, "note": _note(known, name, value)})
    return rows


def _note(known: Known, name: str, value: float | None) -> str:
    if value is None:
        return _lacking(known, name)
    if known.estimator is None or name == "mix_moves":
        return ""
    if name == "mix_steady":
        return f"up to {transport.chance(known.estimator.mix):.1%} too low on average, by chance"
    error = known.estimator.error
    return "" if error is None else f"off by {error.small:.1%} on average, on corruptions that it was not fitted on"


def _lacking(known: Known, name: str) -> str:
    """Why there is no such estimate."""
    if known.estimator is None:
        return "the package has no estimator"
    if name == "fitted" and known.estimator.weights is None:
        return "no corruptions are defined for these inputs"
    return f"needs {transport.ANSWERS if name == 'mix_steady' else LEAST:,} predictions of this worker"


def _missing(known: Known) -> Sequence[str]:
    if known.estimator is None:
        return ["The package has no estimator: accuracy is known only from labels."]
    if known.estimator.weights is None:
        return ["No corruptions are defined for these inputs: only labels and the class mix are used."]
    return []


def _classes(known: Known, recent: Observed) -> list[dict[str, Any]]:
    now, before = recent.predictions.sum(1), known.count.sum(1)
    total = now.sum()
    return [
        {"name": name, "now": float(now[row] / total) if total else None, "before": float(before[row] / before.sum())}
        for row, name in enumerate(known.classes)
    ]


def _latency(metrics: Metrics) -> list[dict[str, Any]]:
    """Quantiles of this worker, each as the upper edge of its bucket in the histogram."""
    counts = metrics.seconds("/predict")
    return [{"name": f"p{100 * quantile:g}", "seconds": _quantile(counts, quantile)} for quantile in QUANTILES]


def _quantile(counts: Sequence[tuple[float, float]], quantile: float) -> float | None:
    """None if nothing was counted, or if it is above the last edge."""
    edges, numbers = [edge for edge, _ in counts], np.cumsum([count for _, count in counts])
    if not len(numbers) or not numbers[-1]:
        return None
    edge = edges[int(np.searchsorted(numbers, quantile * numbers[-1]))]
    return edge if math.isfinite(edge) else None


def _versions(registry: Registry, version: Version) -> list[dict[str, Any]]:
    moves = history.moves(registry, version.model, limit=MOVES)
    rows = {row.id: (row.moved, f"{row.kind} {row.alias} to {row.to_number}", row.why) for row in moves}
    judged = judgements.page(registry, version.model, limit=MOVES)
    rows |= {row.id: (row.judged, _judged(row), "; ".join(row.reasons)) for row in judged}
    newest = sorted(rows, reverse=True)[:MOVES]
    return [dict(zip(("when", "what", "why"), rows[place], strict=True)) for place in newest]


def _judged(row: Judgement) -> str:
    action = "" if row.action == "none" else f", {row.action}"
    return f"version {row.number}: {row.state}{action}"
