"""The final figures of a study's run: the scores of its best weights after training."""

import math

from training import evaluation, machine, measurement, objectives, resident
from training.arrays import as_tensor
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
        outputs, targets = evaluation.logits(network, splits.test), splits.test.targets
        fit = measurement.measure(network, Resident(splits.train, device), splits.kind, loss, config.model)
    test = evaluation.answered(outputs, targets, splits.kind, temperature).figures()
    measured = {f"test_{name}": value for name, value in test.items()}
    measured |= {"test_loss": loss(as_tensor(outputs), as_tensor(targets)).item()}
    measured |= dict(zip(("fit_loss", "fit_accuracy"), fit, strict=True))
    return {name: value for name, value in measured.items() if not math.isnan(value)}
