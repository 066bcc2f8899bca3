"""Checkpoints, of weights alone or of all that a run goes on from: safetensors, which run no code when loaded."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from tailorbird.errors import Corrupt, InvalidInput
from training import config as configs
from training.loop import Epoch, Run
from training.splits import Splits

NOTHING = float("nan")


def encode(state: Mapping[str, Tensor]) -> bytes:
    return bytes(safetensors.torch.save({name: tensor.contiguous() for name, tensor in state.items()}))


def restore(network: nn.Module, data: bytes) -> None:
    """Load weights into a network of the same shape; raises Corrupt where they are not its weights."""
    try:
        network.load_state_dict(safetensors.torch.load(data))
    except (safetensors.SafetensorError, RuntimeError) as error:
        raise Corrupt(f"the checkpoint does not fit its config: {error}") from None


def interrupted(run: Run, splits: Splits) -> bytes:
    """All that a run goes on from: weights, their mean, the optimiser's state, random numbers, and its history."""
    parts: dict[str, Mapping[str, Tensor]] = {"network": run.network.state_dict(), "best": run.best_state}
    if run.averaged:
        parts["averaged"] = run.averaged.state_dict()
    for index, state in run.optimizer.state_dict()["state"].items():
        parts[f"optimizer.{index}"] = {name: value for name, value in state.items() if value is not None}
    named = {f"{part}/{name}": value for part, state in parts.items() for name, value in state.items()}
    tensors = {name: value.clone(memory_format=torch.contiguous_format) for name, value in named.items()}  # may be tied
    tensors["random"] = run.random.get_state()
    history = [{"epoch": one.epoch, **one.metrics()} for one in run.epochs]
    return bytes(safetensors.torch.save(tensors, {"run": identity(run, splits), "epochs": json.dumps(history)}))


def resume(run: Run, splits: Splits, data: bytes) -> None:
    """Bring a fresh run to where `interrupted` was called.

    Raises InvalidInput where that was another run, and Corrupt where it is no such checkpoint.
    """
    try:
        tensors, said = safetensors.torch.load(data), _metadata(data)
        history = [epoch(**one) for one in json.loads(said["epochs"])]
        if said["run"] != identity(run, splits):
            raise InvalidInput("--resume", "what was interrupted had another config or other data; train anew")
        _restore(run, tensors)
    except (safetensors.SafetensorError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise Corrupt(f"the checkpoint of the interrupted run cannot be read: {error}") from None
    for one in history:
        run.enter(one)


def epoch(**figures: Any) -> Epoch:
    """An epoch from figures by name, where those that were not measured are missing, and others may be."""
    return Epoch(**{name: figures.get(name, NOTHING) for name in Epoch.__dataclass_fields__})


def identity(run: Run, splits: Splits) -> str:
    """What must be the same for a run to go on: all that determines its weights, and the order of its examples."""
    total = hashlib.sha256(configs.digest(run.config).encode())
    for split in (splits.train, splits.validation):
        total.update(split.ids.tobytes() + split.targets.tobytes())
    return total.hexdigest()


def _restore(run: Run, tensors: Mapping[str, Tensor]) -> None:
    run.network.load_state_dict(_part(tensors, "network"))
    run.best_state = _part(tensors, "best")
    if run.averaged:
        run.averaged.load_state_dict(_part(tensors, "averaged"))
    weights = list(run.network.parameters())
    state = {index: _laid_out(_part(tensors, f"optimizer.{index}"), weights[index]) for index in _numbers(tensors)}
    run.optimizer.load_state_dict({"state": state, "param_groups": run.optimizer.state_dict()["param_groups"]})
    run.random.set_state(tensors["random"])


def _laid_out(state: Mapping[str, Tensor], weight: Tensor) -> dict[str, Tensor]:
    """An optimiser's state in the memory layout of its weight, which fused optimisers take for granted."""
    return {
        name: torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
        for name, value in state.items()
    }


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}/"): value for name, value in tensors.items() if name.startswith(f"{part}/")}


def _numbers(names: Iterable[str]) -> list[int]:
    return sorted({int(name.split("/")[0].split(".")[1]) for name in names if name.startswith("optimizer.")})


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + length])["__metadata__"])
