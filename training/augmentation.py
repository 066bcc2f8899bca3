"""Random augmentation of a batch of uint8 images [N, H, W] or [N, H, W, C], each image independently.

Random numbers come from torch's global generator, which the loop seeds.
"""

import torch
from torch import Tensor
from torch.nn import functional

from training.config import AugmentConfig


def augment(images: Tensor, config: AugmentConfig) -> Tensor:
    """Augment a batch as the config says; pixels that are shifted in from outside, or erased, are black."""
    if config.flip:
        images = flip(images)
    if config.crop:
        images = crop(images, config.crop)
    if config.erase:
        images = erase(images, config.erase)
    return images


def flip(images: Tensor) -> Tensor:
    """Mirror half of the images left to right."""
    mirrored = torch.rand(len(images), device=images.device) < 0.5
    return torch.where(_each(mirrored, images), images.flip(2), images)


def crop(images: Tensor, reach: int) -> Tensor:
    """Move each image by up to `reach` pixels in both directions: a random crop of the image with a black frame."""
    count, height, width = images.shape[:3]
    channels = images.shape[3] if images.dim() == 4 else 1
    frame = (0, 0, reach, reach, reach, reach) if images.dim() == 4 else (reach, reach, reach, reach)
    # one gather: of each row of pixels that is wanted, every window is a view, and the image's own one is taken
    rows = functional.pad(images, frame).reshape(count * (height + 2 * reach), -1)
    windows = rows.unfold(1, width * channels, channels)
    down, right = torch.randint(2 * reach + 1, (2, count), device=images.device)
    first = torch.arange(count, device=images.device) * (height + 2 * reach) + down
    wanted = (first[:, None] + torch.arange(height, device=images.device)).flatten()
    return windows[wanted, right.repeat_interleave(height)].reshape(images.shape)


def erase(images: Tensor, side: int) -> Tensor:
    """Blacken a square of `side` pixels at a random place of each image (DeVries & Taylor 2017)."""
    covered = _near(images, 1, side)[:, :, None] & _near(images, 2, side)[:, None, :]
    return images.masked_fill(covered.unsqueeze(3) if images.dim() == 4 else covered, 0)


def _near(images: Tensor, axis: int, side: int) -> Tensor:
    """Which pixels of each image [N, length] lie within the square along one axis; its centre lies in the image."""
    places = torch.arange(images.shape[axis], device=images.device)
    first = torch.randint(images.shape[axis], (len(images), 1), device=images.device) - side // 2
    return (places >= first) & (places < first + side)


def _each(chosen: Tensor, images: Tensor) -> Tensor:
    return chosen.view(-1, *[1] * (images.dim() - 1))
