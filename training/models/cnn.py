"""Blocks of one convolution each, followed by linear layers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from tailorbird.errors import InvalidInput
from training.config import CnnConfig
from training.models.layers import BatchNorm2d, activation, dropout, each, image


@dataclass(frozen=True)
class Block:
    """One block for an image of a known size; `sides` are height and width of its output."""

    channels: int
    width: int
    kernel: int
    stride: int
    padding: tuple[int, int]  # before and after
    pool: str
    dropout: float
    sides: tuple[int, ...]


def layers(config: CnnConfig, shape: Sequence[int], outputs: int) -> list[nn.Module]:
    """From images of `shape` ([H, W] or [H, W, C]) to logits [N, outputs]; raises InvalidInput as `fitted` does."""
    blocks = list(fitted(config, shape))
    modules = [layer for block in blocks for layer in _block(config, block)]
    last = blocks[-1]
    inputs = last.width * last.sides[0] * last.sides[1]
    modules.append(nn.Flatten())
    for width in config.head:
        modules += [nn.Linear(inputs, width), activation(config.activation), *dropout(config.head_dropout)]
        inputs = width
    return [*modules, nn.Linear(inputs, outputs)]


def fitted(config: CnnConfig, shape: Sequence[int]) -> Iterator[Block]:
    """The blocks in order; raises InvalidInput at the first one whose output would be empty."""
    height, width, channels = image("cnn", shape)
    sides: tuple[int, ...] = (height, width)
    of_blocks = (config.width, config.kernel, config.stride, config.padding, config.pool, config.dropout)
    settings = zip(*(each(value, config.depth) for value in of_blocks), strict=True)
    for number, (filters, kernel, stride, padded, pool, rate) in enumerate(settings):
        padding = _padding(padded, kernel)
        if (most := min(sides) + sum(padding)) < kernel:
            raise InvalidInput(
                "model.kernel",
                f"that of block {number + 1} is {kernel} pixels wide, and its input has {sides[0]}x{sides[1]} pixels; "
                f"accepted: at most {most} there, {'fewer blocks, ' if number else ''}or model.padding: same",
            )
        sides = tuple(_left(side, kernel, stride, padding, pool) for side in sides)
        if not min(sides):
            raise _nothing_left(config, shape, number)
        yield Block(channels, filters, kernel, stride, padding, pool, rate, sides)
        channels = filters


def _padding(wanted: int | str, kernel: int) -> tuple[int, int]:
    # an even kernel has no middle: what is odd is padded at the end, as torch does where nothing is strided
    return ((kernel - 1) // 2, kernel // 2) if wanted == "same" else (int(wanted), int(wanted))


def _left(side: int, kernel: int, stride: int, padding: tuple[int, int], pool: str) -> int:
    convolved = (side + sum(padding) - kernel) // stride + 1
    return convolved if pool == "none" else convolved // 2


def _nothing_left(config: CnnConfig, shape: Sequence[int], blocks: int) -> InvalidInput:
    size = f"{shape[0]}x{shape[1]} pixels"
    if not blocks:
        return InvalidInput("model.pool", f"the first block leaves nothing of {size} to pool; accepted: none")
    return InvalidInput("model.depth", f"{config.depth} blocks halve {size} to nothing; accepted: at most {blocks}")


def _block(config: CnnConfig, block: Block) -> list[nn.Module]:
    norm = [BatchNorm2d(block.width)] if config.batch_norm else []
    act, drop = [activation(config.activation)], dropout(block.dropout)
    convolved = _convolution(block, bias=not norm)
    if config.dropout_place == "convolution":
        convolved, drop = [*convolved, *drop], []
    match block.pool:
        case "none":
            return [*convolved, *norm, *act, *drop]
        case "average":
            return [*convolved, *norm, *act, nn.AvgPool2d(2), *drop]
    # pooling first leaves a quarter to normalise; but one image of 1x1 has no deviation
    middle = [nn.MaxPool2d(2), *norm] if min(block.sides) > 1 else [*norm, nn.MaxPool2d(2)]
    return [*convolved, *middle, *act, *drop]


def _convolution(block: Block, bias: bool) -> list[nn.Module]:
    before, after = block.padding
    if before == after:
        return [nn.Conv2d(block.channels, block.width, block.kernel, block.stride, before, bias=bias)]
    frame = nn.ZeroPad2d((before, after, before, after))
    return [frame, nn.Conv2d(block.channels, block.width, block.kernel, block.stride, bias=bias)]
