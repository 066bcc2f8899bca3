"""Limits: weaknesses and unknowns of a version, derived from its measurements."""

import math
from collections.abc import Iterator

from registry.cards.contents import ByClass
from registry.cards.facts import Facts
from tailorbird.pages.document import Inline
from tailorbird.shares import interval

WEAKEST = 3
WIDE = 0.1
"""A 95% interval of recall wider than this means too few images to compare classes."""
OFF = 0.05
"""Above this calibration error, confidence must not be read as a probability."""
SURE = 0.99


def limits(facts: Facts) -> list[Inline]:
    """A sentence or two for each, the most important first."""
    return [
        *_weakest(facts),
        *_unseen(facts),
        *_confidence(facts),
        *_few(facts.contents.by_class),
        *_splits(facts),
        *_worn(facts),
        *_unmeasured(facts),
    ]


def _weakest(facts: Facts) -> Iterator[str]:
    known = [row for row in facts.contents.by_class if row.support and row.right < row.support]
    for row in sorted(known, key=lambda row: row.right / row.support)[:WEAKEST]:
        low, high = interval(row.right, row.support)
        sentence = (
            f"Of class {row.name}, {row.right:,} of {row.support:,} held-out images are classified correctly "
            f"({row.right / row.support:.1%}, 95% interval {low:.1%} to {high:.1%})"
        )
        if row.mistaken:
            name, times = row.mistaken
            sentence += f"; {times:,} are classified as {name}"
        yield sentence + "."
    if missing := [row.name for row in facts.contents.by_class if not row.support]:
        yield f"The held-out split has no image of {_listed(missing)}: performance on such images is unknown."
    if never := [row.name for row in facts.contents.by_class if row.support and not row.predicted]:
        yield f"No held-out image was classified as {_listed(never)}."


def _unseen(facts: Facts) -> Iterator[str]:
    thing, data = facts.contents.signature.thing, facts.version.lineage.data
    name = data.name if data else None
    yield (
        f"Every {thing} gets one of these {len(facts.contents.classes)} classes, even if it shows none of them: the "
        f"probabilities add up to 1 over these classes."
    )
    origin = f"the data set {name}" if name else "its training data"
    if backbone := facts.version.lineage.backbone:
        images = backbone.images or "images that were not recorded"
        yield f"Its backbone was pretrained on {images}; it may have inherited their biases."
    yield (
        f"{'Apart from that, it' if backbone else 'It'} was trained and evaluated only on {thing}s of {origin}. "
        f"Performance on others (another source, camera, population or time) was not measured."
    )
    if thing == "image":
        yield (
            f"Images of other sizes and colour modes are converted to {facts.contents.signature.input} before "
            f"prediction; what that loses was not measured."
        )


def _confidence(facts: Facts) -> Iterator[str]:
    error, accuracy = facts.contents.baseline.calibration_error, facts.version.evidence.accuracy
    if error is None:
        yield "Calibration was not measured: confidence must not be read as a probability of being right."
    elif error > OFF:
        mean = facts.confidence
        way = "" if mean is None else f"; on average it is {'over' if mean > accuracy else 'under'}confident"
        yield (
            f"Confidence must not be read as a probability: it is off by {100 * error:.1f} points on average "
            f"(expected calibration error){way}."
        )
    sure = [level for level in facts.contents.bins if level.low >= SURE]
    wrong = sum(level.count - level.correct for level in sure)
    if wrong:
        yield (
            f"It can be confidently wrong: of the {sum(level.count for level in sure):,} held-out images predicted "
            f"with a confidence of {SURE} or more, {wrong:,} were wrong."
        )


def _few(by_class: tuple[ByClass, ...]) -> Iterator[str]:
    wide = [(high - low, row) for row in by_class if row.support for low, high in [interval(row.right, row.support)]]
    wide = [(width, row) for width, row in wide if width > WIDE]
    if wide:
        _, worst = max(wide, key=lambda pair: pair[0])
        low, high = interval(worst.right, worst.support)
        yield (
            f"Few images: for {len(wide)} of {len(by_class)} classes the recall is known only to within an interval "
            f"of more than {100 * WIDE:.0f} points (widest: {worst.name}, {worst.support:,} images, "
            f"{low:.1%} to {high:.1%}). Differences between such classes mean little."
        )


def _splits(facts: Facts) -> Iterator[str]:
    held, test = facts.version.evidence, facts.version.evidence.test
    accuracy, samples, tested, tests = held.accuracy, held.samples, test.accuracy, test.samples
    if not (samples and tests):
        return
    error = math.sqrt(accuracy * (1 - accuracy) / samples + tested * (1 - tested) / tests)
    if accuracy - tested > 2 * error:
        yield (
            f"Test accuracy is {100 * (accuracy - tested):.2f} points under held-out accuracy, more than chance "
            f"explains: expect the lower figure."
        )


def _worn(facts: Facts) -> Iterator[str]:
    if others := facts.record.judged_others:
        versions = "another version" if others == 1 else f"{others:,} other versions"
        yield (
            f"The same held-out images were used to judge {versions}. Accuracy on a split used for selection is "
            f"optimistic; test accuracy was measured once and used for no selection."
        )


def _unmeasured(facts: Facts) -> Iterator[str]:
    if facts.version.evidence.latency is None:
        yield "Latency was not measured when it was registered."
    yield (
        "Results are broken down only by class: performance for particular people, places or devices was not "
        "measured, nor was robustness to noise, blur or adversarial inputs."
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 10} others" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
