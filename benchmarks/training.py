"""Images per CPU-second of the loop, beside the same models in a DataLoader loop, and beside the machine's limit.

    python -m benchmarks.training

On Fashion-MNIST, which must lie below TAILORBIRD_DATA_DIR (`tailorbird data fashion_mnist` gets it). In turn, an epoch
each: a DataLoader over pictures with torchvision's transforms and Adam, as tutorials write it, in float32; the same
over tensors that are normalised already, and where the processor has instructions for bfloat16 also that in bfloat16;
and this project's loop in float32 and as `precision: auto` takes it. CPU time counts that of every thread; all have
one. The limit is the time that the products of the layers and the optimiser's step take alone, in the same shapes and
digits. Less than ten minutes; an epoch of the CNN has fewer images, and its accuracy is that of training on only these.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmarks import report
from tailorbird import settings
from tailorbird.errors import reported
from training import config, datasets, machine, precision, splits
from training.config import RunConfig
from training.loop import Run
from training.network import fresh
from training.splits import Splits
from training.vision import torchvision

MEAN, DEVIATION = 0.286, 0.353
BATCH = 64
LR = 1e-3
MODELS: dict[str, dict[str, Any]] = {
    "MLP 784-256-128-10": {"model": {"family": "mlp", "width": [256, 128]}},
    "CNN 32-64-128": {"model": {"family": "cnn", "width": [32, 64, 128]}},
}
IMAGES = {"MLP 784-256-128-10": 60_000, "CNN 32-64-128": 12_800}
"""The number of images of an epoch, chosen so that the whole takes less than ten minutes."""
PICTURES, TENSORS, HALVES = "DataLoader, pictures, fp32", "DataLoader, tensors, fp32", "DataLoader, tensors, bf16"
FULL = "tailorbird, fp32"


@dataclass
class _Pictures(Dataset[Any]):
    """What torchvision's data sets of pictures do for each item: a Pillow image, then its transforms."""

    items: Sequence[tuple[Any, int]]
    transform: Callable[[Image.Image], Tensor]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels, target = self.items[index]
        return self.transform(Image.fromarray(pixels)), target


@dataclass
class Contender:
    """One way to train: `epoch` trains once over `images`, `accuracy` is of the test split."""

    epoch: Callable[[], None]
    accuracy: Callable[[], float]
    images: int
    rates: list[float] = field(default_factory=list)

    def measure(self, clock: Callable[[], float]) -> None:
        """Train an epoch; `clock` tells the seconds that count."""
        start = clock()
        self.epoch()
        self.rates.append(self.images / (clock() - start))


def main() -> None:
    arguments = report.arguments(__doc__)
    runs = 1 if arguments.quick else 5
    here = settings.load()
    figures, ratios = {}, {}
    for name, changes in MODELS.items():
        images = 640 if arguments.quick else IMAGES[name]
        base = {"data": {"name": "fashion_mnist", "validation": 0, "holdout": 0}, "batch_size": BATCH, "epochs": runs}
        run = config.parse(RunConfig, {**base, "optimizer": {"lr": LR}, "device": "cpu", "threads": 1, **changes})
        dealt = splits.split(datasets.load(run.data, here.data, here.cache, here.download_timeout), run.data)
        run = precision.settled(run, dealt)
        mine = f"tailorbird, {run.precision}"
        full = run.model_copy(update={"precision": "fp32"})
        contenders = usual(run, dealt, images) | {FULL: ours(full, dealt, images), mine: ours(run, dealt, images)}
        limits = []
        for _ in range(runs):
            for contender in contenders.values():
                contender.measure(time.process_time)
            limits.append(_limit(run, dealt, 1 if arguments.quick else 50))
        for kind, one in contenders.items():
            figures[f"{name}: {kind}"] = report.figure(one.rates, "images/CPU-s")
            figures[f"{name}: {kind}, test accuracy"] = report.figure([100 * one.accuracy()], "%")
        figures[f"{name}: limit"] = report.figure(limits, "images/CPU-s")
        rates = contenders[mine].rates
        for kind in [contender for contender in contenders if contender != mine]:
            ratios[f"{name}: speed, {kind}"] = report.ratio(rates, contenders[kind].rates, f"the rate of {kind}")
        if mine != FULL:
            against = contenders[PICTURES].rates
            ratios[f"{name}: speed in fp32, {PICTURES}"] = report.ratio(
                contenders[FULL].rates, against, f"the rate of {PICTURES}"
            )
        ratios[f"{name}: share of the limit"] = report.ratio(rates, limits, "products and optimiser alone")
    print(report.flags())
    report.tell("training", runs, figures, ratios, arguments.json)


