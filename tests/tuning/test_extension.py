import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry import leases, ledger, repeats
from registry.core import Registry
from registry.ledger import Report
from tailorbird.errors import InvalidInput, LeaseHeld, NotFound, SweepChanged
from tests import sweeps
from training import datasets, splits
from training.features import Views
from tuning import extension, ranks, search, session
from tuning import spec as specs
from tuning.book import Book
from tuning.report import results


@pytest.fixture
def registry(settings):
    with Registry(settings) as opened:
        yield opened


@pytest.fixture
def swept(registry, raw_spec):
    """A sweep of four trials that has ended: finished, paused, stopped and failed."""
    spec = specs.parse(raw_spec)
    plain = [config.model_dump(mode="json") for config in spec.configs]
    sweeps.begin(registry, "tiny-1", spec.model_dump(mode="json", exclude_none=True), plain)
    for number, status in enumerate(("finished", "paused", "stopped", "failed"), 1):
        sweeps.set_trial(registry, "tiny-1", number, status)
    sweeps.end(registry, "tiny-1", "finished")
    return "tiny-1"


def statuses(registry):
    return [(trial.status, trial.thawed) for trial in ledger.trials(registry, "tiny-1")]


ENDED = [("finished", False), ("paused", False), ("stopped", False), ("failed", False)]


def test_more_trials_stand_in_the_spec(registry, swept):
    extension.add_trials(registry, swept, 3, 60, "ada")
    sweep = ledger.sweep(registry, swept)
    assert (sweep.spec["trials"], sweep.status) == (7, "interrupted")
    assert statuses(registry) == ENDED
    assert specs.stored(sweep.spec).trials == 7


def test_the_spec_before_extensions_is_known(registry, swept):
    before = ledger.sweep(registry, swept).spec
    assert extension.forms(before) == [before]
    for count in (3, 2):
        extension.add_trials(registry, swept, count, 60, "ada")
    extended = ledger.sweep(registry, swept).spec
    assert extension.forms(extended) == [before, {**before, "trials": 9}]


@pytest.fixture
def ended(registry, raw_spec):
    """Makes a sweep of constant rate whose trials have finished with these scores by epoch, and ends it."""

    def make(*curves, status="finished", **changes):
        del raw_spec["space"]["epochs"], raw_spec["run"]["schedule"]
        changed = {**raw_spec, "trials": len(curves), **changes}
        changed["run"] = raw_spec["run"] | {"epochs": len(curves[0])} | changes.get("run", {})
        spec = specs.parse({key: value for key, value in changed.items() if value is not None})
        plain = [config.model_dump(mode="json") for config in spec.configs]
        sweeps.begin(registry, "tiny-1", spec.plain(), plain)
        for number, curve in enumerate(curves, 1):
            for epoch, score in enumerate(curve, 1):
                sweeps.report(registry, "tiny-1", number, Report(epoch, {"val_accuracy": score}))
            sweeps.set_trial(registry, "tiny-1", number, "finished")
        sweeps.end(registry, "tiny-1", status)
        return spec

    return make


def test_a_longer_sweep_is_as_if_it_had_been_started_so(registry, ended, raw_spec):
    spec = ended([0.1, 0.2], [0.3, 0.4], scheduler="none")
    extension.lengthen(registry, "tiny-1", 4, 60, "ada")
    longer, trials = ledger.sweep(registry, "tiny-1"), ledger.trials(registry, "tiny-1")
    long = specs.parse(spec.plain() | {"run": {**spec.run, "epochs": 6}})
    assert (specs.stored(longer.spec), longer.status) == (long, "interrupted")
    assert [trial.config for trial in trials] == [config.model_dump(mode="json") for config in long.configs]
    assert statuses(registry) == [("interrupted", False)] * 2
    assert extension.forms(longer.spec) == [spec.plain(), long.plain()]


@pytest.mark.parametrize(
    ("epochs", "scheduler", "expected"),
    [
        (2, "halving", ["interrupted"] * 4),
        (3, "halving", ["paused"] * 4),
        (3, "asha", ["stopped", "interrupted", "stopped", "interrupted"]),
        (3, "none", ["interrupted"] * 4),
    ],
)
def test_trials_whose_end_is_a_rung_of_the_longer_sweep_are_compared_there(
    registry, ended, epochs, scheduler, expected
):
    ended(*([score] * epochs for score in (0.1, 0.4, 0.2, 0.3)), scheduler=scheduler)
    extension.lengthen(registry, "tiny-1", 3, 60, "ada")
    assert [status for status, _ in statuses(registry)] == expected


