import json
import math

import pytest
import sqlalchemy as sa

from registry import leases, ledger, schema, transitions
from registry.core import Registry
from registry.leases import Lease
from registry.ledger import Change, Report, Trial
from tailorbird.errors import Irreproducible, LeaseHeld, NotFound, SweepChanged, Unavailable
from tests import sweeps

SWEEP = "fashion-1a2b3c"
CONFIGS = [{"lr": 0.1}, {"lr": 0.01}, {"lr": 0.001}]


@pytest.fixture
def sweep(registry):
    sweeps.begin(registry, SWEEP, {"name": "fashion"}, CONFIGS, champion=4, who="ada")
    return SWEEP


def statuses(registry, sweep=SWEEP):
    return [trial.status for trial in ledger.trials(registry, sweep)]


# --- beginning


def test_a_sweep_begins_with_all_its_trials_pending(registry, sweep):
    begun = ledger.sweep(registry, sweep)
    assert (begun.id, begun.spec, begun.champion, begun.who) == (sweep, {"name": "fashion"}, 4, "ada")
    assert (begun.status, begun.registered, begun.problem, begun.ended) == ("running", None, None, None)
    assert ledger.trials(registry, sweep) == [Trial(n, config, group=n) for n, config in enumerate(CONFIGS, 1)]
    assert json.loads(json.dumps(begun.record())) == begun.record()


def test_a_sweep_begins_whole_or_not_at_all(registry, sweep):
    with pytest.raises(LeaseHeld, match=f"sweep {SWEEP} is being run by process [0-9]+ on "):
        sweeps.begin(registry, sweep, {}, [{}], champion=None, who="grace")
    assert ledger.sweep(registry, sweep).who == "ada" and len(ledger.trials(registry, sweep)) == 3
    with pytest.raises((sa.exc.StatementError, TypeError), match="not JSON serializable"):
        sweeps.begin(registry, "other", {}, [{"lr": 0.1}, {"lr": object()}], champion=None, who="ada")
    assert [sweep.id for sweep in ledger.sweeps(registry)] == [sweep]


def test_a_sweep_whose_name_was_taken_by_one_that_has_ended_names_no_driver(registry, sweep):
    sweeps.end(registry, sweep, "finished")
    with pytest.raises(SweepChanged):
        sweeps.begin(registry, sweep, {}, [{}], champion=None, who="grace")


def test_a_sweep_may_have_no_trials(registry):
    sweeps.begin(registry, "empty", {}, [], champion=None, who="ada")
    assert ledger.trials(registry, "empty") == []


def test_sweeps_are_listed_newest_first_and_keep_their_trials_apart(registry, sweep, monkeypatch):
    monkeypatch.setattr(schema, "now", lambda: "2020-01-01T00:00:00.000000Z")  # of a machine whose clock is behind
    sweeps.begin(registry, "letters-1", {}, [{}], champion=None, who="grace")
    assert [sweep.id for sweep in ledger.sweeps(registry)] == ["letters-1", sweep]
    assert "2020" in ledger.sweep(registry, "letters-1").created
    sweeps.report(registry, "letters-1", 1, Report(1, {"val_loss": 1.0}))
    assert [trial.reports for trial in ledger.trials(registry, sweep)] == [[], [], []]


def test_a_sweep_that_is_not_there_is_not_found(registry):
    with pytest.raises(
        NotFound, match=r"^sweep: there is no sweep 'nothing'; list the sweeps with `tailorbird sweeps list`"
    ):
        ledger.sweep(registry, "nothing")
    assert ledger.trials(registry, "nothing") == [] and ledger.sweeps(registry) == []


# --- reporting


def test_reports_come_back_by_epoch_with_their_checkpoint(registry, sweep):
    second = Report(2, {"val_loss": 0.25, "val_accuracy": 0.5}, checkpoint=registry.blobs.put(b"weights"))
    first = Report(1, {"val_loss": 0.5, "val_accuracy": 0.25})
    for made in (second, first):
        sweeps.report(registry, sweep, 2, made)
    assert [trial.reports for trial in ledger.trials(registry, sweep)] == [[], [first, second], []]


def test_a_report_of_the_same_epoch_changes_nothing(registry, sweep):
    first = Report(1, {"val_loss": 0.5, "seconds": 1.0}, checkpoint=registry.blobs.put(b"weights"))
    sweeps.report(registry, sweep, 1, first)
    sweeps.report(registry, sweep, 1, first)
    sweeps.report(registry, sweep, 1, Report(1, {"val_loss": 0.5, "seconds": 2.0}))
    assert ledger.trials(registry, sweep)[0].reports == [first]


