"""A model with two versions, the labels that come for it, and counters as an endpoint has them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from registry import aliases, feedback, schema
from registry.core import Registry
from registry.feedback import Feedback
from registry.requests import Promotion
from tailorbird import bins
from tailorbird.settings import Settings
from tailorbird.watch.counters import Counters
from tests import packages

GOOD = ((95, 3, 2), (2, 95, 3), (3, 2, 95))
BINS = {name: {"0.9": {"count": 100, "correct": 95}} for name in packages.CLASSES}


class Traffic:
    """Sends predictions and labels without a server: what a source reads, and rows of feedback."""

    def __init__(self, registry):
        self.registry = registry
        self.sent = 0
        self.counts = np.zeros((3, len(bins.LABELS)))
        self.mix_steady = None
        self.received = None  # when labels come, if not now

    def label(self, version, right, wrong, model="pets"):
        true = np.random.default_rng(0).permutation([0] * right + [1] * wrong)
        self.keep(model, version, true, np.zeros_like(true), np.full_like(true, bins.LABELS.index("0.9")))

    def keep(self, model, version, true, predicted, place):
        """Labels for predictions, by their index, of one model's version."""
        rows = []
        for label, answer, confidence in zip(true, predicted, place, strict=True):
            self.sent += 1
            cell = packages.CLASSES[answer], bins.LABELS[confidence], packages.CLASSES[label]
            rows.append(Feedback(f"{self.sent:032x}", model, version, *cell, schema.now()))
        feedback.record(self.registry, rows)
        if self.received is not None:
            table, receipts = schema.feedback, [row.receipt for row in rows]
            received = schema.timestamp(self.received)
            with self.registry.atomic() as connection:
                connection.execute(table.update().where(table.c.receipt.in_(receipts)).values(received=received))

    def predict(self, count):
        self.counts[:, bins.LABELS.index("0.9")] += count / 3

    def read(self, model, version, classes, minutes):
        return Counters(self.counts, self.mix_steady)


@pytest.fixture
def settings(tmp_path):
    return Settings(_env_file=None, home=tmp_path / "home")


@pytest.fixture
def registry(settings):
    with Registry(settings) as opened:
        for _ in range(2):
            packages.register(opened, confusion=GOOD, bins=BINS)
        for number in (1, 2):
            aliases.promote(opened, Promotion("pets", number, why="a test", who="ada", force=True))
        yield opened


@pytest.fixture
def traffic(registry):
    return Traffic(registry)


@pytest.fixture
def later(traffic):
    """A time after every cool-down, when labels come."""
    traffic.received = datetime.now(UTC) + timedelta(minutes=90)
    return traffic.received
