"""The state of training: weights, their running mean, the optimiser's state, and the random generators."""

import copy
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from training import optimization
from training.config import CustomConfig, RunConfig

RISE = 9
"""The updates after which the decay of a running mean reaches a half, so that it forgets the first weights.
"""

WHOLE = 1.0
"""The decay that stands for polynomial averaging, which weighs the n-th update by n^8 (Shamir & Zhang 2013)."""


class State:
    """Everything but its history that a run needs to resume; the same state and data give the same weights."""

    def __init__(self, network: nn.Module, config: RunConfig, compared: bool = False) -> None:
        """`compared` keeps a running mean beside the weights, by which runs with a decaying rate are compared."""
        self.network = network
        self.mean = Mean(network, config.ema) if config.ema else None
        self.running = Mean(network, WHOLE) if compared and _reads_low(config) else None
        self.optimizer = optimization.optimizer(network, config.optimizer)
        self._step: Callable[[], None] = self.optimizer.step
        self.random = torch.Generator().manual_seed(config.seed)

    @property
    def kept(self) -> nn.Module:
        """The network that is measured and kept: the running mean of the weights, if there is one."""
        return self.mean.network if self.mean else self.network

    def update(self) -> None:
        """One step of the optimiser with the current gradients."""
        self._step()
        for mean in (self.mean, self.running):
            if mean:
                mean.update()

    def rebind(self) -> None:
        """Point running means to weights that were moved in memory; weights and gradients stay there from now on."""
        self._step = optimization.Settled(self.optimizer)
        for mean in (self.mean, self.running):
            if mean:
                mean.rebind(self.network)

    def tensors(self) -> dict[str, Tensor]:
        """Copies of everything, by name."""
        parts: dict[str, Mapping[str, Tensor]] = {"network": self.network.state_dict()}
        if self.mean:
            parts["mean"] = self.mean.tensors()
        if self.running:
            parts["running"] = self.running.tensors()
        for index, state in self.optimizer.state_dict()["state"].items():
            parts[f"optimizer.{index}"] = {name: value for name, value in state.items() if value is not None}
        named = {f"{part}/{name}": value for part, state in parts.items() for name, value in state.items()}
        # tied weights become separate copies, which safetensors requires
        tensors = {name: value.clone(memory_format=torch.contiguous_format) for name, value in named.items()}
        return {**tensors, "random": self.random.get_state()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state that `tensors` returned; raises LookupError or RuntimeError if it does not fit."""
        self.network.load_state_dict(part(tensors, "network"))
        if self.mean:
            self.mean.restore(part(tensors, "mean"))
        if self.running:
            self.running.restore(part(tensors, "running"))
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        state = {index: _laid_out(part(tensors, f"optimizer.{index}"), weights[index]) for index in _numbers(tensors)}
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.random.set_state(tensors["random"])


class Mean:
    """An exponential running mean of a network's weights and buffers.

    Its decay rises with the number of updates, min(decay, n / (n + 9)), so that the first weights do not dominate a run
    that is short for its decay (as `ExponentialMovingAverage` of TensorFlow does with `num_updates`).
    """

    def __init__(self, of: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(of).requires_grad_(False)
        self._decay = decay
        self._updates = 0
        self.rebind(of)

    def rebind(self, of: nn.Module) -> None:
        """Point to the weights' new place in memory."""
        pairs = list(zip(self.network.state_dict().values(), of.state_dict().values(), strict=True))
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]  # batch norm's count of its updates

    @torch.no_grad()
    def update(self) -> None:
        """Update with the weights after a step."""
        share = 1 - min(self._decay, self._updates / (self._updates + RISE))
        self._updates += 1
        torch._foreach_lerp_([mean for mean, _ in self._floats], [weight for _, weight in self._floats], share)
        for mean, count in self._counts:
            mean.copy_(count)

    def tensors(self) -> dict[str, Tensor]:
        return {**self.network.state_dict(), "updates": torch.tensor(self._updates)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        self._updates = int(tensors["updates"])
        self.network.load_state_dict({name: tensor for name, tensor in tensors.items() if name != "updates"})


def _reads_low(config: RunConfig) -> bool:
    """Whether the schedule decays the rate, so that weights before its end score worse than they will."""
    decays = config.schedule.name in ("one_cycle", "cosine") and config.epochs > 1
    return decays and config.ema is None and not isinstance(config.model, CustomConfig)  # some cannot be copied


def part(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of one part, by their names in it."""
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}


def _laid_out(state: Mapping[str, Tensor], weight: Tensor) -> dict[str, Tensor]:
    """An optimiser's state in the memory layout of its weight, which fused optimisers assume."""
    return {
        name: torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
        for name, value in state.items()
    }


def _numbers(names: Iterable[str]) -> list[int]:
    return sorted({int(name.split("/")[0].split(".")[1]) for name in names if name.startswith("optimizer.")})
