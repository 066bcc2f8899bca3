"""The memory that tuning a backbone takes, estimated in advance: a process killed by the system reports nothing."""

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from tailorbird.errors import InvalidInput
from training import machine, models, precision, resident
from training.config import PretrainedConfig, RunConfig
from training.models import Normalize
from training.splits import Splits

COPIES = 4
"""Copies of each trained weight: itself, its gradient, and Adam's two moments."""
BESIDE = 1.25
"""Gradients of activations and buffers of convolutions, relative to what is saved for the backward pass."""
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def check(config: RunConfig, splits: Splits, together: int = 1) -> None:
    """Raise InvalidInput if a tuned backbone takes more than is free here, with the batch size to try.

    `together` runs share the memory.
    """
    if not isinstance(config.model, PretrainedConfig) or config.model.tune == "head":
        return
    free = available(resident.device(config, splits))
    batch = len(splits.train) if config.batch_size == "full" else min(config.batch_size, len(splits.train))
    model = config.model.model_copy(update={"dropout": 0.0})  # the rate does not matter: one measurement for all
    fixed, each = needed(model, splits.train.shape, precision.settled(config, splits).precision == "bf16")
    if free is None or (total := fixed + batch * each) <= free // together:
        return
    message = f"takes about {total / 1e9:.1f} GB of memory, and {max(free, 0) / 1e9:.1f} GB are free"
    fewer = ""
    if together > 1:
        message += f" for {together} trials at a time"
        fewer = ", or fewer trials at a time by more of resources.cpus for each"
    if (fits := (free // together - fixed) // each) < 1:
        raise InvalidInput("model.tune", f"{config.model.tune} {message}; try head, or a smaller data.size{fewer}")
    what = f"tuning {config.model.backbone} in batches of {batch} {message}"
    raise InvalidInput("batch_size", f"{what}; try {fits}{fewer}")


def available(device: torch.device) -> int | None:
    """Bytes that this process may still allocate, by the machine and by its container; None if unknown."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    known = [_of_machine(), _of_container()]
    return min((limit for limit in known if limit is not None), default=None)


def _of_machine() -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, LookupError, ValueError):
        return None


def _of_container() -> int | None:
    """By the limit of its cgroup (v2), which is `max` if there is none; cached pages of files count as free."""
    try:
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        kinds = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        return limit - used + int(kinds["inactive_file"])
    except (OSError, LookupError, ValueError):
        return None


def needed(model: PretrainedConfig, shape: tuple[int, ...], half: bool) -> tuple[int, int]:
    """Bytes for weights, and for what a backward pass needs per example: measured with one example and with two."""
    return _tried(model.model_dump_json(), shape, half)  # a config with a list of widths is not hashable


@lru_cache
def _tried(model: str, shape: tuple[int, ...], half: bool) -> tuple[int, int]:
    network = models.build(PretrainedConfig.model_validate_json(model), shape, 2, Normalize.blank(shape)).train()
    weights = sum(weight.nbytes for weight in network.parameters())
    trained = sum(weight.nbytes for weight in network.parameters() if weight.requires_grad)
    first, second = (_saved(network, torch.zeros((count, *shape), dtype=torch.uint8), half) for count in (1, 2))
    each = max(1, second - first)
    return weights + (COPIES - 1) * trained + max(0, first - each), int(BESIDE * each)


def _saved(network: nn.Module, images: Tensor, half: bool) -> int:
    """Bytes that are saved for the backward pass, without weights."""
    theirs = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with (
        machine.seeded(0),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=half),
    ):
        outputs = network(images)  # kept alive, so that no address is used twice
    total = sum(tensor.untyped_storage().nbytes() for pointer, tensor in kept.items() if pointer not in theirs)
    del outputs
    return total