@pytest.mark.parametrize("figures", [{"val_loss": 0.5000000000000001}, {}, {"val_loss": math.nan}])
def test_an_epoch_that_is_trained_again_has_the_same_figures_or_the_sweep_stops(registry, sweep, figures):
    first = Report(1, {"val_loss": 0.5})
    sweeps.report(registry, sweep, 1, first)
    with pytest.raises(Irreproducible, match=f"trial 1 of {SWEEP} was trained again .* epoch 1 has val_loss "):
        ledger.enter(registry, Lease(sweep, 1), [Change(2, report=first), Change(1, report=Report(1, figures))])
    assert [trial.reports for trial in ledger.trials(registry, sweep)] == [[first], [], []]


def test_a_gpu_that_adds_in_any_order_may_report_nearly_the_same(registry, sweep):
    sweeps.report(registry, sweep, 1, Report(1, {"val_loss": 0.5, "val_accuracy": 0.9}))
    near, far = {"val_loss": 0.509, "val_accuracy": 0.89}, {"val_loss": 0.53, "val_accuracy": 0.9}
    ledger.enter(registry, Lease(sweep, 1), [Change(1, report=Report(1, near), exact=False)])
    assert ledger.trials(registry, sweep)[0].reports[0].metrics == {"val_loss": 0.5, "val_accuracy": 0.9}
    for metrics, exact in ((far, False), (near, True)):
        with pytest.raises(Irreproducible):
            ledger.enter(registry, Lease(sweep, 1), [Change(1, report=Report(1, metrics), exact=exact)])


def test_many_are_outranked_in_batches(registry, sweep, monkeypatch):
    monkeypatch.setattr(ledger, "BATCH", 2)
    lease = Lease(sweep, 1)
    for group in (1, 2, 3):
        attempt = ledger.assign(registry, lease, group, [group], "0.a")
        ledger.enter(registry, lease, [Change(group, "finished")], (group, attempt), registry.blobs.put(b"state"))
    updates = []

    def count(_connection, _cursor, statement, *_):
        updates.extend([statement] if statement.startswith("UPDATE") else [])

    with registry.reading() as connection:
        sa.event.listen(connection.engine, "before_cursor_execute", count)
    ledger.outrank(registry, lease, [1, 2, 3], [1, 2, 3])
    assert len(updates) == 4
    assert all(trial.outranked for trial in ledger.trials(registry, sweep))
    assert all(group.state is None for group in ledger.groups(registry, sweep).values())


def test_a_report_whose_checkpoint_is_not_stored_is_not_entered(registry, sweep):
    with pytest.raises(Unavailable, match=f"a file of {SWEEP} disappeared from the store"):
        sweeps.report(registry, sweep, 1, Report(1, {"val_loss": 0.5}, checkpoint="ab" * 32))
    assert ledger.trials(registry, sweep)[0].reports == []


def test_a_metric_that_is_no_number_comes_back_as_none(registry, sweep):
    sweeps.report(registry, sweep, 1, Report(1, {"val_loss": math.nan, "train_loss": -math.inf, "lr": 0.5}))
    [report] = ledger.trials(registry, sweep)[0].reports
    assert math.isnan(report.metrics["val_loss"]) and math.isnan(report.metrics["train_loss"])
    assert report.metrics["lr"] == 0.5


def test_metrics_come_back_to_the_last_bit(registry, sweep):
    metrics = {"val_loss": 0.1 + 0.2, "lr": 5e-324, "train_loss": 1.7976931348623157e308}
    sweeps.report(registry, sweep, 1, Report(1, metrics))
    assert ledger.trials(registry, sweep)[0].reports[0].metrics == metrics


def test_a_report_of_a_trial_that_is_not_there_is_a_defect(registry, sweep):
    with pytest.raises(sa.exc.IntegrityError):
        sweeps.report(registry, sweep, 9, Report(1, {}))
    with pytest.raises(NotFound):
        sweeps.report(registry, "nothing", 1, Report(1, {}))


