"""The runs of benchmarks.training on a GPU, in images per second, and the time to 94% on CIFAR-10 and Fashion-MNIST.

    python -m benchmarks.gpu

Also measured are 64 lanes of the MLP against 64 runs in turn; that is all that `--quick` does where there is no GPU.

Both data sets must lie below TAILORBIRD_DATA_DIR. Our layers are computed in bfloat16 and channels_last, the data lie
on the GPU, and a compiled step is measured beside one that is not. Times to an accuracy are those of training alone,
compiling included: after each epoch the test split is measured with the clock stopped, until that is reached.
"""

import sys
import time
from dataclasses import replace
from typing import Any

import torch

from benchmarks import report
from benchmarks.training import BATCH, LR, MODELS, ours, usual
from tailorbird import settings
from tailorbird.errors import reported
from tailorbird.settings import Settings
from training import config, datasets, splits
from training.config import Objective, RunConfig
from training.lanes import Lanes
from training.loop import Run
from training.splits import Splits

EAGER, COMPILED = "tailorbird", "tailorbird, compiled"
ENOUGH = 0.94
LANES = 64
TIMED = ("cifar10", "fashion_mnist")
RECIPE: dict[str, Any] = {
    "model": {"family": "resnet", "depth": 9, "width": 64},
    "loss": {"label_smoothing": 0.1},
    "optimizer": {"name": "sgd", "lr": 0.4, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
    "schedule": {"name": "one_cycle"},
    "augment": {"flip": True, "crop": 4, "erase": 8},
    "batch_size": 512,
    "epochs": 30,
    "compile": True,
}


def main() -> None:
    arguments = report.arguments(__doc__)
    here = settings.load()
    if not torch.cuda.is_available():
        if not arguments.quick:
            sys.exit("there is no GPU here: nothing was measured")
        figures, ratios = _lanes(here, "cpu", count=4, images=640)
        report.tell("gpu", 1, figures, ratios, arguments.json)
        return
    torch.set_float32_matmul_precision("high")
    runs, images = (1, 640) if arguments.quick else (5, 60_000)
    figures, ratios = _lanes(here, "cuda", LANES, images)
    recipe = RECIPE | {"epochs": 1} if arguments.quick else RECIPE
    timed = {run.data.name: (run, _dealt(run, here)) for run in (_config(name, recipe) for name in TIMED)}
    for name, changes in MODELS.items():
        base = {"batch_size": BATCH, "epochs": runs + 1, "optimizer": {"lr": LR}, **changes}
        run = _config("fashion_mnist", base)
        dealt = timed["fashion_mnist"][1]
        contenders = usual(run, dealt, images) | {
            EAGER: ours(run, dealt, images),
            COMPILED: ours(run.model_copy(update={"compile": True}), dealt, images),
        }
        for _ in range(runs + 1):
            for contender in contenders.values():
                contender.measure(_clock)
        rates = {
            kind: contender.rates[1:] for kind, contender in contenders.items()
        }  # the first epoch compiles, and warms up
        figures |= {f"{name}: {kind}": report.figure(rate, "images/s") for kind, rate in rates.items()}
        for kind in [contender for contender in contenders if contender != COMPILED]:
            ratios[f"{name}: speed, {kind}"] = report.ratio(rates[COMPILED], rates[kind], f"the rate of {kind}")
    for name, (run, dealt) in timed.items():
        seconds, accuracy = _until(run, dealt)
        figures[f"{name}: resnet, 1 run, test accuracy"] = report.figure([100 * accuracy], "%")
        reached = f"{ENOUGH:.0%}" if accuracy >= ENOUGH else f"its end, short of {ENOUGH:.0%}"
        figures[f"{name}: resnet, 1 run, to {reached}"] = report.figure([seconds], "s")
    print(torch.cuda.get_device_name())
    report.tell("gpu", runs, figures, ratios, arguments.json)


def _lanes(here: Settings, device: str, count: int, images: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """An epoch of `count` MLPs as lanes of one group, and of `count` runs in turn, after an epoch that warms up."""
    name, changes = next(iter(MODELS.items()))
    shared = {"device": device, "batch_size": BATCH, "epochs": 2, **changes}
    configs = [_config("fashion_mnist", shared | {"optimizer": {"lr": LR * (1 + n / count)}}) for n in range(count)]
    dealt = _dealt(configs[0], here)
    dealt = replace(dealt, train=dealt.train.only(slice(images)))
    lanes, runs = Lanes(configs, dealt, Objective()), [Run(config, dealt) for config in configs]
    rates: dict[str, float] = {}
    for _ in range(2):
        start = _clock()
        lanes.step()
        middle = _clock()
        for run in runs:
            run.step()
        rates = {"lanes": count * images / (middle - start), "runs": count * images / (_clock() - middle)}
    figures = {f"{name}: {count} {kind}": report.figure([rate], "images/s") for kind, rate in rates.items()}
    against = f"the rate of {count} runs in turn"
    return figures, {"lanes": report.ratio([rates["lanes"]], [rates["runs"]], against)}


def _config(data: str, changes: dict[str, Any]) -> RunConfig:
    shared = {"data": {"name": data, "validation": 0, "holdout": 0}, "device": "cuda", "precision": "bf16"}
    return config.parse(RunConfig, shared | changes)


def _dealt(run: RunConfig, here: Settings) -> Splits:
    return splits.split(datasets.load(run.data, here.data, here.cache, here.download_timeout), run.data)


def _clock() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _until(made: RunConfig, dealt: Splits) -> tuple[float, float]:
    """Seconds of training until the accuracy is enough, or the end comes; and the accuracy then."""
    run, seconds, accuracy = Run(made, dealt), 0.0, 0.0
    while not run.done and accuracy < ENOUGH:
        start = _clock()
        run.step()
        seconds += _clock() - start
        accuracy = run.score(dealt.test)[1]
    return seconds, accuracy


if __name__ == "__main__":
    with reported():
        main()