def usual(run: RunConfig, dealt: Splits, images: int) -> dict[str, Contender]:
    """The loops of the tutorials, over the first `images` training images."""
    train = dealt.train.only(slice(images))
    transforms = torchvision("transforms")
    standard = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (DEVIATION,))])
    pixels = dealt.train.at(slice(images))
    pictures = _Pictures([(pixels[index], int(target)) for index, target in enumerate(train.targets)], standard)
    floats = (torch.from_numpy(pixels).unsqueeze(1) / 255 - MEAN) / DEVIATION
    tensors = TensorDataset(floats, torch.from_numpy(train.targets))
    contenders = {PICTURES: _plain(run, dealt, pictures), TENSORS: _plain(run, dealt, tensors)}
    return contenders | ({HALVES: _plain(run, dealt, tensors, half=True)} if run.precision == "bf16" else {})


def ours(made: RunConfig, dealt: Splits, images: int) -> Contender:
    """The run of this project, over the first `images` training images."""
    train = dealt.train.only(slice(images))
    run = Run(made, Splits(dealt.kind, dealt.classes, None, train, dealt.validation, dealt.holdout, dealt.test))
    return Contender(lambda: _ignore(run.step()), lambda: run.score(dealt.test)[1], images)


def _plain(run: RunConfig, dealt: Splits, examples: Dataset[Any], *, half: bool = False) -> Contender:
    """Float images from a DataLoader, Adam, the loss fetched in every step; `half` computes in bfloat16."""
    torch.manual_seed(0)
    device = machine.choose_device(run.device)
    network = _same_layers(run, dealt).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    criterion = nn.CrossEntropyLoss()
    batches = DataLoader(examples, batch_size=BATCH, shuffle=True)

    def epoch() -> None:
        torch.set_num_threads(1)
        network.train()
        total = 0.0
        for images, labels in batches:
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                loss = criterion(network(images.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            total += loss.item()

    def accuracy() -> float:
        network.eval()
        pixels = torch.from_numpy(dealt.test.at(slice(None))).unsqueeze(1)
        parts = (((part / 255 - MEAN) / DEVIATION).to(device) for part in pixels.split(1000))
        with torch.no_grad():
            answers = torch.cat([network(part).argmax(1).cpu() for part in parts])
        return float((answers == torch.from_numpy(dealt.test.targets)).float().mean())

    return Contender(epoch, accuracy, len(batches.dataset))  # type: ignore[arg-type]


def _same_layers(run: RunConfig, dealt: Splits) -> nn.Sequential:
    """Our network without its normalisation, in PyTorch's usual memory layout."""
    plain = fresh(run, dealt)[1:]
    plain.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing from its stubs
    return plain


def _limit(made: RunConfig, dealt: Splits, repeats: int) -> float:
    """Images per CPU-second, were there nothing but the products of the layers and the optimiser's step."""
    torch.set_num_threads(1)
    run = Run(made, dealt)
    images = torch.from_numpy(dealt.train.at(slice(BATCH)))
    seconds = [_timed(step, repeats) for step in _products(run, images)]
    for parameter in run.network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return BATCH / (sum(seconds) + _timed(run.state.optimizer.step, repeats))


def _products(run: Run, images: Tensor) -> Iterator[Callable[[], object]]:
    """For each layer with weights its forward and backward product, on the inputs that it really gets."""
    seen: list[tuple[nn.Module, Tensor]] = []
    layers = [layer for layer in run.network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    hooks = [
        layer.register_forward_hook(lambda module, inputs, _: seen.append((module, inputs[0]))) for layer in layers
    ]
    with torch.autocast("cpu", torch.bfloat16, enabled=run.config.precision == "bf16"):
        run.network(images)
    for hook in hooks:
        hook.remove()
    for index, (layer, inputs) in enumerate(seen):
        yield _product(layer, inputs.detach().requires_grad_(index > 0), run.config.precision == "bf16")


def _product(layer: nn.Module, inputs: Tensor, half: bool) -> Callable[[], object]:
    wanted = [*layer.parameters(), *([inputs] if inputs.requires_grad else [])]

    def both() -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            outputs = layer(inputs)
        return torch.autograd.grad(outputs, wanted, outputs.detach())

    return both


def _timed(step: Callable[[], object], repeats: int) -> float:
    """CPU-seconds of a call, the median of three rounds."""
    rounds: Sequence[float] = [_round(step, repeats) for _ in range(4)][1:]  # the first warms up
    return statistics.median(rounds)


def _round(step: Callable[[], object], repeats: int) -> float:
    start = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - start) / repeats


def _ignore(_: object) -> None:
    return None


if __name__ == "__main__":
    with reported():
        main()
