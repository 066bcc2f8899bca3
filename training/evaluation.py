"""Evaluation of a trained model on a split: its outputs, its temperature, and the scores for its kind of target."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tailorbird.errors import InvalidInput
from tailorbird.package.baseline import Baseline, Score
from training import calibration, objectives
from training.arrays import as_tensor, widened
from training.config import Kind
from training.datasets import Targets
from training.scores import Binary, Classification, Evaluation, Floats, Multilabel, Regression
from training.splits import Split


def of(network: nn.Module, split: Split, kind: Kind, temperature: float = 1.0) -> Evaluation:
    """The scores of a network on a non-empty split, computed in batches on the network's device, in fp32."""
    return answered(logits(network, split), split.targets, kind, temperature)


def answered(logits: Floats, targets: Targets, kind: Kind, temperature: float = 1.0) -> Evaluation:
    """The scores of outputs [N, outputs], with probabilities in double precision."""
    precise = logits.astype(np.float64)
    match kind:
        case "regression":
            return Regression(targets, logits)
        case "multilabel":
            return Multilabel(
                targets, _probabilities(kind, precise, temperature), uncalibrated=_probabilities(kind, precise)
            )
        case _:
            return classification(kind, targets, precise, _probabilities(kind, precise, temperature))


def classification(kind: Kind, targets: Targets, logits: Floats, probabilities: Floats) -> Classification:
    """The scores of an export's outputs [N, outputs] and calibrated probabilities [N, classes]."""
    return (Binary if kind == "binary" else Classification)(targets, probabilities, _probabilities(kind, logits))


def _probabilities(kind: Kind, logits: Floats, temperature: float = 1.0) -> Floats:
    probabilities: Floats = objectives.probabilities(kind, torch.from_numpy(logits), temperature).numpy()
    return probabilities


def temperature(network: nn.Module, validation: Split, kind: Kind) -> float:
    """The temperature of a network, fitted on validation; 1 without a validation split."""
    if not len(validation):
        return 1.0
    return calibration.temperature(logits(network, validation), validation.targets, kind)


def logits(network: nn.Module, split: Split) -> Floats:
    """The network's outputs [N, outputs] in evaluation mode for a non-empty split, computed on the network's device."""
    device = next(network.parameters()).device
    training = network.training
    network.eval()

    def answers(batch: Tensor) -> Tensor:
        outputs: Tensor = network(batch.to(device))
        return widened(outputs).cpu()

    with torch.inference_mode(), torch.autocast(device.type, enabled=False):
        batches = [answers(as_tensor(batch)) for batch in split.batches(split.together)]
    network.train(training)
    return torch.cat(batches).numpy()


def baseline(holdout: Classification, test: Classification, classes: Sequence[str]) -> Baseline:
    """Everything is measured on the held-out split, except `test`; raises InvalidInput if an answer is not finite."""
    for name, evaluated in (("held-out", holdout), ("test", test)):
        if wrong := int((~np.isfinite(evaluated.probabilities)).any(1).sum()):
            problem = f"gives {wrong} of {len(evaluated)} {name} examples probabilities that are NaN or infinite"
            raise InvalidInput("model", f"{problem}; lower optimizer.lr, or check the data for such values")
    return Baseline(
        accuracy=holdout.accuracy,
        standard_error=holdout.standard_error,
        samples=len(holdout),
        nll=holdout.nll,
        nll_uncalibrated=holdout.nll_uncalibrated,
        calibration_error=holdout.calibration_error,
        confusion=holdout.confusion().tolist(),
        bins=holdout.bins(classes),
        test=Score(accuracy=test.accuracy, samples=len(test)),
    )
