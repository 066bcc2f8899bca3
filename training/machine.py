"""The machine that a run is on: its device, its threads, and its memory where that runs out."""

from collections.abc import Iterator
from contextlib import contextmanager

import joblib
import torch

from tailorbird.errors import InvalidInput
from training import models
from training.config import Device, RunConfig


def choose_device(wanted: Device, doubles: bool = False) -> torch.device:
    """The device to train on; raises InvalidInput where the wanted one is not here, or has no `doubles` if it must."""
    mps = torch.backends.mps.is_available()
    if doubles and mps and wanted == "mps":
        raise InvalidInput("device", "mps has no float64, which normalisation requires; accepted: auto, cpu")
    available = {"cuda": torch.cuda.is_available(), "mps": mps and not doubles, "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, present in available.items() if present))
    if not available[wanted]:
        accepted = ", ".join(["auto", *(name for name, present in available.items() if present)])
        raise InvalidInput("device", f"{wanted} is not available here; accepted: {accepted}")
    return torch.device(wanted)


def is_exact(device: torch.device) -> bool:
    """Whether the same steps give the same bits again; a GPU adds in any order, unless PyTorch is told to keep one."""
    return device.type == "cpu" or torch.are_deterministic_algorithms_enabled()


def threads(config: RunConfig) -> int:
    """CPU threads of a run: small matrix products get slower by more than one."""
    if config.threads:
        return config.threads
    # those that this process may use: a container on a large node has a few of its cores
    return int(joblib.cpu_count()) if models.convolves(config.model) else 1


@contextmanager
def using(threads: int) -> Iterator[None]:
    """So many CPU threads within; they are the whole process's, so what it had before comes back."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Random numbers by a seed within, on the CPU and this device; what else the process draws is not changed."""
    devices = [device.index or 0] if device and device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def of_memory(error: RuntimeError, batch: int) -> Exception:
    """What to do about memory that is used up by a batch; the error itself where it is another one."""
    if not is_memory(error):
        return error
    if batch == 1:
        return InvalidInput("model", "does not fit into memory with a single example; make it, or data.size, smaller")
    return InvalidInput("batch_size", f"a batch of {batch} does not fit into memory; try {batch // 2}")


def is_memory(error: Exception) -> bool:
    """Whether memory ran out: told by a class on a GPU, and in words on a CPU."""
    return isinstance(error, RuntimeError) and (
        isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
    )