def test_trials_that_stopped_early_stay_finished(registry, ended):
    stopping = {"early_stopping": {"patience": 2}}
    ended([0.1, 0.5, 0.4, 0.5], [0.1, 0.2, 0.3, 0.2], scheduler="none", run=stopping)
    extension.lengthen(registry, "tiny-1", 4, 60, "ada")
    assert [status for status, _ in statuses(registry)] == ["finished", "interrupted"]


def test_listed_runs_are_longer_each_by_the_same(registry, ended):
    runs = [{"model": {"width": 8}}, {"epochs": 2}]
    ended([0.1, 0.2], [0.1, 0.2], space=None, trials=None, runs=runs, run={"epochs": 2})
    extension.lengthen(registry, "tiny-1", 1, 60, "ada")
    spec = specs.stored(ledger.sweep(registry, "tiny-1").spec)
    assert [config.epochs for config in spec.configs] == [3, 3]
    assert [trial.config["epochs"] for trial in ledger.trials(registry, "tiny-1")] == [3, 3]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"run": {"schedule": {"name": "cosine"}}},
            "requires a constant learning rate; schedule.name of trial 1 is cosine",
        ),
        ({"run": {"measure_every": 3}}, "requires epochs divisible by measure_every; trial 1 has 2 and 3"),
        ({"run": {"epochs": 1}, "probe": True}, "requires 2 epochs or more with probe; the sweep has 1"),
        ({"run": {"epochs": 99_999}}, "epochs: must be less than or equal to 100000, not 100001"),
        ({"status": "cancelled"}, "tiny-1 is cancelled; accepted: a sweep that is finished"),
        ({"status": "interrupted"}, "tiny-1 is interrupted; accepted: a sweep that is finished"),
    ],
)
def test_what_would_be_another_sweep_if_it_were_longer_is_refused(registry, ended, changes, problem):
    ended([0.1, 0.2], [0.3, 0.4], **changes)
    before = ledger.sweep(registry, "tiny-1"), ledger.trials(registry, "tiny-1")
    with pytest.raises(InvalidInput) as refused:
        extension.lengthen(registry, "tiny-1", 2, 60, "ada")
    assert str(refused.value) == f"--epochs: {problem}"
    assert (ledger.sweep(registry, "tiny-1"), ledger.trials(registry, "tiny-1")) == before


def test_a_sweep_over_epochs_is_not_made_longer(registry, swept):
    with pytest.raises(InvalidInput, match="--epochs: applies only where epochs is not a key of space"):
        extension.lengthen(registry, swept, 1, 60, "ada")


def test_a_sweep_that_runs_is_not_made_longer(registry, raw_spec):
    spec = specs.parse(raw_spec)
    sweeps.begin(registry, "tiny-1", spec.plain(), [config.model_dump(mode="json") for config in spec.configs])
    with pytest.raises(InvalidInput, match="--epochs: tiny-1 is running; accepted: a sweep that is finished"):
        extension.lengthen(registry, "tiny-1", 1, 60, "ada")


@pytest.mark.parametrize("number", [2, 3])
def test_what_was_left_behind_is_thawed(registry, swept, number):
    extension.thaw(registry, swept, number, 60, "ada")
    expected = [("paused", True) if index == number else one for index, one in enumerate(ENDED, 1)]
    assert statuses(registry) == expected
    assert ledger.sweep(registry, swept).status == "interrupted"


def test_what_failed_is_to_be_trained_again(registry, swept):
    assert extension.retry(registry, swept, 60, "ada") == 1
    assert statuses(registry) == [*ENDED[:3], ("interrupted", False)]
    with pytest.raises(InvalidInput, match="no trial of tiny-1 has failed"):
        extension.retry(registry, swept, 60, "ada")


def test_what_cannot_be_extended_is_told(registry, swept, raw_spec):
    with pytest.raises(NotFound, match="--thaw: tiny-1 has no trial 9; accepted: 1 to 4"):
        extension.thaw(registry, swept, 9, 60, "ada")
    with pytest.raises(InvalidInput, match="trial 1 is finished; accepted: one that is paused or stopped"):
        extension.thaw(registry, swept, 1, 60, "ada")
    with pytest.raises(NotFound, match="there is no sweep 'other'"):
        extension.retry(registry, "other", 60, "ada")
    del raw_spec["space"], raw_spec["trials"]
    spec = specs.parse({**raw_spec, "runs": [{}]})
    plain = [config.model_dump(mode="json") for config in spec.configs]
    sweeps.begin(registry, "listed", spec.model_dump(mode="json", exclude_none=True), plain)
    with pytest.raises(InvalidInput, match="--trials: applies only to random search and tpe"):
        extension.add_trials(registry, "listed", 1, 60, "ada")


