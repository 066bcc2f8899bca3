"""Running a sweep: trials on Ray Tune, every report in the ledger, the best into the registry."""

import math
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from rich.console import Console

from registry import aliases, ledger, names, policy, signing
from registry.core import Registry
from tailorbird.errors import Interrupted, InvalidInput, TailorbirdError, Unavailable
from tailorbird.settings import Settings
from training import candidate, datasets, requirements, splits
from training.splits import Splits
from tuning import cluster, outcome, promotion, writer
from tuning.outcome import Outcome
from tuning.progress import LiveTable
from tuning.spec import SweepSpec
from tuning.stop import Stop
from tuning.trial import Trial


def run(spec: SweepSpec, settings: Settings, console: Console, who: str, address: str | None = None) -> Outcome:
    """Run a checked spec to its end.

    Raises Interrupted on Ctrl-C or SIGTERM: the ledger keeps what was reported, and nothing is registered.
    """
    dataset = datasets.load(spec.data, settings.data, settings.cache, settings.download_timeout)
    dealt = splits.split(dataset, spec.data)
    _check_runs(spec, dealt)
    if spec.promote:
        candidate.check(dealt)
    _check_registry(settings, who)
    for note in dealt.notes:
        console.print(note, style="yellow", soft_wrap=True)
    sweep = f"{spec.name}-{secrets.token_hex(3)}"
    stop = Stop()
    # caught twice: Ray sets a handler of its own for SIGTERM when it starts, which aborts the process
    with Registry(settings) as registry, stop.caught(), cluster.connected(address) as folder, stop.caught():
        _check_room(spec, console, own=cluster.is_own(address))
        champion = aliases.current(registry, spec.promote.model, spec.promote.alias) if spec.promote else None
        book = writer.start(settings, sweep)
        configs = [one.model_dump(mode="json") for one in spec.configs]
        _answer(book.begin.remote(spec.model_dump(mode="json", exclude_none=True), configs, champion, who))
        with _closed(book, registry, sweep) as closing:
            with stop.searching():
                _search(spec, configs, dealt.without_verdicts() if spec.promote else dealt, book, folder, console)
            ranked = outcome.rank(ledger.trials(registry, sweep), spec.objective)
            if not ranked:
                raise TailorbirdError(f"no trial of {sweep} succeeded: {_first_problem(registry, sweep)}")
            if not spec.promote:
                return Outcome(sweep, ranked, None)
            console.print(f"measuring and exporting trial {ranked[0].trial.number}")
            made = promotion.measure(registry, ranked[0], dealt)
            data = {**spec.data.model_dump(mode="json"), "sha256": dataset.digest()}
            lineage = promotion.lineage(ranked[0], sweep, data, champion, spec.objective)
            with stop.committing():
                promoted = promotion.enter(registry, made, spec.promote, lineage, champion, who)
                closing.registered = promoted.version.number
    return Outcome(sweep, ranked, promoted)


_KILLED = (
    "its process was killed; if its node ran out of memory, try fewer trials at a time (resources.cpus), "
    "a smaller batch_size or a smaller data.size"
)
_DEATH = re.compile(r"^The actor died|OutOfMemoryError", re.MULTILINE)
_CLASS = re.compile(r"^(\w+\.)+\w+: |^\w+Error: ")
"""What Ray puts before the message of an error."""


class _Follower(tune.Callback):  # type: ignore[misc]
    """Carries what Tune tells its driver to the table, and the ends that a worker cannot tell to the ledger."""

    def __init__(self, table: LiveTable, book: Any) -> None:
        self._table, self._book = table, book

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks into a file that nobody reads; a terminal cannot be pickled

    def on_trial_result(self, *, trial: Any, result: dict[str, Any], **_: Any) -> None:
        self._table.report(trial.config["trial"]["number"], result)

    def on_trial_complete(self, *, trial: Any, **_: Any) -> None:
        self._end(trial, "finished" if trial.last_result["whole"] else "stopped", None)

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:
        # the worker entered its reason if it could; this one is for a worker that died
        said = Path(trial.error_file).read_text(encoding="utf-8").strip()
        self._end(trial, "failed", _KILLED if _DEATH.search(said) else _CLASS.sub("", said.splitlines()[-1]))

    def _end(self, trial: Any, status: str, problem: str | None) -> None:
        number = trial.config["trial"]["number"]
        _answer(self._book.set_trial.remote(number, status, problem))
        self._table.end(number, status, problem)


