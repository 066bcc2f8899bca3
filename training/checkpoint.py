"""Checkpoints: weights alone, as safetensors, which cannot run code when they are loaded."""

from collections.abc import Mapping

import safetensors.torch
from torch import Tensor, nn

from tailorbird.errors import Corrupt


def encode(state: Mapping[str, Tensor]) -> bytes:
    return bytes(safetensors.torch.save({name: tensor.contiguous() for name, tensor in state.items()}))


def restore(network: nn.Module, data: bytes) -> None:
    """Load weights into a network of the same shape; raises Corrupt where they are not its weights."""
    try:
        network.load_state_dict(safetensors.torch.load(data))
    except (safetensors.SafetensorError, RuntimeError) as error:
        raise Corrupt(f"the checkpoint does not fit its config: {error}") from None
