"""The difference of two versions: configuration, measurements, and which images each gets right."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from registry.cards import contents
from registry.cards.contents import Contents, flatten
from registry.core import Registry
from registry.version import Version


@dataclass(frozen=True)
class Pair:
    """A value of both versions; None if a version lacks it."""

    a: Any
    b: Any

    @property
    def difference(self) -> float | None:
        """b minus a, of numbers."""
        numbers = all(isinstance(side, int | float) and not isinstance(side, bool) for side in (self.a, self.b))
        return self.b - self.a if numbers else None

    def record(self) -> dict[str, Any]:
        known = {} if self.difference is None else {"difference": self.difference}
        return {"a": self.a, "b": self.b, **known}


@dataclass(frozen=True)
class Images:
    """The held-out images that both versions were judged on, of `of` in the smaller split.

    `difference` is that of the accuracies on them, b minus a, `interval` its bounds, each at 95% confidence; `p` is the
    p-value of the better one's lead (exact McNemar, one-sided).
    """

    shared: int
    of: int
    both_right: int
    only_a: int
    only_b: int
    both_wrong: int
    difference: float
    interval: tuple[float, float]
    p: float


@dataclass(frozen=True)
class Diff:
    """The differences of `config`, `environment` and `data`, and all measurements.

    `images` is a sentence if the two cannot be compared image by image.
    """

    a: str
    b: str
    config: dict[str, Pair]
    environment: dict[str, Pair]
    data: dict[str, Pair]
    classes: Pair
    metrics: dict[str, Pair]
    by_class: dict[str, dict[str, Pair]]
    sizes: dict[str, Pair]
    images: Images | str

    def record(self) -> dict[str, Any]:
        parts = ("config", "environment", "data", "metrics", "sizes")
        return {
            "a": self.a,
            "b": self.b,
            **{part: _records(getattr(self, part)) for part in parts},
            "classes": self.classes.record(),
            "by_class": {name: _records(pairs) for name, pairs in self.by_class.items()},
            "images": {"problem": self.images} if isinstance(self.images, str) else asdict(self.images),
        }


def between(registry: Registry, a: Version, b: Version) -> Diff:
    """Compare two versions, of one model or of two; raises Corrupt if one of their files cannot be read."""
    first, second = contents.read(registry, a), contents.read(registry, b)
    return Diff(
        a=str(a),
        b=str(b),
        config=_differing(dict(flatten(first.config)), dict(flatten(second.config))),
        environment=_differing(_environment(first), _environment(second)),
        data=_differing(_data(a), _data(b)),
        classes=Pair(list(first.classes), list(second.classes)),
        metrics=_paired(dict(_metrics(a)), dict(_metrics(b))),
        by_class=_by_class(first, second),
        sizes=_paired(first.sizes, second.sizes),
        images=_images(first, second),
    )


def _records(pairs: Mapping[str, Pair]) -> dict[str, Any]:
    return {name: pair.record() for name, pair in pairs.items()}


def _paired(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Pair]:
    """Keys in the order of a, then those only in b."""
    return {name: Pair(a.get(name), b.get(name)) for name in {**a, **b}}


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Pair]:
    return {name: pair for name, pair in _paired(a, b).items() if pair.a != pair.b}


def _data(version: Version) -> dict[str, Any]:
    return dict(flatten(version.lineage.record().get("data") or {}))


def _environment(contents: Contents) -> dict[str, str]:
    """Lines are `package==version` or `name: text`."""
    lines = (line.replace(": ", "==", 1).partition("==") for line in contents.environment if line.strip())
    return {name: value for name, _, value in lines}


def _metrics(version: Version) -> Iterator[tuple[str, float | None]]:
    figures = version.evidence
    yield "held_out_accuracy", figures.accuracy
    yield "held_out_standard_error", figures.standard_error
    yield "held_out_samples", figures.samples
    yield "test_accuracy", figures.test.accuracy
    yield "test_samples", figures.test.samples
    yield "calibration_error", figures.calibration_error
    yield "parity_agreement", figures.parity.agreement
    yield "parity_max_difference", figures.parity.max_difference
    yield "latency_p50_ms", figures.latency.p50_ms if figures.latency else None
    yield "latency_p99_ms", figures.latency.p99_ms if figures.latency else None


def _by_class(a: Contents, b: Contents) -> dict[str, dict[str, Pair]]:
    of_a, of_b = ({row.name: row for row in contents.by_class} for contents in (a, b))
    return {
        name: {
            part: Pair(*(getattr(of.get(name), part, None) for of in (of_a, of_b))) for part in ("recall", "precision")
        }
        for name in {**of_a, **of_b}
    }


def _images(a: Contents, b: Contents) -> Images | str:
    from registry import paired

    joined = paired.shared(b.evidence, a.evidence)
    if not joined:
        return "they were judged on different images"
    overall = joined.overall()
    return Images(
        shared=len(joined),
        of=joined.of,
        both_right=overall.both,
        only_a=overall.lost,
        only_b=overall.gained,
        both_wrong=overall.neither,
        difference=overall.difference,
        interval=overall.interval(),
        p=min(overall.p_better(), overall.p_worse()),
    )
