"""Gates: pure functions of evidence that say whether a candidate may take an alias, and by how much it failed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.evidence import Evidence
from registry.policy import Accuracy, Calibration, Champion, Latency, Limits, Parity, Policy, Recall, Size
from registry.verdict import INTEGRITY, Gate, Verdict
from tailorbird.package.measurements import Parity as Figures

if TYPE_CHECKING:  # it brings numpy, which nothing but a judgement needs
    from registry.paired import Paired, Shared

LEAST_SHARED = 0.5
"""Of the smaller held-out split, without which two versions were judged on different images."""
MOST_RELABELLED = 0.01
"""Of the held-out images, which may have got another true class since; more is another truth."""
SIGNIFICANT = 0.05
"""A p value under it is proof enough."""


def split(candidate: Evidence) -> str | None:
    """The held-out split that judges a candidate, None where it is not known."""
    return candidate.heldout.split if candidate.heldout else None


def judge(candidate: Evidence, holder: Evidence | None, policy: Policy, judged_before: int = 0) -> Verdict:
    """Judge a candidate beside the version that holds the alias now, if one does.

    `judged_before` is how many candidates the same held-out split has judged already. Nothing else is asked of a
    candidate that does not verify: what is damaged proves nothing.
    """
    gates = [_integrity(candidate)]
    if not candidate.problems:
        gates += _alone(candidate, policy)
        gates += _beside(candidate, holder, policy, judged_before) if holder else []
    return Verdict(gates, split(candidate), judged_before)


def verify(candidate: Evidence) -> Verdict:
    """The verdict of integrity alone: what has held the alias before was judged then."""
    return Verdict([_integrity(candidate)], split(candidate), 0)


def _alone(candidate: Evidence, policy: Policy) -> Iterator[Gate]:
    for name, gate in ALONE.items():
        if allowed := getattr(policy, name):
            yield gate(candidate, allowed)


def _beside(candidate: Evidence, holder: Evidence, policy: Policy, judged_before: int) -> Iterator[Gate]:
    from registry import paired  # and numpy with it, which nothing but a judgement needs

    both = _Beside(candidate, holder, paired.shared(candidate, holder), judged_before)
    for name, gate in BESIDE.items():
        if allowed := getattr(policy, name):
            yield gate(both, allowed)


@dataclass(frozen=True)
class _Beside:
    """A candidate and the version that holds the alias, with the images that both were judged on."""

    candidate: Evidence
    holder: Evidence
    shared: Shared | None
    judged_before: int


def _gate(name: str, failed: str, fine: str, measured: Mapping[str, Any], allowed: Limits | str) -> Gate:
    """The answer of a gate that passes where `failed` is empty."""
    limits = allowed if isinstance(allowed, str) else allowed.model_dump()
    return Gate(name, not failed, failed or fine, dict(measured), limits)


def _integrity(candidate: Evidence) -> Gate:
    problems = list(candidate.problems)
    failed = f"{candidate} does not verify: {'; '.join(problems)}" if problems else ""
    return _gate(INTEGRITY, failed, "every file is what was registered", {"problems": problems}, "no problem")


# Limits are tested as «not at least» and «not at most», so that NaN fails.


def _parity(candidate: Evidence, allowed: Parity) -> Gate:
    parity, batches = candidate.figures.parity, candidate.figures.batches
    failed = _apart(parity, allowed, "the export", "torch")
    if not failed and batches is not None:
        failed = _apart(batches, allowed, "one by one and in other batches the export", "itself")
        failed = failed and f"an answer depends on what else is in its batch: {failed}"
    measured = {key: _number(value) for key, value in parity.record().items()}
    return _gate("parity", failed, str(parity), measured, allowed)


def _apart(measured: Figures, allowed: Parity, one: str, other: str) -> str:
    """Why two ways to answer do not give the same, if they do not."""
    agreement, difference = _number(measured.agreement), _number(measured.max_difference)
    if not measured.samples:
        return f"{one} was not compared with {other} on any image"
    if not agreement >= allowed.agreement:
        return f"{one} agrees with {other} on {agreement:.3%} of labels, at least {_percent(allowed.agreement)} needed"
    if not difference <= allowed.max_difference:
        theirs, limit = "its own" if other == "itself" else f"{other}'s", allowed.max_difference
        return f"{one}'s probabilities differ from {theirs} by {difference:.3g}, at most {limit:.3g} allowed"
    return ""


def _accuracy(candidate: Evidence, allowed: Accuracy) -> Gate:
    accuracy, (name, share) = candidate.figures.accuracy, _commonest(candidate)
    short = []
    if allowed.at_least is not None and not accuracy >= allowed.at_least:
        short.append(f"{_points(allowed.at_least - accuracy)} under the {_percent(allowed.at_least)} that is needed")
    if share is not None and not accuracy > share:
        short.append(f"{_points(share - accuracy)} under that of always saying {name!r}, and must be above it")
    fine = f"held-out accuracy {accuracy:.2%}"
    failed = f"{fine} is {' and '.join(short)}" if short else ""
    measured = {"accuracy": accuracy, "samples": candidate.figures.samples, "commonest": share}
    return _gate("accuracy", failed, fine, measured, allowed)


def _calibration(candidate: Evidence, allowed: Calibration) -> Gate:
    error, limit = candidate.figures.calibration_error, allowed.at_most
    if error is None:
        return _unmeasured("calibration", "the calibration error", allowed)
    fine = f"calibration error {error:.3f}"
    failed = "" if error <= limit else f"{fine} is {error - limit:.3g} over the {limit:g} that is allowed"
    return _gate("calibration", failed, fine, {"calibration_error": error}, allowed)


def _unmeasured(name: str, what: str, allowed: Calibration | Latency) -> Gate:
    """A limit that somebody set is not got round by what was not measured; a default asks no more than can be known."""
    wanted = f"{what} was not measured, and the policy sets a limit to it" if allowed.model_fields_set else ""
    return _gate(name, wanted, f"{what} was not measured", {}, allowed)


def _latency(candidate: Evidence, allowed: Latency) -> Gate:
    latency = candidate.figures.latency
    if latency is None:
        return _unmeasured("latency", "the latency", allowed)
    measured = {key: _number(value) for key, value in latency.record().items()}
    failed = "; ".join(
        f"one image takes {measured[key]:.3g} ms ({key.removesuffix('_ms')}), "
        f"{measured[key] - limit:.3g} ms over the {limit:g} ms that are allowed"
        for key, limit in allowed.model_dump().items()
        if limit is not None and not measured[key] <= limit
    )
    fine = f"one image takes {measured['p50_ms']:.3g} ms (p50), {measured['p99_ms']:.3g} ms (p99)"
    return _gate("latency", failed, fine, measured, allowed)


def _size(candidate: Evidence, allowed: Size) -> Gate:
    megabytes, limit = _number(candidate.size) / 1e6, allowed.megabytes
    fine = f"model.onnx has {megabytes:.3g} MB"
    failed = "" if megabytes <= limit else f"{fine}, {megabytes - limit:.3g} MB over the {limit:g} MB that are allowed"
    return _gate("size", failed, fine, {"bytes": candidate.size}, allowed)


def _classes(both: _Beside, allowed: str) -> Gate:
    holder, ours, theirs = both.holder, both.candidate.classes, both.holder.classes
    if not theirs:
        return _gate("classes", "", f"not compared: {holder} does not verify", {}, allowed)
    new, gone = ([name for name in one if name not in other] for one, other in ((ours, theirs), (theirs, ours)))
    moved = [name for place, name in enumerate(ours) if name in theirs and theirs.index(name) != place]
    changes = [
        f"{len(names)} {what} ({', '.join(names[:5])}{', …' if len(names) > 5 else ''})"
        for what, names in (("new", new), ("gone", gone), ("in another place", moved))
        if names
    ]
    failed = f"the classes are not those of {holder}: {' and '.join(changes)}" if changes else ""
    measured = {"new": new, "gone": gone, "moved": moved}
    return _gate("classes", failed, f"the {len(ours)} classes of {holder}", measured, allowed)


def _champion(both: _Beside, allowed: Champion) -> Gate:
    if both.shared is None:
        return _unpaired(both.candidate, both.holder, allowed)
    return _paired(both.shared, both.holder, allowed, both.judged_before)


def _unpaired(candidate: Evidence, holder: Evidence, allowed: Champion) -> Gate:
    ours, theirs = candidate.figures.accuracy, holder.figures.accuracy
    passed = ours > theirs if allowed.require == "better" else ours >= theirs
    told = (
        f"held-out accuracy {ours:.2%} is {_points(abs(ours - theirs))} {'over' if ours >= theirs else 'under'} "
        f"{holder}'s {theirs:.2%}, not compared image by image since {holder} does not verify"
    )
    failed = "" if passed else f"{told}; {'more' if allowed.require == 'better' else 'no less'} is needed"
    return _gate("champion", failed, told, {"accuracy": ours, "holder": theirs}, allowed)


def _paired(shared: Shared, holder: Evidence, allowed: Champion, judged_before: int) -> Gate:
    if strangers := _strangers(holder, shared):
        return _gate("champion", strangers, "", _overlap(shared), allowed)
    pair = shared.overall()
    (low, high), p = pair.interval(), pair.p_better()
    told = (
        f"{_compared(holder, pair)}: {100 * pair.difference:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f}, each "
        f"end 95% sure; {pair.gained} images gained, {pair.lost} lost); {_worn(judged_before)}"
    )
    failed = ""
    if allowed.require == "better" and not p < SIGNIFICANT:
        failed = f"not proved better, p {p:.2g} and under {SIGNIFICANT:g} is needed: {told}"
    elif allowed.require == "not_worse" and pair.lost and not low >= -allowed.margin:
        surer = "; more held-out images would tell more surely" if pair.difference >= -allowed.margin else ""
        failed = f"it may be {_points(-low)} worse, {_points(allowed.margin)} are allowed: {told}{surer}"
    measured = {
        **_overlap(shared),
        "accuracy": pair.accuracies[0],
        "holder": pair.accuracies[1],
        "gained": pair.gained,
        "lost": pair.lost,
        "difference": pair.difference,
        "interval": [low, high],
        "p_better": p,
        "judged_before": judged_before,
    }
    return _gate("champion", failed, told, measured, allowed)


def _recall(both: _Beside, allowed: Recall) -> Gate:
    holder, shared = both.holder, both.shared
    if shared is None:
        return _gate("recall", "", f"not compared image by image with {holder}", {}, allowed)
    if strangers := _strangers(holder, shared):
        return _gate("recall", strangers, "", _overlap(shared), allowed)
    pairs = {name: shared.of_class(index) for index, name in enumerate(both.candidate.classes)}
    fallen = {name: pair for name, pair in pairs.items() if pair.images and -pair.difference > allowed.margin}
    failed = "; ".join(
        f"recall of {name!r} falls by {_points(-pair.difference)}, {_points(allowed.margin)} are allowed: "
        f"{_compared(holder, pair)}, p {pair.p_worse():.2g}"
        for name, pair in sorted(fallen.items(), key=lambda one: one[1].difference)
    )
    fine = f"no class's recall falls by more than {_points(allowed.margin)}"
    measured = {name: _class_record(pair) for name, pair in fallen.items()}
    return _gate("recall", failed, fine, measured, allowed)


def _class_record(pair: Paired) -> dict[str, float]:
    ours, theirs = pair.accuracies
    return {"images": pair.images, "recall": ours, "holder": theirs, "p_worse": pair.p_worse()}


def _strangers(holder: Evidence, shared: Shared) -> str:
    """Why two versions cannot be compared, where too few of their images are the same."""
    needed = max(1, math.ceil(LEAST_SHARED * shared.of))
    if len(shared) < needed:
        return (
            f"judged on other images than {holder}: {len(shared)} of {shared.of} held-out images are the same with the "
            f"same true class, {needed} are needed; train with the data and the split_seed of {holder}, or force it"
        )
    if shared.relabelled > MOST_RELABELLED * shared.of:
        return (
            f"{shared.relabelled} of {shared.of} held-out images have another true class than in {holder}, "
            f"{MOST_RELABELLED:.0%} may: one of the two was judged by wrong labels; look which, or force it"
        )
    return ""


def _overlap(shared: Shared) -> dict[str, int]:
    return {"images": len(shared), "of": shared.of}


def _compared(holder: Evidence, pair: Paired) -> str:
    ours, theirs = pair.accuracies
    return f"right on {ours:.2%} of {pair.images} images, {holder} on {theirs:.2%}"


def _worn(judged_before: int) -> str:
    """How worn a held-out split is: of many candidates one passes by luck."""
    times = {0: "no candidate", 1: "1 candidate"}.get(judged_before, f"{judged_before} candidates")
    return f"this held-out split has judged {times} before"


def _commonest(candidate: Evidence) -> tuple[str, float | None]:
    """The class that most held-out images are of, and the share that it has; None where that is not known."""
    counts = [sum(row) for row in candidate.baseline.confusion] if candidate.baseline else []
    if not sum(counts):
        return "", None
    most = max(range(len(counts)), key=counts.__getitem__)
    return candidate.classes[most], counts[most] / sum(counts)


def _number(stored: float | None) -> float:
    return math.nan if stored is None else stored  # JSON has no NaN


def _percent(share: float) -> str:
    return f"{100 * share:.6g}%"


def _points(share: float) -> str:
    return f"{100 * share:.2f} points"


ALONE: dict[str, Callable[[Evidence, Any], Gate]] = {
    "parity": _parity,
    "accuracy": _accuracy,
    "calibration": _calibration,
    "latency": _latency,
    "size": _size,
}
"""The gates that look at a candidate by itself, by the name of their part of the policy."""
BESIDE: dict[str, Callable[[_Beside, Any], Gate]] = {"classes": _classes, "champion": _champion, "recall": _recall}
"""Those that compare it with the version that holds the alias."""
