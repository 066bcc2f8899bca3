"""How fast a search approaches the best config: halving, random search, Ray Tune's ASHA, and Optuna with its ASHA.

    python -m benchmarks.search

Each is replayed with ten seeds over learning curves that were recorded once, of 48 MLPs of three shapes on
Fashion-MNIST (`--record FILE` does so again, which takes some minutes). Regret is how far the best validation accuracy
so far lies below the best of the table, over the epochs that were trained. Optuna suggests any point, and gets the
curve of the nearest; a seed of the others draws 32 of the 48, the same for each. `--picture FILE` draws medians with
their quartiles.
"""

import itertools
import json
import math
import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from benchmarks import report
from benchmarks.sweeps import SHAPES, WHOLE, spec
from tailorbird import settings
from tailorbird.errors import reported
from training import datasets, precision, splits
from training.config import Objective, RunConfig
from training.config.run import PROBED
from training.lanes import Lanes
from training.plots import style
from tuning import spec as specs
from tuning.scheduler import FACTOR, Bracket, Scheduler, Standing

CURVES = Path(__file__).with_suffix(".json")
RECORDED, TRIALS, SEEDS, SCORED = 48, 32, 10, 40
WORKERS = 2
BUDGETS = (8, 16, 32, 64, 128)
Trace = Iterator[tuple[float, float]]
"""Epochs that a part of a search trained, and the accuracy that it saw."""


@dataclass(frozen=True)
class Curve:
    """A config with its validation accuracies after a probe, and after each epoch."""

    width: list[int]
    dropout: float
    lr: float
    accuracies: list[float]

    def far(self, width: list[int], dropout: float, lr: float) -> float:
        """How far another config is, in parts of the space."""
        away = abs(self.dropout - dropout) / 0.4, abs(math.log(self.lr / lr)) / math.log(100)
        return math.hypot(*away) + (self.width != width) * 10


def main() -> None:
    arguments = report.arguments(__doc__, record="record new curves to this file", picture="where to draw")
    if arguments.record:
        _record(arguments.record)
    curves = [Curve(**record) for record in json.loads((arguments.record or CURVES).read_text())]
    seeds = 2 if arguments.quick else SEEDS
    searches: dict[str, Callable[[list[Curve], int], Trace]] = {
        "random": at_random,
        "halving": halving,
        "halving with probes": partial(halving, probed=True),
        "Ray Tune, ASHA": by_tune,
        "Optuna, TPE and ASHA": by_optuna,
    }
    best = max(max(curve.accuracies) for curve in curves)
    regrets = {
        name: [_regret(search(curves, seed), best) for seed in range(seeds)] for name, search in searches.items()
    }
    figures = {
        f"{name}: regret after {budget} epochs": report.figure([_at(regret, budget) for regret in several], "points")
        for name, several in regrets.items()
        for budget in BUDGETS
    }
    for name in ("halving", "halving with probes", "Ray Tune, ASHA"):
        figures[f"{name}: epochs trained"] = report.figure([regret[-1][0] for regret in regrets[name]], "epochs")
        behind = [_behind(curves, seed, searches[name]) for seed in range(SCORED)]
        figures[f"{name}: behind the best of its draw"] = report.figure(behind, "points")
    report.tell("search", seeds, figures, {}, arguments.json)
    if arguments.picture:
        _draw(regrets).savefig(arguments.picture)


def _record(to: Path) -> None:
    """Train every config to its end, and probe it."""
    here, described = settings.load(), spec(WHOLE) | {"trials": RECORDED}
    parsed = specs.parse(described)
    dealt = splits.split(datasets.load(parsed.data, here.data, here.cache, here.download_timeout), parsed.data)
    by_shape: dict[str, list[RunConfig]] = {}
    for run in parsed.configs:
        by_shape.setdefault(run.model.model_dump_json(include={"width"}), []).append(precision.settled(run, dealt))
    curves = []
    for configs in by_shape.values():
        probed = Lanes(configs, dealt, Objective()).probe()
        lanes = Lanes(configs, dealt, Objective())
        while lanes.active:
            print(f"epoch {next(iter(lanes.step().values())).epoch} of {len(configs)} lanes", flush=True)
        for lane, config in enumerate(configs):
            model = config.model.model_dump()
            accuracies = [epoch.val_accuracy for epoch in [probed[lane], *lanes.progress(lane).epochs]]
            rounded = [round(accuracy, 5) for accuracy in accuracies]
            curves.append(Curve(model["width"], model["dropout"], config.optimizer.lr, rounded))
    to.write_text("[\n" + ",\n".join(json.dumps(asdict(curve)) for curve in curves) + "\n]\n")


def _drawn(curves: list[Curve], seed: int) -> list[Curve]:
    return random.Random(seed).sample(curves, TRIALS)


def at_random(curves: list[Curve], seed: int) -> Trace:
    """Each trial to its end."""
    for drawn in _drawn(curves, seed):
        yield from ((1, accuracy) for accuracy in drawn.accuracies[1:])


