"""The precision of layers where the config says `auto`.

Measured on one core of an EPYC with avx512_bf16, bf16 against fp32: an MLP at batches of 64 trains 1.3 times as many
images per second, at 256 twice as many; a CNN 1.3 times. Without such instructions a CNN in bf16 trains 0.4 times as
many. On a Xeon with avx512_bf16 but without AMX the products of an MLP take twice as long in bf16, and a CNN as long as
in fp32.
"""

import torch

from training import features, resident
from training.config import RunConfig
from training.splits import Splits

INSTRUCTIONS = ("amx_bf16", "avx512_bf16")


def instructions() -> list[str]:
    """The processor's instructions for bf16."""
    known = torch.cpu.get_capabilities()
    return [name for name in INSTRUCTIONS if known.get(name)]


def _faster() -> list[str]:
    """Those with which bf16 is faster than fp32: avx512_bf16 on Intel is not."""
    alone = instructions() == ["avx512_bf16"] and "Intel" in torch.cpu.get_capabilities().get("cpu_name", "")
    return [] if alone else instructions()


def settled(config: RunConfig, splits: Splits) -> RunConfig:
    """The config with fp32 or bf16 in place of `auto`.

    Rows of tables, features of a frozen backbone and numbers to predict stay in fp32: bf16 keeps three digits of them.
    """
    if config.precision != "auto":
        return config
    numeric = len(splits.train.shape) == 1 or splits.kind == "regression" or features.frozen(config)
    half = not numeric and bool(_instructions_of(resident.device(config, splits)))
    return config.model_copy(update={"precision": "bf16" if half else "fp32"})


def note(config: RunConfig, splits: Splits) -> str:
    """A note of what `auto` chose and why."""
    chosen = settled(config, splits).precision
    names = _instructions_of(resident.device(config, splits))
    if chosen == "bf16":
        return f"precision: bf16, by {', '.join(names)}"
    return f"precision: fp32, {'for numbers' if names else 'no instructions here make bf16 faster'}"


def _instructions_of(device: torch.device) -> list[str]:
    match device.type:
        case "cpu":
            return _faster()
        case "cuda":
            return [torch.cuda.get_device_name(device)] if torch.cuda.is_bf16_supported(False) else []
        case _:
            return []
