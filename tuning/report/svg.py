"""Drawings of many lines and points as SVG: small, sharp at every width, legible on light and dark backgrounds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 40
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#555}.grid{stroke:#8884;fill:none}.line{fill:none;stroke-width:1.2}"
    ".good{stroke:#2563a8}.rest{stroke:#8886}.bad{stroke:#c0392b}.rung{stroke:#b8860b;stroke-dasharray:4 4}"
    ".resume{stroke:#8e44ad;stroke-dasharray:3 3}.failed{stroke:#c0392b;stroke-width:1.8}"
    ".dots{fill:none;stroke-linecap:round}.dots.rest{stroke:#888b}"
    "@media(prefers-color-scheme:dark){text{fill:#bbb}.good{stroke:#7fb3ea}}"
)

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """A range of values mapped to pixels, from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(cls, values: Iterable[float], start: float, end: float, *, log: bool = False) -> "Axis":
        """An axis that fits all of these; logarithmic only if all are positive."""
        known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
        low, high = min(known), max(known)
        log = log and low > 0
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
        return cls(low, high, start, end, log)

    def at(self, value: float) -> float:
        """The position of a value, in pixels."""
        low, high, position = (math.log(number) if self.log else number for number in (self.low, self.high, value))
        return self.start + (position - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Some round values within the range."""
        if self.log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [10.0**power for power in powers] or [self.low, self.high]
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [position * step for position in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass
class Drawing:
    """A drawing of WIDTH by `height` pixels."""

    height: float = HEIGHT
    parts: list[str] = field(default_factory=list)

    def line(self, points: Points, kind: str = "good") -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline class="line {kind}" points="{path}"/>')

    def lines(self, many: Iterable[Points], kind: str = "good") -> None:
        """Many lines of a kind as one path, which takes little room."""
        path = "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) for points in many)
        self.parts.append(f'<path class="line {kind}" d="{path}"/>')

    def dots(self, points: Points, kind: str = "good", radius: float = 2) -> None:
        """Many dots of a kind, as strokes without length."""
        path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
        self.parts.append(f'<path class="dots {kind}" stroke-width="{2 * radius:g}" d="{path}"/>')

    def text(self, x: float, y: float, words: str, anchor: str = "middle") -> None:
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>')

    def frame(self, across: Axis, up: Axis, names: tuple[str, str]) -> None:
        """Both axes with their ticks and names."""
        for value in up.ticks():
            self.line([(across.start, up.at(value)), (across.end, up.at(value))], "grid")
            self.text(across.start - 6, up.at(value) + 4, f"{value:g}", "end")
        for value in across.ticks():
            self.text(across.at(value), up.start + 16, f"{value:g}")
        self.text((across.start + across.end) / 2, up.start + 33, names[0])
        self.text(across.start - 6, up.end - 2, names[1], "start")

    def svg(self) -> str:
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height:g}"><style>{STYLE}</style>'
        return head + "".join(self.parts) + "</svg>"


def axes(across: Iterable[float], up: Iterable[float], *, log: bool = False) -> tuple[Axis, Axis]:
    """Axes over the whole of a drawing, the second from below."""
    return Axis.over(across, LEFT, WIDTH - RIGHT, log=log), Axis.over(up, HEIGHT - BOTTOM, TOP + 10)
