"""The final figures of a study's run: the scores of its best weights after training."""

import math

from training import evaluation, machine, measurement, objectives, resident
from training.config import LossConfig, RunConfig
from training.network import restored
from training.resident import Resident
from training.splits import Splits


def figures(config: RunConfig, splits: Splits, weights: bytes) -> dict[str, float]:
    """The scores of weights on the test split (`test_…`), and on the training split without dropout (`fit_…`).

    Empty if there is no test split: only trials of a study, a sweep that promotes nothing, are given one. Figures that
    are undefined for the kind of target are left out.
    """
    if not len(splits.test):
        return {}
    device = resident.device(config, splits)
    loss = objectives.loss(LossConfig(name=config.loss.name), splits.kind)
    with machine.using(machine.threads(config)):
        network = restored(config, splits, weights).to(device)
        temperature = evaluation.temperature(network, splits.validation, splits.kind)
        test = evaluation.of(network, splits.test, splits.kind, temperature).figures()
        parts = {
            name: measurement.measure(network, Resident(split, device), splits.kind, loss, config.model)
            for name, split in (("test", splits.test), ("fit", splits.train))
        }
    measured = {f"test_{name}": value for name, value in test.items()} | {"test_loss": parts["test"][0]}
    measured |= dict(zip(("fit_loss", "fit_accuracy"), parts["fit"], strict=True))
    return {name: value for name, value in measured.items() if not math.isnan(value)}
