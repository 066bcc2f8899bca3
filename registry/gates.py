"""Gates: pure functions of evidence that say whether a candidate may take an alias, and by how much it failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from registry import comparison
from registry.evidence import Evidence
from registry.policy import Accuracy, Calibration, Latency, Parity, Policy, Size
from registry.verdict import INTEGRITY, Gate, Verdict, gate, number, percent, points
from tailorbird.package.measurements import Parity as Figures


def split(candidate: Evidence) -> str | None:
    """The held-out split that a candidate is judged on; None if it is not known."""
    return candidate.heldout.split if candidate.heldout else None


def judge(candidate: Evidence, holder: Evidence | None, policy: Policy, judged_before: int = 0) -> Verdict:
    """Judge a candidate against the version that holds the alias now, if any.

    `judged_before` is the number of candidates that were judged on the same held-out split before. A candidate that
    does not verify fails without other gates: its figures cannot be trusted.
    """
    gates = [_integrity(candidate)]
    if not candidate.problems:
        asked = {name: getattr(policy, name) for name in GATES}
        gates += [GATES[name](candidate, allowed) for name, allowed in asked.items() if allowed]
        gates += comparison.compared(candidate, holder, policy, judged_before) if holder else []
    return Verdict(gates, split(candidate), judged_before)


def verify(candidate: Evidence) -> Verdict:
    """The verdict of the integrity gate alone, for an earlier holder of the alias, which was judged before."""
    return Verdict([_integrity(candidate)], split(candidate), 0)


def _integrity(candidate: Evidence) -> Gate:
    problems = list(candidate.problems)
    failed = f"{candidate} does not verify: {'; '.join(problems)}" if problems else ""
    return gate(INTEGRITY, failed, "every file is what was registered", {"problems": problems}, "no problem")


# Limits are tested as «not >=» and «not <=», so that NaN fails.


def _parity(candidate: Evidence, allowed: Parity) -> Gate:
    parity, batches = candidate.figures.parity, candidate.figures.batches
    failed = _apart(parity, allowed, "the export", "torch")
    if not failed and batches is not None:
        failed = _apart(batches, allowed, "one by one and in other batches the export", "itself")
        failed = failed and f"answers depend on the rest of the batch: {failed}"
    measured = {key: number(value) for key, value in parity.record().items()}
    return gate("parity", failed, str(parity), measured, allowed)


def _apart(measured: Figures, allowed: Parity, subject: str, other: str) -> str:
    """Why two ways to compute answers do not agree, if they do not."""
    agreement, difference = number(measured.agreement), number(measured.max_difference)
    if not measured.samples:
        return f"{subject} was not compared with {other} on any image"
    if not agreement >= allowed.agreement:
        return (
            f"{subject} agrees with {other} on {agreement:.3%} of labels, at least {percent(allowed.agreement)} needed"
        )
    if not difference <= allowed.max_difference:
        theirs, limit = "its own" if other == "itself" else f"{other}'s", allowed.max_difference
        return f"{subject}'s probabilities differ from {theirs} by {difference:.3g}, at most {limit:.3g} allowed"
    return ""


def _accuracy(candidate: Evidence, allowed: Accuracy) -> Gate:
    accuracy, (name, share) = candidate.figures.accuracy, _commonest(candidate)
    short = []
    if allowed.at_least is not None and not accuracy >= allowed.at_least:
        short.append(f"{points(allowed.at_least - accuracy)} below the required {percent(allowed.at_least)}")
    if share is not None and not accuracy > share:
        short.append(f"{points(share - accuracy)} below that of always predicting {name!r}, and must be above it")
    fine = f"held-out accuracy {accuracy:.2%}"
    failed = f"{fine} is {' and '.join(short)}" if short else ""
    measured = {"accuracy": accuracy, "samples": candidate.figures.samples, "commonest": share}
    return gate("accuracy", failed, fine, measured, allowed)


def _calibration(candidate: Evidence, allowed: Calibration) -> Gate:
    error, limit = candidate.figures.calibration_error, allowed.at_most
    if error is None:
        return _unmeasured("calibration", "the calibration error", allowed)
    fine = f"calibration error {error:.3f}"
    failed = "" if error <= limit else f"{fine} is {error - limit:.3g} over the limit of {limit:g}"
    return gate("calibration", failed, fine, {"calibration_error": error}, allowed)


def _unmeasured(name: str, what: str, allowed: Calibration | Latency) -> Gate:
    """Missing measurements fail a limit that was set explicitly, but pass a default."""
    wanted = f"{what} was not measured, but the policy limits it" if allowed.model_fields_set else ""
    return gate(name, wanted, f"{what} was not measured", {}, allowed)


def _latency(candidate: Evidence, allowed: Latency) -> Gate:
    latency = candidate.figures.latency
    if latency is None:
        return _unmeasured("latency", "the latency", allowed)
    measured = {key: number(value) for key, value in latency.record().items()}
    failed = "; ".join(
        f"one image takes {measured[key]:.3g} ms ({key.removesuffix('_ms')}), "
        f"{measured[key] - limit:.3g} ms over the limit of {limit:g} ms"
        for key, limit in allowed.model_dump().items()
        if limit is not None and not measured[key] <= limit
    )
    fine = f"one image takes {measured['p50_ms']:.3g} ms (p50), {measured['p99_ms']:.3g} ms (p99)"
    return gate("latency", failed, fine, measured, allowed)


def _size(candidate: Evidence, allowed: Size) -> Gate:
    megabytes, limit = number(candidate.size) / 1e6, allowed.megabytes
    fine = f"model.onnx has {megabytes:.3g} MB"
    failed = "" if megabytes <= limit else f"{fine}, {megabytes - limit:.3g} MB over the limit of {limit:g} MB"
    return gate("size", failed, fine, {"bytes": candidate.size}, allowed)


def _commonest(candidate: Evidence) -> tuple[str, float | None]:
    """The most common class of the held-out images, and its share; None if that is not known."""
    counts = [sum(row) for row in candidate.baseline.confusion] if candidate.baseline else []
    if not sum(counts):
        return "", None
    most = max(range(len(counts)), key=counts.__getitem__)
    return candidate.classes[most], counts[most] / sum(counts)


GATES: dict[str, Callable[[Evidence, Any], Gate]] = {
    "parity": _parity,
    "accuracy": _accuracy,
    "calibration": _calibration,
    "latency": _latency,
    "size": _size,
}
"""The gates that evaluate a candidate by itself, by the name of their part of the policy."""
