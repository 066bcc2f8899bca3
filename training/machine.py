"""The machine that a run is on: its device, its threads, and its memory where that runs out."""

import joblib
import torch

from tailorbird.errors import InvalidInput
from training import models
from training.config import Device, RunConfig


def choose_device(wanted: Device, doubles: bool = False) -> torch.device:
    """The device to train on; raises InvalidInput where the wanted one is not here, or has no `doubles` if it must."""
    mps = torch.backends.mps.is_available()
    if doubles and mps and wanted == "mps":
        raise InvalidInput("device", "mps has no float64, which numbers are centred in; accepted: auto, cpu")
    here = {"cuda": torch.cuda.is_available(), "mps": mps and not doubles, "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, there in here.items() if there))
    if not here[wanted]:
        accepted = ", ".join(["auto", *(name for name, there in here.items() if there)])
        raise InvalidInput("device", f"{wanted} is not available here; accepted: {accepted}")
    return torch.device(wanted)


def threads(config: RunConfig) -> int:
    """CPU threads of a run: small matrix products get slower by more than one."""
    if config.threads:
        return config.threads
    # those that this process may use: a container on a large node has a few of its cores
    return int(joblib.cpu_count()) if models.convolves(config.model) else 1


def of_memory(error: RuntimeError, batch: int) -> Exception:
    """What to do about memory that is used up by a batch; the error itself where it is another one."""
    if not is_memory(error):
        return error
    if batch == 1:
        return InvalidInput("model", "does not fit into memory with a single example; make it, or data.size, smaller")
    return InvalidInput("batch_size", f"a batch of {batch} does not fit into memory; try {batch // 2}")


def is_memory(error: RuntimeError) -> bool:
    """Told by a class on a GPU, and in words on a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
