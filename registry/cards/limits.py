"""Limits: what a version is not good at, and what nobody knows of it, derived from what was measured."""

import math
from collections.abc import Iterator

from registry.cards.contents import ByClass
from registry.cards.facts import Facts
from tailorbird.pages.document import Inline
from tailorbird.shares import interval

WEAKEST = 3
WIDE = 0.1
"""A 95% interval of recall wider than this means too few images to compare classes by."""
OFF = 0.05
"""A calibration error above this: confidence must not be read as a probability."""
SURE = 0.99


def limits(facts: Facts) -> list[Inline]:
    """A sentence or two for each, the most telling first."""
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
            f"Of class {row.name}, {row.right:,} of {row.support:,} held-out images are recognised "
            f"({row.right / row.support:.1%}, 95% interval {low:.1%} to {high:.1%})"
        )
        if row.mistaken:
            name, times = row.mistaken
            sentence += f"; {times:,} are taken for {name}"
        yield sentence + "."
    if missing := [row.name for row in facts.contents.by_class if not row.support]:
        yield f"No held-out image was of {_listed(missing)}: how such images are answered is not known."
    if never := [row.name for row in facts.contents.by_class if row.support and not row.predicted]:
        yield f"No held-out image was answered with {_listed(never)}."


def _unseen(facts: Facts) -> Iterator[str]:
    thing, data = facts.contents.signature.thing, facts.version.lineage.data
    name = data.name if data else None
    yield (
        f"Every {thing} gets one of these {len(facts.contents.classes)} classes, also one that shows none of them: "
        f"the probabilities add up to 1 over these classes alone."
    )
    origin = f"the data set {name}" if name else "its training data"
    if backbone := facts.version.lineage.backbone:
        images = backbone.images or "images that were not recorded"
        yield f"Its backbone had been trained on {images}; what is one-sided in these, it may have taken over."
    yield (
        f"{'Apart from that, it' if backbone else 'It'} was trained and measured on {thing}s of {origin} alone. How it "
        f"does on others (another source, camera, "
        f"population or time) was not measured."
    )
    if thing == "image":
        yield (
            f"Images of other sizes and colour modes are brought to {facts.contents.signature.input} before they are "
            f"judged; what is lost on the way was not measured."
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
            f"It can be wrong and sure of it: of the {sum(level.count for level in sure):,} held-out images that it "
            f"answered with a confidence of {SURE} or more, {wrong:,} were answered wrongly."
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
            f"The same held-out images have judged {versions} too. The more they choose among, the more the accuracy "
            f"of what is chosen flatters; test accuracy was measured once and chose nothing."
        )


def _unmeasured(facts: Facts) -> Iterator[str]:
    if facts.version.evidence.latency is None:
        yield "Latency was not measured when it was registered."
    yield (
        "No figure here is broken down by anything but class: whether it does worse for some people, places or devices "
        "was not measured. Robustness to noise, blur or inputs made to deceive it was not either."
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 10} others" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
