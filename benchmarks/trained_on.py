"""The losses of Model3 of the study fashion-cnn if one network is trained through all six rows of its table.

    python -m benchmarks.trained_on

The study starts each row with new weights, but the losses of the notes fall from row to row. Fashion-MNIST must be in
TAILORBIRD_DATA_DIR. It prints the mean loss over the last epoch of each row, and that of the notes. It takes half an
hour on one core.
"""

import argparse
from dataclasses import replace

from benchmarks.workers import ROOT
from tailorbird import settings
from tailorbird.errors import reported
from training import datasets, splits
from training.config import OptimizerConfig, ScheduleConfig
from training.loop import Run
from tuning import spec_file

STUDY = ROOT / "tuning" / "studies" / "fashion-cnn.yaml"
RATES = {"adam": {"lr": 1e-3}, "sgd": {"lr": 0.01, "momentum": 0.9}, "rmsprop": {"lr": 1e-3}}
"""Usual rates of the three; constant, in batches of 64."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="too short to say anything; for tests of the benchmark")
    arguments = parser.parse_args()
    study = spec_file.read(STUDY, ["run.epochs=1"] if arguments.quick else [])
    here = settings.load()
    dealt = splits.split(datasets.load(study.data, here.data, here.cache, here.download_timeout), study.data)
    if arguments.quick:
        dealt = replace(dealt, train=dealt.train.only(slice(1280)))
    weights = None
    for number, config in enumerate(study.configs, 1):
        name, reference = study.listed(number).name or "", study.listed(number).reference or {}
        if not name.startswith("Model3"):
            continue
        optimizer = OptimizerConfig.model_validate({"name": config.optimizer.name, **RATES[config.optimizer.name]})
        changes = {"optimizer": optimizer, "schedule": ScheduleConfig(), "batch_size": 64, "threads": 1}
        run = Run(config.model_copy(update=changes), dealt)
        if weights:
            run.network.load_state_dict(weights)
        *_, last = run
        weights = run.network.state_dict()
        print(f"{name:32} {last.train_loss:.4f}  notes {reference['train_loss']:.4f}", flush=True)


if __name__ == "__main__":
    with reported():
        main()
