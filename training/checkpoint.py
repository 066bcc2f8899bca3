"""Checkpoints of weights alone, or of all that a run needs to continue: safetensors, which run no code when loaded."""

import json
from collections.abc import Mapping

import safetensors
import safetensors.torch
from torch import Tensor, nn

from tailorbird.errors import Corrupt


def encode(state: Mapping[str, Tensor]) -> bytes:
    return bytes(safetensors.torch.save({name: tensor.contiguous() for name, tensor in state.items()}))


def decode(data: bytes) -> dict[str, Tensor]:
    """Raises Corrupt where it is no checkpoint."""
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise Corrupt(f"the checkpoint cannot be read: {error}") from None
    return tensors


def restore(network: nn.Module, data: bytes) -> None:
    """Load weights into a network of the same shape; raises Corrupt where they are not its weights."""
    try:
        network.load_state_dict(safetensors.torch.load(data))
    except (safetensors.SafetensorError, RuntimeError) as error:
        raise Corrupt(f"the checkpoint does not fit its config: {error}") from None


def pack(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> bytes:
    """Tensors and texts by name as one file."""
    return bytes(safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()}, dict(texts)))


def unpack(data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Unpack such a file; raises Corrupt if it is not one."""
    try:
        tensors = safetensors.torch.load(data)
        length = int.from_bytes(data[:8], "little")
        return tensors, dict(json.loads(data[8 : 8 + length])["__metadata__"])
    except (safetensors.SafetensorError, ValueError, LookupError, TypeError) as error:
        raise Corrupt(f"the checkpoint cannot be read: {error}") from None
