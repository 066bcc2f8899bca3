"""How well accuracy is known without labels, and how soon a drop is: what `tailorbird.drift` estimates and alarms.

    python -m benchmarks.drift

A network as in tuning/specs/demo.yaml is trained on Fashion-MNIST, its estimator fitted as at registration, and then
held against test images under corruptions, mixes and strangers that the fit did not see, in windows of 1,000. Errors
are mean absolute differences in points between an estimate and the window's true accuracy. What several replicas count
is held against what one server does. About four minutes on two cores.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks import labels, replicas, report, scenarios
from benchmarks.scenarios import Scenario, Traffic
from tailorbird import bins, onnx, settings
from tailorbird.drift import cells, estimator, intervals, judgement, transport
from tailorbird.drift.estimator import Estimator
from tailorbird.drift.policy import Policy
from training import candidate, checkpoint, datasets, estimation, splits
from training.config import DataConfig, RunConfig
from training.loop import Run
from training.splits import Split, Splits

Floats = NDArray[np.float64]
WINDOW = 1_000
CLEAN_WINDOWS = 5_000
SMALL = 0.15
JUDGED = {"fitted": 1, "mix_moves": 5, "mix_steady": 25}
"""For each estimate the interval, in clean windows, at which it judges one."""
HARMLESS = 0.01
SHARES = (0.1, 0.25, 0.5)
UNSEEN = ("Trouser", "Sandal", "Bag")
DATA = {"name": "fashion_mnist", "validation": 5000, "holdout": 5000, "split_seed": 0}
RUN = {
    "data": DATA,
    "model": {"family": "cnn", "depth": 2, "width": 16, "dropout": 0.1},
    "schedule": {"name": "one_cycle"},
    "optimizer": {"lr": 5e-3},
    "batch_size": 128,
}


class Lab:
    """A trained network as it is served, its estimator, and the test images."""

    def __init__(self, dealt: Splits, epochs: int, images: int) -> None:
        run = Run(RunConfig.model_validate({**RUN, "epochs": epochs}), dealt)
        for _ in run:
            pass
        weights = checkpoint.encode(run.best_state)
        self.candidate = candidate.make(run.config, dealt, weights, run.epochs, run.best.epoch)
        self._session = onnx.session(self.candidate.files["model.onnx"])
        self._name = self._session.get_inputs()[0].name
        self.classes = dealt.classes
        self.estimator = estimator.parse(self.candidate.files["estimator.json"], dealt.classes)
        self.heldout_images = _images(dealt.holdout)
        self.heldout = self.answers(self.heldout_images, dealt.holdout.targets.astype(np.int64))
        self.images = _images(dealt.test)[:images]
        self.targets = dealt.test.targets[:images].astype(np.int64)
        self.clean = self.answers(self.images, self.targets)

    def answers(self, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> Traffic:
        parts = [images[start : start + 500] for start in range(0, len(images), 500)]
        answers = [self._session.run(["probabilities"], {self._name: part})[0] for part in parts]
        return Traffic(np.concatenate(answers), targets)


def _images(split: Split) -> NDArray[np.uint8]:
    return np.asarray(split.at(slice(None)), np.uint8)


def made(lab: Lab, strangers: NDArray[np.uint8], windows: int) -> list[Scenario]:
    """All scenarios, with `windows` windows each; the one without drift has five times as many."""
    random = np.random.default_rng(7)

    def drawn(traffic: Traffic) -> list[Traffic]:
        return [traffic.at(random.choice(len(traffic.targets), WINDOW, False)) for _ in range(windows)]

    def mixed(traffic: Traffic, mix: Floats) -> list[Traffic]:
        chances = mix[traffic.targets] / np.bincount(traffic.targets, minlength=10)[traffic.targets]
        chances = chances / chances.sum()
        return [traffic.at(random.choice(len(traffic.targets), WINDOW, True, chances)) for _ in range(windows)]

    every = [Scenario("no drift", "clean", [window for _ in range(5) for window in drawn(lab.clean)])]
    for name, corrupt in scenarios.CORRUPTIONS.items():
        for severity in scenarios.SEVERITIES:
            spoiled = lab.answers(corrupt(lab.images, severity, random), lab.targets)
            every.append(Scenario(f"{name} {severity:g}", "covariate", drawn(spoiled)))
            if severity == scenarios.SEVERITIES[1]:
                every.append(Scenario(f"{name} {severity:g}, mix moved", "both", mixed(spoiled, _mix(random))))
    every += [Scenario(f"mix {number}", "mix", mixed(lab.clean, _mix(random))) for number in range(8)]
    others = lab.answers(strangers, np.full(len(strangers), -1))
    for share in SHARES:
        rest = [window.at(np.arange(int(WINDOW * (1 - share)))) for window in drawn(lab.clean)]
        strange = [others.at(random.choice(len(others.targets), int(WINDOW * share), False)) for _ in rest]
        joined = [known.followed_by(stranger) for known, stranger in zip(rest, strange, strict=True)]
        every.append(Scenario(f"strangers {share:.0%}", "strangers", joined))
    flipped = Traffic(lab.clean.probabilities, _flipped(lab.targets))
    return [*every, Scenario("labels of two classes swapped", "flip", drawn(flipped))]


def _mix(random: np.random.Generator) -> Floats:
    return random.dirichlet(np.full(10, random.uniform(0.5, 4)))


def _flipped(targets: NDArray[np.int64]) -> NDArray[np.int64]:
    swapped = targets.copy()
    swapped[targets == 0], swapped[targets == 6] = 6, 0
    return swapped


def _estimate(ours: Estimator, assumes: str, window: Traffic) -> float:
    if assumes == "mix_steady":
        return transport.accuracy(window.probabilities, ours.mix)
    return (ours.fitted if assumes == "fitted" else ours.mix_moves)(window.counts()) or 0.0


def of_estimates(lab: Lab, all_scenarios: list[Scenario]) -> dict[str, list[float]]:
    """Figure 1: errors of the estimates."""
    ours = lab.estimator

    fitted, moves, steady = (partial(_estimate, ours, assumes) for assumes in judgement.ASSUMPTIONS)

    def nothing(_: Traffic) -> float:
        return ours.accuracy

    def errors(estimate: Callable[[Traffic], float], *kinds: str, small: bool = False) -> Floats:
        chosen = [scenario for scenario in all_scenarios if scenario.kind in kinds]
        if small:
            chosen = [scenario for scenario in chosen if ours.accuracy - scenario.truth.mean() < SMALL]
        return np.concatenate([scenario.errors(estimate) for scenario in chosen])

    shifts = ("covariate", "both", "mix")
    return {
        "fitted, drops under 15": [float(errors(fitted, *shifts, small=True).mean())],
        "fitted, drops under 15, p90": [float(np.quantile(errors(fitted, *shifts, small=True), 0.9))],
        "fitted, all but flips and strangers": [float(errors(fitted, *shifts).mean())],
        "fitted, no drift": [float(errors(fitted, "clean").mean())],
        "fitted, strangers": [float(errors(fitted, "strangers").mean())],
        "fitted, labels of two classes swapped": [float(errors(fitted, "flip").mean())],
        "nothing, drops under 15": [float(errors(nothing, *shifts, small=True).mean())],
        "nothing, all but flips and strangers": [float(errors(nothing, *shifts).mean())],
        "mix_moves, where only the mix moves": [float(errors(moves, "mix").mean())],
        "mix_moves, no drift": [float(errors(moves, "clean").mean())],
        "mix_steady, no drift": [float(errors(steady, "clean").mean())],
        "mix_steady, strangers with the mix held": [float(errors(steady, "strangers").mean())],
        "mix_steady, where only the mix moves": [float(errors(steady, "mix").mean())],
        "stated by the estimator, drops under 15": [100 * (ours.error.small if ours.error else 0)],
    }


def of_unseen(lab: Lab, windows: int) -> dict[str, list[float]]:
    """Classes that the network cannot name: it was trained on them, and their column is taken out of its answers."""
    random, errors, fitted, alarmed = np.random.default_rng(9), [], [], []
    for name in UNSEEN:
        index = lab.classes.index(name)
        blind = lab.clean.probabilities.copy()
        blind[:, index] = 0
        blind = blind / blind.sum(1, keepdims=True)
        known = np.bincount(lab.heldout.targets, minlength=10).astype(float)
        known[index] = 0
        traffic = Traffic(blind, np.where(lab.targets == index, -1, lab.targets))
        for _ in range(windows):
            window = traffic.at(random.choice(len(lab.targets), WINDOW, False))
            truth = window.correct.mean()
            steady = transport.accuracy(window.probabilities, known / known.sum())
            errors.append(100 * abs(steady - truth))
            drop = lab.estimator.accuracy - steady
            alarmed.append(judgement.alarms(lab.estimator, "mix_steady", drop, window.counts(), Policy()))
            fitted.append(100 * abs((lab.estimator.fitted(window.counts()) or 0) - truth))
    return {
        "mix_steady, a class whose column is masked": [float(np.mean(errors))],
        "fitted, a class whose column is masked": [float(np.mean(fitted))],
        "alarms on a class whose column is masked, mix_steady": [100 * float(np.mean(alarmed))],
    }


def of_alarm(lab: Lab, all_scenarios: list[Scenario], clean: int) -> dict[str, list[float]]:
    """Figure 2: what the alarm on the fitted estimate says of clean, harmless and sudden shifts.

    Clean windows are drawn of the half of the held-out images that a second estimator, of the other half, did not see;
    the estimates that take longer judge some of them alone.
    """
    random, ours = np.random.default_rng(3), lab.estimator
    alarmed = partial(_alarmed, ours, "fitted")
    halves = random.permutation(len(lab.heldout.targets)).reshape(2, -1)
    unseen, judge = lab.heldout.at(halves[0]), _refitted(lab, halves[1])
    false: dict[str, list[bool]] = {name: [] for name in JUDGED}
    for number in range(clean):
        window = unseen.at(random.choice(len(halves[0]), WINDOW))
        for name in JUDGED:
            if number % JUDGED[name] == 0:
                false[name].append(_alarmed(judge, name, window))
    harmless, delays = [], []
    for scenario in all_scenarios:
        drop = lab.clean.correct.mean() - scenario.truth.mean()
        if scenario.kind in ("covariate", "mix", "both") and drop < HARMLESS:
            harmless += [alarmed(window) for window in scenario.windows]
        if scenario.kind == "covariate" and drop >= 0.05:
            delays.append(np.median([_delay(lab, window, alarmed, random) for window in scenario.windows]))
    return {
        **{f"alarms of {name} of 1,000 clean windows": [1000 * float(np.mean(of))] for name, of in false.items()},
        "alarms on harmless shifts": [100 * float(np.mean(harmless or [0.0]))],
        "requests to the alarm, median scenario": [float(np.median(delays or [2 * WINDOW]))],
        "requests to the alarm, worst scenario": [float(np.max(delays or [2 * WINDOW]))],
    }


def _alarmed(ours: Estimator, assumes: str, window: Traffic) -> bool:
    drop = ours.accuracy - _estimate(ours, assumes, window)
    return judgement.alarms(ours, assumes, drop, window.counts(), Policy())


def _refitted(lab: Lab, places: NDArray[np.int64]) -> Estimator:
    """An estimator whose baseline excludes the other half of the held-out images."""
    half = lab.heldout.at(places)
    known = estimation.mix_only(half.probabilities, half.targets, lab.classes)
    images = lab.heldout_images[places]

    def answer(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return lab.answers(batch, np.zeros(len(batch), np.int64)).probabilities

    return estimation.fit(known, images, half.targets, answer)


def _delay(
    lab: Lab, window: Traffic, alarmed: Callable[[Traffic], bool], random: np.random.Generator, step: int = 50
) -> int:
    """After how many requests the last thousand are an alarm, where clean ones were before."""
    before = lab.clean.at(random.choice(len(lab.targets), WINDOW, False))
    for count in range(step, WINDOW + 1, step):
        if alarmed(before.at(np.arange(count, WINDOW)).followed_by(window.at(np.arange(count)))):
            return count
    return 2 * WINDOW


def of_intervals(lab: Lab, runs: int, most: int) -> dict[str, list[float]]:
    """Figure 4: labels that come by confidence, three of four where it is low; the interval at every look."""
    random, truth = np.random.default_rng(5), lab.clean.correct.mean()
    served = lab.clean.counts().sum(0)
    shares, positions = served / served.sum(), bins.indices(lab.clean.probabilities.max(1).astype(float))
    count, correct = lab.estimator.counts.sum(0), lab.estimator.correct.sum(0)
    prior = (correct + np.array(cells.MIDDLES)) / (count + 1)
    chances = np.maximum(lab.clean.probabilities.max(1), 0.3) ** -3.0
    looks = np.unique(np.geomspace(100, most, 30).astype(int))
    offs, plain, covered, ever = [], [], [], []
    for _ in range(runs):
        drawn = random.choice(len(positions), most, p=chances / chances.sum())
        wrong = False
        for look in looks:
            known = np.bincount(positions[drawn[:look]], minlength=len(shares)).astype(float)
            right = np.bincount(positions[drawn[:look]], lab.clean.correct[drawn[:look]], minlength=len(shares))
            estimate = intervals.accuracy(known, right, shares, prior)
            inside = estimate is not None and estimate.low <= truth <= estimate.high
            wrong |= not inside
            if estimate is not None and look >= 3000:
                offs.append(100 * abs(estimate.value - truth))
                plain.append(100 * abs(right.sum() / known.sum() - truth))
                covered.append(inside)
        ever.append(wrong)
    return {
        "stratified accuracy, labels by confidence": [float(np.mean(offs))],
        "plain share of right labels": [float(np.mean(plain))],
        "coverage of the interval": [100 * float(np.mean(covered))],
        "streams whose interval is ever wrong": [100 * float(np.mean(ever))],
    }


def measure(quick: bool) -> tuple[dict[str, list[float]], int]:
    """All figures, and how many windows each scenario has."""
    folders = settings.load()
    config = DataConfig.model_validate(DATA)
    dealt = splits.split(datasets.load(config, folders.data, folders.cache), config)
    if quick:
        dealt = replace(dealt, train=dealt.train.only(slice(6000)), holdout=dealt.holdout.only(slice(1000)))
    lab = Lab(dealt, epochs=1 if quick else 4, images=1500 if quick else 10_000)
    mnist = datasets.load(DataConfig(name="mnist"), folders.data, folders.cache)
    strangers = np.asarray(mnist.parts["test"][0][:5000], np.uint8)
    windows = 2 if quick else 20
    everything = made(lab, strangers, windows)
    print(f"{len(everything)} scenarios: {', '.join(scenario.name for scenario in everything)}")
    replayed = slice(240 if quick else 2400)
    figures = {
        **of_estimates(lab, everything),
        **of_unseen(lab, windows),
        **of_alarm(lab, everything, 100 if quick else CLEAN_WINDOWS),
        **labels.of_delays(50 if quick else 2000),
        **labels.of_false_alarms(10**5 if quick else 10**7),
        **of_intervals(lab, 3 if quick else 40, 3000 if quick else 100_000),
        **replicas.of_replicas(
            lab.candidate,
            lab.images[replayed],
            [lab.classes[target] for target in lab.targets[replayed]],
            2 if quick else 3,
        ),
    }
    return figures, windows


def main() -> None:
    options = report.arguments(__doc__ or "")
    figures, windows = measure(options.quick)
    report.tell(
        "drift", windows, {name: report.figure(of, _unit(name)) for name, of in figures.items()}, {}, options.json
    )


UNITS = {
    "labels": ("labels to", "CUSUM"),
    "requests": ("requests",),
    "alarms": ("alarms of", "false alarms"),
    "%": ("alarms on", "coverage", "streams"),
    "rows": ("rows",),
    "counts": ("counts",),
    "CPU-us": ("added",),
}
"""How the names of figures begin, by their unit; all others are points."""


def _unit(name: str) -> str:
    return next((unit for unit, beginnings in UNITS.items() if name.startswith(beginnings)), "points")


if __name__ == "__main__":
    main()
