"""The kind of processor: processors of one kind compute the same figures, to the last bit."""

import torch

from registry.ledger import Sweep
from tailorbird.errors import Irreproducible


def processor() -> str:
    """PyTorch's release, and the GPU or the instructions of the processor that it uses."""
    if torch.cuda.is_available():
        return f"torch {torch.__version__}, {torch.cuda.get_device_name()}"
    return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"


def check(sweep: Sweep) -> None:
    """Raise Irreproducible if a sweep was started on another kind of processor than this machine's."""
    current = processor()
    if sweep.processor not in (None, current):
        raise Irreproducible(
            f"{sweep.id} was started with {sweep.processor}, and this machine has {current}: it cannot be resumed "
            f"exactly; resume it with {sweep.processor}, or start another sweep"
        )
