"""A study of two runs by two seeds in the ledger, its weights really trained."""

import pytest

from registry.core import Registry
from registry.ledger import Report, Trial
from tests import sweeps
from training import checkpoint, datasets, evaluation, splits
from training.loop import Run
from training.network import restored
from tuning import spec as specs


@pytest.fixture
def study():
    """A study as plain data: two named runs with a reference, two seeds of each."""
    return {
        "name": "tiny",
        "data": {"name": "digits", "validation": 0.2, "holdout": 0},
        "run": {"model": {"family": "mlp", "width": [8]}, "batch_size": 64, "epochs": 2},
        "runs": [
            {"name": "narrow", "reference": {"test_accuracy": 0.5}},
            {"name": "wide", "model": {"width": [16]}, "reference": {"test_accuracy": 0.99}},
        ],
        "seeds": 2,
        "source": "made up",
    }


@pytest.fixture
def trial():
    """Makes a trial of a config with a report for each dict of figures; the last one's weights are kept."""

    def make(number, config, *reported, status="finished", kept=-1):
        reports = [Report(epoch, figures) for epoch, figures in enumerate(reported, 1)]
        if reports:
            stored = reports[kept]
            reports[kept] = Report(stored.epoch, stored.metrics, "digest")
        return Trial(number, config.model_dump(mode="json"), status, None, reports)

    return make


@pytest.fixture
def swept(settings):
    """Trains every trial of a spec as a sweep does, without Ray, and returns the id of its sweep."""

    def train(raw_spec, sweep="tiny-1"):
        spec = specs.parse(raw_spec)
        dealt = splits.split(datasets.load(spec.data, settings.data, settings.cache), spec.data)
        with Registry(settings) as registry:
            configs = [config.model_dump(mode="json") for config in spec.configs]
            sweeps.begin(registry, sweep, spec.model_dump(mode="json", exclude_none=True), configs, None, "ada")
            for number, config in enumerate(spec.configs, 1):
                run = Run(config, dealt, spec.objective)
                for made in run:
                    weights = checkpoint.encode(run.best_state) if made is run.best else None
                    figures = made.metrics() | (_final(run, dealt) if run.done and not spec.promote else {})
                    stored = None if weights is None else registry.blobs.put(weights)
                    sweeps.report(registry, sweep, number, Report(made.epoch, figures, stored))
                sweeps.set_trial(registry, sweep, number, "finished")
            sweeps.end(registry, sweep, "finished")
        return sweep

    return train


def _final(run, dealt):
    result = evaluation.of(restored(run.config, dealt, checkpoint.encode(run.best_state)), dealt.test, dealt.kind)
    return {f"test_{name}": value for name, value in result.figures().items()} | {"fit_accuracy": 0.9}
