"""Configs that do not fit the constraints of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.config import Kind, RunConfig
from training.splits import Splits
from tuning.parts import Constraints


@dataclass(frozen=True)
class Misfits:
    """Returns why a config is skipped, or None; of the data only shape and classes are needed."""

    constraints: Constraints
    shape: tuple[int, ...]
    kind: Kind
    classes: Sequence[str]

    @classmethod
    def of(cls, constraints: Constraints, splits: Splits) -> "Misfits":
        return cls(constraints, splits.train.shape, splits.kind, splits.classes)

    def __call__(self, config: RunConfig) -> str | None:
        most = self.constraints.parameters
        if most is None or (count := parameters(config, self.shape, self.kind, self.classes)) <= most:
            return None
        return f"has {count:,} parameters, and constraints.parameters is {most:,}"


def parameters(config: RunConfig, shape: tuple[int, ...], kind: Kind, classes: Sequence[str]) -> int:
    """The number of parameters of a config's network, for examples of this shape."""
    import torch  # slow to import, and the writer of a sweep without constraints does not need it

    from training import models, objectives
    from training.models import Denormalize, Normalize

    channels = 1 if len(shape) == 2 else shape[-1]
    last = Denormalize(0.0, 1.0) if kind == "regression" else None
    outputs = objectives.outputs(kind, classes)
    normalize = Normalize(torch.zeros(channels), torch.ones(channels))
    network = models.build(config.model, shape, outputs, normalize, last)
    return sum(weight.numel() for weight in network.parameters())
