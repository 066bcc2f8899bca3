"""What tests of pretrained backbones share: photographs of three colours, and random weights in place of real ones."""

import hashlib
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image

from training import backbones
from training.vision import torchvision

COLOURS = ("blue", "green", "red")


def write_photographs(folder: Path, count: int, side: int = 64) -> None:
    """So many PNG files in a folder for each colour."""
    random = np.random.default_rng(0)
    for channel, colour in zip((2, 1, 0), COLOURS, strict=True):
        (folder / colour).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 140, (side, side, 3)).astype(np.uint8)
            pixels[..., channel] += 90
            Image.fromarray(pixels).save(folder / colour / f"{number}.png")


def keep_random_weights(cache: Path, backbone: str) -> Path:
    """Put random weights where those of torchvision are kept once they were downloaded and checked."""
    models = torchvision("models")
    torch.manual_seed(0)
    path = cache / "weights" / f"{Path(models.get_model_weights(backbone).DEFAULT.url).stem}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(models.get_model(backbone, weights=None).state_dict(), path)
    path.with_suffix(backbones.SUM).write_text(hashlib.sha256(path.read_bytes()).hexdigest())
    return path
