"""A sweep spec in a file, as a user writes it.

Some of its checks are not applied to specs of the ledger, which may have been stored when such specs were accepted.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tailorbird import yaml_files
from tailorbird.errors import InvalidInput
from training import config
from training.config import RunConfig
from tuning import spec as specs
from tuning.scheduler import Scheduler
from tuning.spec import SweepSpec


def read(path: Path, assignments: list[str]) -> SweepSpec:
    """Read a spec, apply `key=value` words to it, and check all of it; raises InvalidInput."""
    changes = yaml_files.read(path, "name: fashion-mlp")
    for assignment in assignments:
        key, _, _ = assignment.partition("=")
        if key.startswith("space."):  # the keys of a space contain dots
            domain = config.override({}, [f"value={assignment.partition('=')[2]}"])["value"]
            domains = changes.get("space") or {}
            if isinstance(domains, Mapping):  # anything else is refused below
                changes = {**changes, "space": {**domains, key.removeprefix("space."): domain}}
        else:
            changes = config.override(changes, [assignment])
    spec = specs.parse(changes)
    _check_effect(spec)
    _check_references(spec)
    _check_told_apart(spec)
    return spec


def _check_effect(spec: SweepSpec) -> None:
    if spec.runs is not None and spec.search == "grid":
        raise InvalidInput("search", "applies only to space; runs are all trained")
    if spec.seed and (spec.runs is not None or spec.search == "grid"):
        raise InvalidInput("seed", "applies only to random search and tpe; the seed of each run is run.seed")
    if spec.probe and spec.stopping != "halving":
        raise InvalidInput("probe", f"applies only to scheduler halving, not {spec.stopping}")
    if spec.probe and not _probes(spec):
        raise InvalidInput(
            "probe",
            "applies only to trials of at least 2 epochs, of which several have the same number of epochs and all of "
            "these have schedule.name constant; there are none",
        )
    if "seed" in (spec.space or {}):
        raise InvalidInput("space.seed", "is not a hyperparameter; repeat each point by seeds")
    asked = {f"runs.{index}": [listed.run.get("precision")] for index, listed in enumerate(spec.runs or [])}
    if of := (spec.space or {}).get("precision"):
        asked["space"] = of.extremes()
    if where := next((where for where, values in asked.items() if "auto" in values), None):
        raise InvalidInput(f"{where}.precision", "auto is decided once for all trials, in run; accepted: fp32, bf16")


def _probes(spec: SweepSpec) -> bool:
    """Whether any of the trials that are known in advance are compared by a probe."""
    brackets: dict[int, list[dict[str, Any]]] = {}
    for run in spec.configs:
        brackets.setdefault(run.epochs, []).append(run.model_dump(include={"epochs", "measure_every", "schedule"}))
    return any(0 in Scheduler(spec.stopping).rungs(rivals, spec.probe) for rivals in brackets.values())


def _check_references(spec: SweepSpec) -> None:
    changes = {"reference": spec.reference}
    changes |= {f"runs.{index}.reference": listed.reference for index, listed in enumerate(spec.runs or [])}
    for field, reference in changes.items():
        for name, value in (reference or {}).items():
            if name.endswith("accuracy") and not 0 <= value <= 1:
                raise InvalidInput(f"{field}.{name}", f"must be from 0 to 1, as 0.97, not {value:g}")


def _check_told_apart(spec: SweepSpec) -> None:
    names: dict[str, tuple[int, RunConfig]] = {}
    seen: dict[str, int] = {}
    for number, run in enumerate(spec.configs if spec.runs else []):
        index, name = number // spec.seeds, spec.listed(number + 1).name
        before = seen.setdefault(run.model_dump_json(), index)
        if before != index:
            raise InvalidInput(f"runs.{index}", f"is runs.{before} again; repeat each run by seeds")
        first, other = names.setdefault(name or "", (index, run))
        if name and other.model_copy(update={"seed": run.seed}) != run:
            raise InvalidInput(f"runs.{index}.name", f"{name!r} is also the name of runs.{first}")
