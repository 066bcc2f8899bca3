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


def limits(found: Facts) -> list[Inline]:
    """A sentence or two for each, the most telling first."""
    return [
        *_weakest(found),
        *_unseen(found),
        *_confidence(found),
        *_few(found.contents.by_class),
        *_splits(found),
        *_worn(found),
        *_unmeasured(found),
    ]


def _weakest(found: Facts) -> Iterator[str]:
    known = [one for one in found.contents.by_class if one.support and one.right < one.support]
    for one in sorted(known, key=lambda one: one.right / one.support)[:WEAKEST]:
        low, high = interval(one.right, one.support)
        said = (
            f"Of class {one.name}, {one.right:,} of {one.support:,} held-out images are recognised "
            f"({one.right / one.support:.1%}, 95% interval {low:.1%} to {high:.1%})"
        )
        if one.mistaken:
            name, times = one.mistaken
            said += f"; {times:,} are taken for {name}"
        yield said + "."
    if missing := [one.name for one in found.contents.by_class if not one.support]:
        yield f"No held-out image was of {_listed(missing)}: how such images are answered is not known."
    if never := [one.name for one in found.contents.by_class if one.support and not one.predicted]:
        yield f"No held-out image was answered with {_listed(never)}."


def _unseen(found: Facts) -> Iterator[str]:
    thing, data = found.contents.signature.thing, found.version.lineage.data
    name = data.name if data else None
    yield (
        f"Every {thing} gets one of these {len(found.contents.classes)} classes, also one that shows none of them: "
        f"the probabilities add up to 1 over these classes alone."
    )
    origin = f"the data set {name}" if name else "its training data"
    if backbone := found.version.lineage.backbone:
        images = backbone.images or "images that were not recorded"
        yield f"Its backbone had been trained on {images}; what is one-sided in these, it may have taken over."
    yield (
        f"{'Apart from that, it' if backbone else 'It'} was trained and measured on {thing}s of {origin} alone. How it "
        f"does on others (another source, camera, "
        f"population or time) was not measured."
    )
    if thing == "image":
        yield (
            f"Images of other sizes and colour modes are brought to {found.contents.signature.input} before they are "
            f"judged; what is lost on the way was not measured."
        )


def _confidence(found: Facts) -> Iterator[str]:
    error, accuracy = found.contents.baseline.calibration_error, found.version.evidence.accuracy
    if error is None:
        yield "Calibration was not measured: confidence must not be read as a probability of being right."
    elif error > OFF:
        mean = found.confidence
        way = "" if mean is None else f"; on average it is {'over' if mean > accuracy else 'under'}confident"
        yield (
            f"Confidence must not be read as a probability: it is off by {100 * error:.1f} points on average "
            f"(expected calibration error){way}."
        )
    sure = [one for one in found.contents.bins if one.low >= SURE]
    wrong = sum(one.count - one.correct for one in sure)
    if wrong:
        yield (
            f"It can be wrong and sure of it: of the {sum(one.count for one in sure):,} held-out images that it "
            f"answered with a confidence of {SURE} or more, {wrong:,} were answered wrongly."
        )


def _few(by_class: tuple[ByClass, ...]) -> Iterator[str]:
    wide = [(high - low, one) for one in by_class if one.support for low, high in [interval(one.right, one.support)]]
    wide = [(width, one) for width, one in wide if width > WIDE]
    if wide:
        _, worst = max(wide, key=lambda pair: pair[0])
        low, high = interval(worst.right, worst.support)
        yield (
            f"Few images: for {len(wide)} of {len(by_class)} classes the recall is known only to within an interval "
            f"of more than {100 * WIDE:.0f} points (widest: {worst.name}, {worst.support:,} images, "
            f"{low:.1%} to {high:.1%}). Differences between such classes mean little."
        )


def _splits(found: Facts) -> Iterator[str]:
    held, test = found.version.evidence, found.version.evidence.test
    accuracy, samples, tested, tests = held.accuracy, held.samples, test.accuracy, test.samples
    if not (samples and tests):
        return
    error = math.sqrt(accuracy * (1 - accuracy) / samples + tested * (1 - tested) / tests)
    if accuracy - tested > 2 * error:
        yield (
            f"Test accuracy is {100 * (accuracy - tested):.2f} points under held-out accuracy, more than chance "
            f"explains: expect the lower figure."
        )


def _worn(found: Facts) -> Iterator[str]:
    if others := found.record.judged_others:
        versions = "another version" if others == 1 else f"{others:,} other versions"
        yield (
            f"The same held-out images have judged {versions} too. The more they choose among, the more the accuracy "
            f"of what is chosen flatters; test accuracy was measured once and chose nothing."
        )


def _unmeasured(found: Facts) -> Iterator[str]:
    if found.version.evidence.latency is None:
        yield "Latency was not measured when it was registered."
    yield (
        "No figure here is broken down by anything but class: whether it does worse for some people, places or devices "
        "was not measured. Robustness to noise, blur or inputs made to deceive it was not either."
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 10} others" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
