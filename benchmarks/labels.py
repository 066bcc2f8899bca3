"""How soon labels prove that a model fails more often, and how often they do so falsely: part of `benchmarks.drift`."""

import numpy as np
from numpy.typing import NDArray

from tailorbird.drift import change

Floats = NDArray[np.float64]
CUSUM = {0.02: (218, 461, 81), 0.05: (349, 728, 126), 0.09: (493, 1024, 176), 0.12: (584, 1215, 208)}
"""By base error: median and p90 delay of a CUSUM designed for +5 points, and its median for +10."""


def of_delays(streams: int) -> dict[str, list[float]]:
    """Figure 3: delays of the e-detector, in labels, with a baseline that is 0.7 points wrong."""
    figures = {}
    for error, (median, p90, twice) in CUSUM.items():
        five, ten = (_delays(error, shift, streams) for shift in (0.05, 0.10))
        figures[f"labels to +5 points at error {error:.0%}"] = [float(np.median(five))]
        figures[f"labels to +5 points at error {error:.0%}, p90"] = [float(np.quantile(five, 0.9))]
        figures[f"labels to +10 points at error {error:.0%}"] = [float(np.median(ten))]
        figures[f"CUSUM's at error {error:.0%}: +5, p90, +10"] = [float(median), float(p90), float(twice)]
    return figures


def _delays(error: float, shift: float, streams: int) -> Floats:
    random = np.random.default_rng(0)
    statistics, first, true = change.start(streams), np.zeros(streams), error + 0.007
    for _ in range(500):
        statistics = change.step(statistics, random.random(streams) < true, error)
    label = 0
    while not first.all():
        label += 1
        statistics = change.step(statistics, random.random(streams) < true + shift, error)
        first[(change.evidence(statistics) >= change.THRESHOLD) & (first == 0)] = label
    return first


def of_false_alarms(labels: int) -> dict[str, list[float]]:
    """How often the e-detector alarms of 100,000 labels with a baseline that is 0.7 points wrong."""
    random, streams, alarms = np.random.default_rng(1), 500, 0
    statistics = change.start(streams)
    for _ in range(labels // streams):
        statistics = change.step(statistics, random.random(streams) < 0.05 + 0.007, 0.05)
        alarmed = change.evidence(statistics) >= change.THRESHOLD
        alarms += int(alarmed.sum())
        statistics[alarmed] = 0
    return {"false alarms of 100,000 labels": [1e5 * alarms / labels]}
