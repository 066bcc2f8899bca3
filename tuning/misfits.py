"""Which configs do not fit the constraints of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.config import Kind, RunConfig
from training.splits import Splits
from tuning.parts import Constraints


@dataclass(frozen=True)
class Misfits:
    """Says of a config why it is skipped, if it is; it needs no more of the data than its form."""

    constraints: Constraints
    shape: tuple[int, ...]
    kind: Kind
    classes: Sequence[str]

    @classmethod
    def of(cls, constraints: Constraints, splits: Splits) -> "Misfits":
        return cls(constraints, splits.train.shape, splits.kind, splits.classes)

    def __call__(self, config: RunConfig) -> str | None:
        most = self.constraints.parameters
        if most is None or (count := self.parameters(config)) <= most:
            return None
        return f"has {count:,} parameters, and constraints.parameters is {most:,}"

    def parameters(self, config: RunConfig) -> int:
        """How many weights the network of a config has."""
        import torch  # slow to import, and the writer of a sweep without constraints needs none of it

        from training import models, objectives
        from training.models import Denormalize, Normalize

        channels = 1 if len(self.shape) == 2 else self.shape[-1]
        last = Denormalize(0.0, 1.0) if self.kind == "regression" else None
        outputs = objectives.outputs(self.kind, self.classes)
        normalize = Normalize(torch.zeros(channels), torch.ones(channels))
        network = models.build(config.model, self.shape, outputs, normalize, last)
        return sum(weight.numel() for weight in network.parameters())
