"""The kind of processor: processors of one kind compute the same figures, to the last bit."""

import torch


def processor() -> str:
    """PyTorch's release, and the GPU or the instructions of the processor that it uses."""
    if torch.cuda.is_available():
        return f"torch {torch.__version__}, {torch.cuda.get_device_name()}"
    return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
