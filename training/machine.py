"""The machine of a run: its device, its threads, and what to do if memory runs out."""

from collections.abc import Iterator
from contextlib import contextmanager

import joblib
import torch

from tailorbird.errors import InvalidInput
from training import models
from training.config import Device, RunConfig


def choose_device(wanted: Device, doubles: bool = False) -> torch.device:
    """The device to train on; raises InvalidInput if it is not available, or lacks float64 although `doubles`."""
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
    """Whether the same steps give the same bits again; a GPU adds in any order unless told not to."""
    return device.type == "cpu" or torch.are_deterministic_algorithms_enabled()


def threads(config: RunConfig) -> int:
    """CPU threads of a run: with more than one, small matrix products get slower."""
    if config.threads:
        return config.threads
    # of the cores that this process may use: a container on a large node has only a few
    return int(joblib.cpu_count()) if models.convolves(config.model) else 1


@contextmanager
def using(threads: int) -> Iterator[None]:
    """Use `threads` CPU threads within; the number is process-wide, so the old one is restored."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed random numbers within, on the CPU and this device; the generators' states are restored afterwards."""
    devices = [device.index or 0] if device and device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def of_memory(error: RuntimeError, batch: int) -> Exception:
    """An error that says what to do if a batch exhausted the memory; any other error is returned unchanged."""
    if not is_memory(error):
        return error
    if batch == 1:
        return InvalidInput("model", "does not fit into memory with a single example; make it, or data.size, smaller")
    return InvalidInput("batch_size", f"a batch of {batch} does not fit into memory; try {batch // 2}")


def is_memory(error: Exception) -> bool:
    """Whether memory ran out: a class of its own on a GPU, only a message on a CPU."""
    return isinstance(error, RuntimeError) and (
        isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
    )
