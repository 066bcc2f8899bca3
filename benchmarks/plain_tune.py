"""A sweep as the tutorials of Ray Tune write it: a process per trial, each of which reads the data and loops over it.

Started by `benchmarks.sweeps` as `python -m benchmarks.plain_tune JSON`; prints the best validation accuracy.
"""

import itertools
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from torch import nn
from torch.utils.data import DataLoader

from training import config, datasets, splits
from training.config import DataConfig
from training.vision import torchvision


def train(given: dict[str, Any]) -> None:
    """One trial: an MLP by Adam, validated after each epoch."""
    torch.set_num_threads(1)
    data, folder = config.parse(DataConfig, given["data"]), Path(given["folder"])
    dealt = splits.split(datasets.load(data, folder, folder, 5), data)
    transforms = torchvision("transforms")
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])

    def loader(split: Any, shuffle: bool) -> Any:
        items = [(pixels, int(target)) for pixels, target in zip(split.at(slice(None)), split.targets, strict=True)]

        def gathered(batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.stack([transform(pixels) for pixels, _ in batch]), torch.tensor(
                [target for _, target in batch]
            )

        return DataLoader(items, batch_size=given["batch_size"], shuffle=shuffle, collate_fn=gathered)  # type: ignore[arg-type]

    training, validation = loader(dealt.train, True), loader(dealt.validation, False)
    sizes = [dealt.train.shape[0] * dealt.train.shape[1], *given["width"]]
    layers: list[nn.Module] = [nn.Flatten()]
    for wide, narrow in itertools.pairwise(sizes):
        layers += [nn.Linear(wide, narrow), nn.ReLU(), nn.Dropout(given["dropout"])]
    network = nn.Sequential(*layers, nn.Linear(sizes[-1], len(dealt.classes)))
    optimizer = torch.optim.Adam(network.parameters(), lr=given["lr"])
    loss = nn.CrossEntropyLoss()
    for _ in range(given["epochs"]):
        network.train()
        for images, targets in training:
            optimizer.zero_grad()
            loss(network(images), targets).backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            right = sum((network(images).argmax(1) == targets).sum().item() for images, targets in validation)
        tune.report({"val_accuracy": right / len(dealt.validation)})


def trial(config: dict[str, Any]) -> None:
    train(config["trial"])


def main() -> None:
    record = json.loads(sys.argv[1])
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0"}
    scheduler = None
    if record["asha"]:
        scheduler = tune.schedulers.ASHAScheduler(
            max_t=record["trials"][0]["epochs"], grace_period=1, reduction_factor=3
        )
    with tempfile.TemporaryDirectory(prefix="plain-") as folder:
        ray.init(
            "local", num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
        )
        results = tune.Tuner(
            trial,
            param_space={"trial": tune.grid_search(record["trials"])},
            tune_config=tune.TuneConfig(metric="val_accuracy", mode="max", scheduler=scheduler),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
        print(results.get_best_result(scope="all").metrics_dataframe["val_accuracy"].max())
        ray.shutdown()


if __name__ == "__main__":
    from benchmarks import plain_tune  # whose functions Ray finds by name; those of a script it would have to copy

    plain_tune.main()