def halving(curves: list[Curve], seed: int, probed: bool = False) -> Trace:
    """This project's default, as its scheduler decides; or with probes."""
    drawn = _drawn(curves, seed)
    scheduler, epochs = Scheduler("halving"), len(curves[0].accuracies) - 1
    standings = [Standing(number, (1, epochs), "pending") for number in range(len(drawn))]
    configs = [{"epochs": epochs, "measure_every": 1, "schedule": {"name": "constant"}}] * len(drawn)
    bracket = Bracket(standings, scheduler.rungs(configs, probed))
    while due := scheduler.due(bracket):
        for number in due:
            standing, curve = standings[number], drawn[number].accuracies
            for epoch in itertools.count(max(standing.scores, default=bracket.rungs[0] - 1) + 1):
                standing.scores[epoch] = curve[epoch]
                yield (1 if epoch else 1 / PROBED), curve[epoch]
                standing.status = "finished" if epoch == epochs else "paused"
                if epoch == epochs or scheduler.answer(standing, epoch, bracket) != "go on":
                    break


def by_tune(curves: list[Curve], seed: int) -> Trace:
    """Ray Tune's ASHA, for two trials at a time, which take turns; a next one starts where one has ended."""
    epochs = len(curves[0].accuracies) - 1
    scheduler = ASHAScheduler(
        "training_iteration", metric="accuracy", mode="max", max_t=epochs, grace_period=1, reduction_factor=FACTOR
    )
    waiting = iter(enumerate(_drawn(curves, seed)))

    def worker() -> Trace:
        for number, drawn in waiting:
            trial: Any = SimpleNamespace(trial_id=str(number))
            scheduler.on_trial_add(None, trial)  # type: ignore[arg-type]
            for epoch, accuracy in enumerate(drawn.accuracies[1:], 1):
                yield 1, accuracy
                result = {"training_iteration": epoch, "accuracy": accuracy}
                if scheduler.on_trial_result(None, trial, result) != TrialScheduler.CONTINUE:  # type: ignore[arg-type]
                    break

    for reports in itertools.zip_longest(*(worker() for _ in range(WORKERS))):
        yield from filter(None, reports)


def by_optuna(curves: list[Curve], seed: int) -> Trace:
    """TPE as it comes, with the pruner that its ASHA is."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner
    )  # fmt: skip
    for _ in range(TRIALS):
        trial = study.ask()
        width = SHAPES[trial.suggest_categorical("shape", range(len(SHAPES)))]
        dropout, lr = trial.suggest_float("dropout", 0, 0.4), trial.suggest_float("lr", 1e-4, 1e-2, log=True)
        curve = min(curves, key=lambda candidate: candidate.far(width, dropout, lr)).accuracies[1:]
        state = optuna.trial.TrialState.COMPLETE
        for epoch, accuracy in enumerate(curve, 1):
            yield 1, accuracy
            trial.report(accuracy, epoch)
            if trial.should_prune():
                state = optuna.trial.TrialState.PRUNED
                break
        study.tell(trial, max(curve) if state == optuna.trial.TrialState.COMPLETE else None, state)


def _regret(trace: Trace, best: float) -> list[tuple[float, float]]:
    """Epochs trained so far, and how many points the best so far lies below the best there is."""
    total, top, regret = 0.0, 0.0, []
    for epochs, accuracy in trace:
        total, top = total + epochs, max(top, accuracy)
        regret.append((total, 100 * (best - top)))
    return regret


def _at(regret: list[tuple[float, float]], budget: float) -> float:
    return next((points for total, points in reversed(regret) if total <= budget), regret[0][1])


def _behind(curves: list[Curve], seed: int, search: Callable[[list[Curve], int], Trace]) -> float:
    best = max(max(curve.accuracies[1:]) for curve in _drawn(curves, seed))
    return 100 * (best - max(accuracy for _, accuracy in search(curves, seed)))


def _draw(regrets: dict[str, list[list[tuple[float, float]]]]) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for (name, several), colour in zip(regrets.items(), style.SEVERAL, strict=False):
        end = min(regret[-1][0] for regret in several)
        at = [budget for budget in range(1, 8 * TRIALS + 1) if budget <= end]
        quartiles = [statistics.quantiles([_at(regret, budget) for regret in several], n=4) for budget in at]
        low, median, high = zip(*quartiles, strict=True)
        axes.step(at, median, where="post", color=colour, label=name)
        axes.fill_between(at, low, high, step="post", color=colour, alpha=0.2, linewidth=0)
    axes.set(xscale="log", yscale="symlog", xlabel="epochs trained", ylabel="regret, points of validation accuracy")
    axes.set_xticks([1, 2, 4, *BUDGETS, 8 * TRIALS])
    axes.set_yticks([0, 0.5, 1, 2, 5, 10])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    axes.set(xlim=(1, 8 * TRIALS), ylim=(0, 10))
    axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    with reported():
        main()
