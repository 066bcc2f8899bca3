"""One study: its spec, which trials it wants, and those that the ledger holds of it."""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from registry import ledger
from registry.core import Registry
from registry.ledger import Sweep, Trial
from tailorbird import yaml_files
from tailorbird.errors import InvalidInput
from tailorbird.settings import Settings
from training import config
from training.config import RunConfig
from tuning import spec as specs
from tuning.report import results
from tuning.report.results import Row
from tuning.spec import SweepSpec

SEEDS = 3
"""Of a run that is behind its reference."""
LARGE = ("cifar10", "fashion_mnist", "mnist")
LEFT_OUT = 0.85
"""Of the images of a large set in a quick round."""

Wanted = list[tuple[int, RunConfig]]
"""Configs, each with the number that the spec counts its trial by."""


@dataclass(frozen=True)
class Held:
    """A finished trial of the ledger, with the sweep that it is of."""

    trial: Trial
    sweep: Sweep


@dataclass(frozen=True)
class Study:
    """A spec, with the sentences at the top of its file."""

    path: Path
    about: str
    spec: SweepSpec
    quick: bool

    @property
    def name(self) -> str:
        return self.path.stem

    def wanted(self, rows: Sequence[Row] = ()) -> Wanted:
        """The configs of the study; those whose row is behind its reference with more seeds."""
        behind = set() if self.quick else {_seedless(row) for row in self.judged(rows) if _behind(row)}
        configs = []
        for number, run in enumerate(self.spec.configs, 1):
            seeds = SEEDS if specs.seedless(_stored(run)) in behind else 1
            configs += [(number, run.model_copy(update={"seed": run.seed + more})) for more in range(seeds)]
        return configs

    def held(self, here: Settings) -> list[Held]:
        """The trials of the study in the ledger, the newest for each config, in the order of the spec."""
        numbers = {specs.seedless(_stored(run)): number for number, run in self.wanted()}
        held: dict[tuple[int, int], Held] = {}
        with Registry(here) as registry:
            for sweep in reversed(ledger.sweeps(registry)):
                if sweep.spec["name"] != self.spec.name or "promote" in sweep.spec:
                    continue
                for trial in filter(None, map(_current, ledger.trials(registry, sweep.id))):
                    trial = _as_wanted(trial, numbers)
                    number = numbers.get(specs.seedless(trial.config))
                    if number and trial.status == "finished":
                        held[number, trial.config["seed"]] = Held(trial, sweep)
        return [held[key] for key in sorted(held)]

    def rows(self, held: Sequence[Held]) -> list[Row]:
        numbers = {specs.seedless(_stored(run)): number for number, run in self.wanted()}
        listed = [(trial.trial, self.spec.listed(numbers[specs.seedless(trial.trial.config)])) for trial in held]
        return results.rows(self.spec, listed)

    def judged(self, rows: Sequence[Row]) -> list[Row]:
        """Rows with all that they are held against: once all are there, the best with the figures of the whole spec."""
        judged = list(rows)
        if self.spec.reference and len(rows) == len({specs.seedless(_stored(config)) for config in self.spec.configs}):
            top = rows.index(results.best(self.spec, rows)[0])
            judged[top] = replace(rows[top], reference={**self.spec.reference, **rows[top].reference})
        return judged

    def missing(self, held: Sequence[Held]) -> Wanted:
        """Configs that are wanted and not in the ledger."""
        trained = [trial.trial.config for trial in held]
        return [(number, run) for number, run in self.wanted(self.rows(held)) if _stored(run) not in trained]

    def part(self, missing: Wanted) -> dict[str, Any]:
        """A spec of some of the trials, as explicit runs."""
        fixed = self.spec.model_dump(
            mode="json", exclude_none=True, exclude={"space", "runs", "search", "trials", "seeds"}
        )
        part = {**fixed, "runs": [self._listed(number, run) for number, run in missing]}
        assert specs.parse(part).configs == [run for _, run in missing]
        return part

    def _listed(self, number: int, run: RunConfig) -> dict[str, Any]:
        listed = self.spec.listed(number)
        own = listed.run
        for key in self.spec.space or {}:
            own = config.assign(own, key, specs.lookup(_stored(run), key))
        fields = {"name": listed.name, "reference": listed.reference}
        return {**{key: value for key, value in fields.items() if value}, **own, "seed": run.seed}


def read(path: Path, *, quick: bool) -> Study:
    """A study's file; for a quick round with few epochs and few images."""
    lines = path.read_text().splitlines()
    about = " ".join(line.removeprefix("# ") for line in lines if line.startswith("#"))
    raw = yaml_files.read(path, "name: fashion-mlp")
    return Study(path, about, specs.parse(_cut(raw) if quick else raw), quick)


def _cut(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A study does not use held-out examples, so a larger held-out split leaves fewer to train on."""
    run, data = raw.get("run", {}), raw["data"]
    large = data["name"] in LARGE
    most = 1 if large else 100 if run.get("batch_size") == "full" else 10
    cut = {**raw, "run": {**run, "epochs": min(run.get("epochs", most), most)}}
    if large:
        cut["data"] = {**data, "holdout": LEFT_OUT}
    if "runs" in raw:
        different: dict[str, Any] = {}
        for one in raw["runs"]:
            short = {**one, "epochs": most} if "epochs" in one else one
            different.setdefault(_unnamed(short), short)
        cut["runs"] = list(different.values())
    return cut


def _unnamed(run: Mapping[str, Any]) -> str:
    """The configs to train: runs that differ only in their epochs are the same once these are cut."""
    return json.dumps({key: value for key, value in run.items() if key not in ("name", "reference")}, sort_keys=True)


def _behind(row: Row) -> bool:
    return any((row.behind(name) or 0.0) > 0 for name in row.reference)


def _seedless(row: Row) -> str:
    return specs.seedless(row.trials[0].config)


def _current(trial: Trial) -> Trial | None:
    """A trial with its config as this release writes it; None where this one accepts it no more."""
    try:
        return replace(trial, config=_stored(config.parse(RunConfig, trial.config)))
    except InvalidInput:
        return None


def _as_wanted(trial: Trial, keys: Container[str]) -> Trial:
    """A trial with `auto` as its precision again, where the study leaves that to the machine."""
    left = {**trial.config, "precision": "auto"}
    settled, unsettled = specs.seedless(trial.config), specs.seedless(left)
    return trial if settled in keys or unsettled not in keys else replace(trial, config=left)


def _stored(run: RunConfig) -> dict[str, Any]:
    """A config as the ledger holds it."""
    return run.model_dump(mode="json")