def _search(
    spec: SweepSpec, configs: list[dict[str, Any]], dealt: Splits, book: Any, folder: Path, console: Console
) -> None:
    """Let Tune place the trials and, with a scheduler, stop the hopeless ones; what to try was decided before."""
    gpus = spec.resources.gpus
    if gpus is None:
        gpus = min(1, ray.cluster_resources().get("GPU", 0))
    trainable = tune.with_parameters(Trial, splits=dealt, writer=book, objective=spec.objective)
    with LiveTable(spec, console) as table:
        tune.Tuner(
            tune.with_resources(trainable, {"cpu": spec.resources.cpus, "gpu": gpus}),
            param_space={"trial": tune.grid_search([{"number": n, "run": one} for n, one in enumerate(configs, 1)])},
            tune_config=tune.TuneConfig(
                scheduler=_scheduler(spec),
                reuse_actors=True,
                trial_name_creator=lambda trial: str(trial.config["trial"]["number"]),
                trial_dirname_creator=lambda trial: str(trial.config["trial"]["number"]),
            ),
            run_config=tune.RunConfig(
                name=spec.name,
                storage_path=str(folder),
                callbacks=[_Follower(table, book)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # the ledger names the checkpoints
                verbose=0,
            ),
        ).fit()


def _scheduler(spec: SweepSpec) -> tune.schedulers.TrialScheduler | None:
    if spec.scheduler == "none":
        return None
    longest = max(math.ceil(one.epochs / one.measure_every) for one in spec.configs)  # reports
    return tune.schedulers.ASHAScheduler(
        metric=spec.objective.metric,
        mode=spec.objective.mode,
        max_t=longest,
        grace_period=max(1, longest // 9),  # two rungs of a third each; the first epochs of a long run tell little
        reduction_factor=3,
    )


def _check_runs(spec: SweepSpec, dealt: Splits) -> None:
    """Refuse what does not fit the data before Ray starts."""
    for one in spec.configs:
        try:
            requirements.check(one, dealt, spec.objective)
        except InvalidInput as error:
            if error.field.startswith(("objective.", "data")):
                raise
            place = "space" if error.field in (spec.space or {}) else "runs" if spec.runs else "run"
            raise InvalidInput(f"{place}.{error.field}", error.problem) from None


def _check_registry(settings: Settings, who: str) -> None:
    """Refuse before hours of training what would fail after them."""
    names.check_text("--who", who, names.WHO)
    policy.load(settings.gates)
    if settings.signing_key is not None:
        signing.private_key(settings.signing_key)
    with Registry(settings) as registry:
        if registry.database.read_only:
            raise Unavailable(f"the database {registry.database.name} is read-only, and a sweep is recorded in it")


def _check_room(spec: SweepSpec, console: Console, own: bool) -> None:
    """Say so where no node has room for a trial; a cluster of the user's own may still grow."""
    there = ray.cluster_resources()
    for name, wanted in (("CPU", spec.resources.cpus), ("GPU", spec.resources.gpus or 0)):
        if wanted > there.get(name, 0):
            what = f"a trial wants {wanted:g} {name}s, and the Ray cluster has {there.get(name, 0):g} in all"
            if own:
                raise InvalidInput(f"resources.{name.lower()}s", what)
            console.print(f"{what}: it waits until a node with more joins", style="yellow")


def _answer(future: Any) -> None:
    """Wait for the writer; what went wrong there is told as if it had gone wrong here."""
    try:
        ray.get(future)
    except (ray.exceptions.OutOfMemoryError, ray.exceptions.RayActorError):
        raise Unavailable(f"what writes the ledger ended: {_KILLED}") from None
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, TailorbirdError):
            raise error.cause from None
        raise


@dataclass
class _Closing:
    registered: int | None = None


@contextmanager
def _closed(book: Any, registry: Registry, sweep: str) -> Iterator[_Closing]:
    """See to it that the ledger says how the sweep ended, however it did."""

    def end(status: str, problem: str | None = None) -> None:
        try:
            _answer(book.end.remote(status, closing.registered, problem))
        except (ray.exceptions.RayError, Unavailable):  # the writer is dead, so we may write in its place
            ledger.end(registry, sweep, status, registered=closing.registered, problem=problem)

    closing = _Closing()
    try:
        yield closing
    except KeyboardInterrupt:
        end("interrupted")
        raise Interrupted(
            f"sweep {sweep} was interrupted and registered nothing; `tailorbird sweeps show {sweep}` shows its trials"
        ) from None
    except BaseException as error:
        end("failed", str(error))
        raise
    end("finished")


def _first_problem(registry: Registry, sweep: str) -> str:
    return next((trial.problem for trial in ledger.trials(registry, sweep) if trial.problem), "none reported an epoch")