def test_an_acknowledged_report_is_never_lost(settings, deaths):
    """Promise 3: killed at every step, what was acknowledged is there, once, with its metrics."""
    with Registry(settings) as registry:
        sweeps.begin(registry, SWEEP, {}, CONFIGS, champion=None, who="ada")

    def report(step):
        made = Report(step, {"val_loss": 1 / step})
        with Registry(settings) as registry:
            sweeps.report(registry, SWEEP, 1, made)
        return made

    kept = []

    def there(acknowledged):
        with Registry(settings) as registry:
            reports = ledger.trials(registry, SWEEP)[0].reports
        assert reports[: len(kept)] == kept and len(reports) - len(kept) in (0, 1)
        assert acknowledged is None or reports[-1] == acknowledged
        kept[:] = reports

    assert deaths(report, there) > 4


# --- ending


PATHS = {
    "pending": [],
    "running": ["running"],
    "paused": ["running", "paused"],
    "stopped": ["running", "stopped"],
    "interrupted": ["running", "interrupted"],
    "failed": ["running", "failed"],
    "finished": ["running", "finished"],
}


@pytest.mark.parametrize("later", transitions.AFTER)
@pytest.mark.parametrize("status", PATHS)
def test_a_trial_changes_as_the_table_allows_and_no_otherwise(registry, sweep, caplog, status, later):
    sweeps.walk(registry, sweep, 2, *PATHS[status], problem="because")
    sweeps.walk(registry, sweep, 2, later, problem="other")
    changed = later in transitions.AFTER[status]
    refusal = [] if changed or later == status else [f"trial 2 of {sweep} is {status} and cannot become {later}"]
    assert [record.getMessage() for record in caplog.records] == refusal
    assert statuses(registry) == ["pending", later if changed else status, "pending"]
    if status != "pending":
        assert ledger.trials(registry, sweep)[1].problem == ("other" if changed else "because")


@pytest.mark.parametrize("status", ["finished", "interrupted", "failed"])
def test_a_sweep_ends_once_and_interrupts_what_still_runs(registry, sweep, status):
    sweeps.walk(registry, sweep, 1, "running", "finished")
    sweeps.set_trial(registry, sweep, 2, "running")
    sweeps.end(registry, sweep, status, registered=5, problem="because")
    ended = ledger.sweep(registry, sweep)
    assert (ended.status, ended.registered, ended.problem) == (status, 5, "because")
    assert ended.ended >= ended.created
    assert statuses(registry) == ["finished", "interrupted", "pending"]
    sweeps.end(registry, sweep, "finished", registered=6)
    assert ledger.sweep(registry, sweep) == ended


def test_an_extended_sweep_keeps_its_version_until_it_registers_another(registry, sweep):
    sweeps.end(registry, sweep, "finished", registered=5)
    for status, registered, kept in (("interrupted", None, 5), ("finished", 6, 6)):
        ledger.end(registry, leases.take(registry, sweep, 60, "ada", "extended"), status, registered=registered)
        assert (ledger.sweep(registry, sweep).status, ledger.sweep(registry, sweep).registered) == (status, kept)


def test_the_end_of_a_sweep_leaves_others_alone(registry, sweep):
    sweeps.begin(registry, "letters-1", {}, [{}], champion=None, who="grace")
    sweeps.set_trial(registry, "letters-1", 1, "running")
    sweeps.end(registry, sweep, "finished")
    assert ledger.sweep(registry, "letters-1").status == "running" and statuses(registry, "letters-1") == ["running"]


@pytest.mark.parametrize(
    ("problem", "kept"),
    [("cut\0off", "cut?off"), ("half \ud800 a pair", "half ? a pair"), ("ä 字 \n'\"", "ä 字 \n'\"")],
)
def test_a_problem_may_hold_what_no_database_takes(registry, sweep, problem, kept):
    sweeps.set_trial(registry, sweep, 1, "failed", problem=problem)
    sweeps.end(registry, sweep, "failed", problem=problem)
    assert ledger.trials(registry, sweep)[0].problem == ledger.sweep(registry, sweep).problem == kept


def test_many_processes_write_one_ledger(settings, race):
    with Registry(settings) as registry:
        sweeps.begin(registry, SWEEP, {}, CONFIGS, champion=None, who="ada")

    def report(n):
        with Registry(settings) as registry:
            for epoch in range(1, 6):
                sweeps.report(registry, SWEEP, 1 + n % 2, Report(epoch, {"seconds": n}))

    assert race(report, 4) == [None] * 4
    with Registry(settings) as registry:
        first, second, _ = ledger.trials(registry, SWEEP)
    assert [report.epoch for report in first.reports] == [report.epoch for report in second.reports] == [1, 2, 3, 4, 5]