def test_a_sweep_that_runs_is_not_extended(registry, raw_spec):
    spec = specs.parse(raw_spec)
    plain = [config.model_dump(mode="json") for config in spec.configs]
    sweeps.begin(registry, "tiny-1", spec.model_dump(mode="json", exclude_none=True), plain)
    with pytest.raises(LeaseHeld):
        extension.add_trials(registry, "tiny-1", 1, 60, "ada")


def test_of_extensions_at_the_same_time_each_is_made_or_refused(settings, registry, swept):
    barrier = threading.Barrier(6)

    def extend(_):
        with Registry(settings) as opened:
            barrier.wait()
            try:
                extension.add_trials(opened, swept, 1, 60, "ada")
            except (LeaseHeld, SweepChanged):
                return 0
            return 1

    with ThreadPoolExecutor(barrier.parties) as pool:
        made = sum(pool.map(extend, range(barrier.parties)))
    assert made >= 1
    assert ledger.sweep(registry, swept).spec["trials"] == 4 + made


LONG = 6


@pytest.fixture
def train(registry, monkeypatch):
    """Trains what a sweep has to train, in this process; a `crash` ends it after so many reports."""
    monkeypatch.setattr(session, "STORE_EVERY", 0)  # seconds, so that there is always a state to go on from

    def until_the_end(lease, spec, views, crash=None):
        book, reports = Book(registry, lease, spec), itertools.count(1)
        while (work := book.work("0.a")) != "done":
            training = session.Session(work, views, spec.objective)
            while not training.over:
                step = training.step()
                training.obey(book.report(work.group, work.attempt, step.measured, step.state))
                if next(reports) == crash:
                    return ledger.end(registry, lease, "interrupted")
        book.tidy()
        return ledger.end(registry, lease, "finished")

    return until_the_end


def curves(registry, sweep):
    """All that trials reported, but times, and final figures where they did not end."""
    return [
        (trial.number, trial.status, trial.config, [_plain(report, trial) for report in trial.reports])
        for trial in ledger.trials(registry, sweep)
    ]


def _plain(report, trial):
    whole = trial.status == "finished" and report is trial.reports[-1]
    ignored = ("seconds", *([] if whole else repeats.FINAL))
    metrics = {name: value for name, value in report.metrics.items() if not name.startswith(ignored)}
    return report.epoch, metrics, report.checkpoint


@pytest.mark.parametrize("crash", [None, 2])
@pytest.mark.parametrize(("scheduler", "lanes", "finalists"), [("none", 8, 9), ("none", 8, 2), ("halving", 8, 9)])
def test_trials_that_train_longer_end_as_those_that_were_so_long_from_the_start(
    registry, train, monkeypatch, scheduler, lanes, finalists, crash
):
    """With a state or, where their weights were deleted, without; half of the epochs are a rung of the longer sweep."""
    monkeypatch.setattr(ranks, "FINALISTS", finalists)
    raw_spec = {
        "name": "tiny",
        "data": {"name": "iris", "validation": 0.2, "holdout": 0},
        "run": {"model": {"family": "mlp", "width": 8}, "epochs": LONG // 2, "precision": "fp32", "device": "cpu"},
        "space": {"optimizer.lr": {"loguniform": [1e-3, 1e-1]}},
        "trials": 9, "scheduler": scheduler, "lanes": lanes,
    }  # fmt: skip
    short = specs.parse(raw_spec)
    long = specs.parse({**raw_spec, "run": {**raw_spec["run"], "epochs": LONG}})
    views = Views(splits.split(datasets.load(short.data, None, None), short.data))
    for name, spec in (("long", long), ("short", short)):
        suggested = search.suggest(spec, [], lambda _: None)
        train(ledger.begin(registry, name, spec.plain(), suggested, None, "ada"), spec, views)
    extension.lengthen(registry, "short", LONG - LONG // 2, 60, "ada")
    spec = specs.stored(ledger.sweep(registry, "short").spec)
    for end in (crash, None):
        if ledger.sweep(registry, "short").status != "finished":
            train(leases.take(registry, "short", 60, "ada"), spec, views, end)
    assert ledger.sweep(registry, "short").status == "finished"
    assert curves(registry, "short") == curves(registry, "long")
    assert rows(registry, "short") == rows(registry, "long")


def rows(registry, sweep):
    """The rows of the sweep's report, without times."""
    record = results.read(registry, sweep).record()["rows"]
    for row in record:
        del row["figures"]["seconds"], row["figures"]["accuracy_per_second"]
    return record
