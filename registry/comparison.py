"""Gates that compare a candidate with the version that holds the alias, image by image if possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.evidence import Evidence
from registry.policy import Champion, Policy, Recall
from registry.verdict import Gate, gate, points

if TYPE_CHECKING:  # it imports numpy, which only a judgement needs
    from registry.paired import Paired, Shared

LEAST_SHARED = 0.5
"""The smallest share of the smaller held-out split that two versions must have in common to be compared."""
MOST_RELABELLED = 0.01
"""The largest share of held-out images whose true class may differ between two versions."""
SIGNIFICANT = 0.05
"""The significance level of p values."""


@dataclass(frozen=True)
class _Beside:
    """A candidate and the version that holds the alias, with the images that both were judged on."""

    candidate: Evidence
    holder: Evidence
    shared: Shared | None
    judged_before: int


def compared(candidate: Evidence, holder: Evidence, policy: Policy, judged_before: int) -> Iterator[Gate]:
    """The results of the comparing gates for a candidate and the version that holds the alias."""
    from registry import paired  # imports numpy, which only a judgement needs

    both = _Beside(candidate, holder, paired.shared(candidate, holder), judged_before)
    for name, answer in GATES.items():
        if allowed := getattr(policy, name):
            yield answer(both, allowed)


def _classes(both: _Beside, allowed: str) -> Gate:
    holder, ours, theirs = both.holder, both.candidate.classes, both.holder.classes
    if not theirs:
        return gate("classes", "", f"not compared: {holder} does not verify", {}, allowed)
    new, gone = ([name for name in names if name not in other] for names, other in ((ours, theirs), (theirs, ours)))
    moved = [name for index, name in enumerate(ours) if name in theirs and theirs.index(name) != index]
    changes = [
        f"{len(names)} {what} ({', '.join(names[:5])}{', …' if len(names) > 5 else ''})"
        for what, names in (("new", new), ("gone", gone), ("in another place", moved))
        if names
    ]
    failed = f"the classes are not those of {holder}: {' and '.join(changes)}" if changes else ""
    measured = {"new": new, "gone": gone, "moved": moved}
    return gate("classes", failed, f"the {len(ours)} classes of {holder}", measured, allowed)


def _champion(both: _Beside, allowed: Champion) -> Gate:
    if both.shared is None:
        return _unpaired(both.candidate, both.holder, allowed)
    return _paired(both.shared, both.holder, allowed, both.judged_before)


def _unpaired(candidate: Evidence, holder: Evidence, allowed: Champion) -> Gate:
    ours, theirs = candidate.figures.accuracy, holder.figures.accuracy
    passed = ours > theirs if allowed.require == "better" else ours >= theirs
    text = (
        f"held-out accuracy {ours:.2%} is {points(abs(ours - theirs))} {'over' if ours >= theirs else 'under'} "
        f"{holder}'s {theirs:.2%}; not compared image by image, since {holder} does not verify"
    )
    failed = "" if passed else f"{text}; {'more' if allowed.require == 'better' else 'no less'} is needed"
    return gate("champion", failed, text, {"accuracy": ours, "holder": theirs}, allowed)


def _paired(shared: Shared, holder: Evidence, allowed: Champion, judged_before: int) -> Gate:
    if strangers := _strangers(holder, shared):
        return gate("champion", strangers, "", _overlap(shared), allowed)
    pair = shared.overall()
    (low, high), p = pair.interval(), pair.p_better()
    text = (
        f"{_compared(holder, pair)}: {100 * pair.difference:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f}, each "
        f"end 95% sure; {pair.gained} images gained, {pair.lost} lost); {_worn(judged_before)}"
    )
    failed = ""
    if allowed.require == "better" and not p < SIGNIFICANT:
        failed = f"not significantly better, p {p:.2g} is not below {SIGNIFICANT:g}: {text}"
    elif allowed.require == "not_worse" and pair.lost and not low >= -allowed.margin:
        surer = "; more held-out images would narrow the interval" if pair.difference >= -allowed.margin else ""
        failed = f"it may be {points(-low)} worse, at most {points(allowed.margin)} allowed: {text}{surer}"
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
    return gate("champion", failed, text, measured, allowed)


def _recall(both: _Beside, allowed: Recall) -> Gate:
    holder, shared = both.holder, both.shared
    if shared is None:
        return gate("recall", "", f"not compared image by image with {holder}", {}, allowed)
    if strangers := _strangers(holder, shared):
        return gate("recall", strangers, "", _overlap(shared), allowed)
    pairs = {name: shared.of_class(index) for index, name in enumerate(both.candidate.classes)}
    fallen = {name: pair for name, pair in pairs.items() if pair.images and -pair.difference > allowed.margin}
    failed = "; ".join(
        f"recall of {name!r} falls by {points(-pair.difference)}, at most {points(allowed.margin)} allowed: "
        f"{_compared(holder, pair)}, p {pair.p_worse():.2g}"
        for name, pair in sorted(fallen.items(), key=lambda item: item[1].difference)
    )
    fine = f"no class's recall falls by more than {points(allowed.margin)}"
    measured = {name: _class_record(pair) for name, pair in fallen.items()}
    return gate("recall", failed, fine, measured, allowed)


def _class_record(pair: Paired) -> dict[str, float]:
    ours, theirs = pair.accuracies
    return {"images": pair.images, "recall": ours, "holder": theirs, "p_worse": pair.p_worse()}


def _strangers(holder: Evidence, shared: Shared) -> str:
    """Why two versions cannot be compared, if too few of their images are the same."""
    needed = max(1, math.ceil(LEAST_SHARED * shared.of))
    if len(shared) < needed:
        return (
            f"evaluated on other images than {holder}: {len(shared)} of {shared.of} held-out images are the same with "
            f"the "
            f"same true class, at least {needed} needed; train with the data and the split_seed of {holder}, or use "
            f"--force"
        )
    if shared.relabelled > MOST_RELABELLED * shared.of:
        return (
            f"{shared.relabelled} of {shared.of} held-out images have another true class than in {holder}, "
            f"at most {MOST_RELABELLED:.0%} allowed: one of the two was evaluated with wrong labels; find out which, "
            f"or use --force"
        )
    return ""


def _overlap(shared: Shared) -> dict[str, int]:
    return {"images": len(shared), "of": shared.of}


def _compared(holder: Evidence, pair: Paired) -> str:
    ours, theirs = pair.accuracies
    return f"right on {ours:.2%} of {pair.images} images, {holder} on {theirs:.2%}"


def _worn(judged_before: int) -> str:
    """How often a held-out split was used: of many candidates one passes by luck."""
    times = {0: "no candidate", 1: "1 candidate"}.get(judged_before, f"{judged_before} candidates")
    return f"this held-out split was used to judge {times} before"


GATES: dict[str, Callable[[_Beside, Any], Gate]] = {"classes": _classes, "champion": _champion, "recall": _recall}
"""The gates by the names of their parts of the policy."""
