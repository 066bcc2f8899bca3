from dataclasses import replace

import numpy as np
import pytest

from registry.core import Registry
from registry.ledger import Report, Trial
from tests import sweeps
from training import datasets, lanes, splits
from training.config import DataConfig, Objective, RunConfig
from training.features import Views
from tuning import finalists
from tuning import spec as specs
from tuning.outcome import Ranked, rank

DATA = DataConfig(name="digits", validation=0.2, holdout=0.2)
WIDTHS = (64, 48, 8)


@pytest.fixture(scope="module")
def dealt():
    return splits.split(datasets.load(DATA, None, None), DATA)


@pytest.fixture(scope="module")
def trained(dealt):
    """Trials of two good networks and of a bad one, with their weights."""
    changes = {"data": DATA.model_dump(), "optimizer": {"lr": 0.01}}
    configs = [
        RunConfig.model_validate({**changes, "model": {"family": "mlp", "width": width}, "epochs": epochs})
        for width, epochs in zip(WIDTHS, (8, 8, 1), strict=True)
    ]
    group = lanes.Lanes(configs, dealt, Objective())
    while group.active:
        group.step()
    return [(config, group.progress(lane).best, group.weights(lane)) for lane, config in enumerate(configs)]


@pytest.fixture
def ranked(settings, trained):
    """Enters the trials in a ledger, and ranks them; the lease and the registry come with them."""
    with Registry(settings) as registry:

        def enter():
            plain = [config.model_dump(mode="json") for config, _, _ in trained]
            lease = sweeps.begin(registry, "tiny-1", {}, plain)
            trials = []
            for number, (_, best, weights) in enumerate(trained, 1):
                report = Report(best.epoch, best.metrics(), registry.blobs.put(weights))
                trials.append(Trial(number, plain[number - 1], "finished", reports=[report]))
            return registry, lease, rank(trials, Objective())

        yield enter


@pytest.fixture
def spec(raw_spec):
    return specs.parse({**raw_spec, "confirm": {"top": 2, "seeds": 1}})


def test_the_smallest_of_those_that_are_as_good_as_the_best_is_taken(ranked, spec, dealt):
    registry, lease, result = ranked()
    choice = finalists.choose(registry, lease, result, spec, Views(dealt))
    assert choice.taken.trial.number == 2
    assert sorted(choice.ties) == [1, 2]
    assert choice.reason.endswith("chose trial 2, which has the fewest parameters, 5,962")
    with registry.reading() as connection:
        stored = connection.exec_driver_sql("SELECT answers FROM trials ORDER BY number").scalars().all()
    right = finalists.unpacked(registry.blobs.get(stored[2]))
    assert right.sum() / len(dealt.validation) == pytest.approx(result[-1].best.metrics["val_accuracy"])


def test_confirming_runs_decide_by_their_mean(ranked, spec, dealt):
    registry, lease, result = ranked()
    second = next(candidate.trial for candidate in result if candidate.trial.number == 2)
    result.append(Ranked(replace(second, number=4, config={**second.config, "seed": 1}, confirms=2), result[0].best))
    choice = finalists.choose(registry, lease, result, spec, Views(dealt))
    assert choice.taken.trial.number == 4 and choice.ties == (2,)
    assert choice.reason.startswith("by the mean val_accuracy of other seeds: ")


@pytest.mark.parametrize(
    ("better", "worse", "p"), [(0, 0, 1.0), (1, 1, 1.0), (6, 0, 0.03125), (5, 0, 0.0625), (10, 2, 0.03857421875)]
)
def test_the_test_is_mcnemars_exact_one(better, worse, p):
    first = np.array([True] * better + [False] * worse + [True, False])
    second = np.array([False] * better + [True] * worse + [True, False])
    assert finalists.p_value(first, second) == pytest.approx(p)
