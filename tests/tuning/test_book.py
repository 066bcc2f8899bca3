"""The book without Ray around it: what it hands out, answers and enters, and in which order."""

import pytest

from registry import extensions, garbage, leases, ledger
from registry.core import Registry
from tailorbird.errors import Corrupt, LeaseLost, Unavailable
from tests import sweeps
from tuning import book, extension, patience, ranks, search
from tuning import spec as specs
from tuning.book import DEATHS, Book
from tuning.work import Measured

METRICS = {"val_accuracy": 0.5, "seconds": 60.0}


@pytest.fixture
def registry(settings):
    with Registry(settings) as opened:
        yield opened


@pytest.fixture
def begin(registry, raw_spec):
    """Begins a sweep of four trials that are each a group, and opens its book."""

    def opened(**changes):
        asked = {**raw_spec, "lanes": 1, "scheduler": "none", **changes}
        spec = specs.parse({key: value for key, value in asked.items() if value is not None})
        plain = spec.model_dump(mode="json", exclude_none=True)
        lease = ledger.begin(registry, "tiny-1", plain, search.suggest(spec, [], lambda _: None), None, "ada")
        return Book(registry, lease, spec)

    return opened


def trials(registry):
    return ledger.trials(registry, "tiny-1")


def test_a_report_is_in_the_ledger_with_its_checkpoint_and_state_in_the_store(begin, registry):
    opened = begin()
    work = opened.work("0.a")
    assert (work.group, work.attempt, work.due, work.state, work.rungs) == (1, 1, [1], None, [])
    assert opened.report(1, 1, [Measured(1, 1, METRICS, b"weights")], b"state") == {1: "go on"}
    first = trials(registry)[0]
    assert (first.status, first.attempt) == ("running", 1)
    assert registry.blobs.get(first.reports[0].checkpoint) == b"weights"
    assert registry.blobs.get(ledger.groups(registry, "tiny-1")[1].state) == b"state"
    assert opened.report(1, 1, [Measured(1, 2, METRICS, whole=True)], None) == {1: "stop"}
    assert trials(registry)[0].status == "finished"


def test_a_checkpoint_that_cannot_be_stored_leaves_no_report(begin, registry, monkeypatch):
    opened = begin()
    opened.work("0.a")

    def full(_data):
        raise Unavailable("no space left")

    monkeypatch.setattr(patience, "PATIENCE", 0)
    monkeypatch.setattr(opened._registry.blobs, "put_all", full)
    with pytest.raises(Unavailable):
        opened.report(1, 1, [Measured(1, 1, METRICS, b"weights", whole=True)], None)
    assert (trials(registry)[0].reports, trials(registry)[0].status) == ([], "running")


def test_a_store_that_is_away_for_a_moment_is_waited_for(begin, registry, monkeypatch):
    opened = begin()
    opened.work("0.a")
    put, tries = registry.blobs.put_all, []

    def away(data):
        tries.append(1)
        if len(tries) < 3:
            raise Unavailable("away")
        return put(data)

    monkeypatch.setattr(patience.time, "sleep", lambda _: None)
    monkeypatch.setattr(opened._registry.blobs, "put_all", away)
    opened.report(1, 1, [Measured(1, 1, METRICS, b"weights")], None)
    assert len(trials(registry)[0].reports) == 1


def test_a_file_that_another_sweep_deletes_before_its_row_is_stored_again(begin, registry, monkeypatch):
    opened = begin()
    opened.work("0.a")
    put, tries = registry.blobs.put_all, []

    def deleted(data):
        digests = put(data)
        tries.append(1)
        if len(tries) < 3:
            registry.blobs.delete(digests)
        return digests

    monkeypatch.setattr(patience.time, "sleep", lambda _: None)
    monkeypatch.setattr(patience, "PATIENCE", 1)
    monkeypatch.setattr(registry.blobs, "put_all", deleted)
    assert opened.report(1, 1, [Measured(1, 1, METRICS, b"weights")], b"state") == {1: "go on"}
    assert registry.blobs.get(trials(registry)[0].reports[0].checkpoint) == b"weights"


def test_what_later_files_replace_is_deleted(begin, registry):
    opened = begin()
    opened.work("0.a")
    for epoch in (1, 2, 3):
        opened.report(1, 1, [Measured(1, epoch, METRICS, f"weights {epoch}".encode())], f"state {epoch}".encode())
    opened.tidy()
    assert {registry.blobs.get(blob.digest) for blob in registry.blobs.listing()} == {b"weights 3", b"state 3"}


@pytest.mark.parametrize("problem", [Corrupt("a manifest is missing"), Unavailable("AccessDenied")])
def test_files_that_cannot_be_deleted_end_no_sweep_and_are_tried_again_with_as_many_new_ones(
    begin, registry, monkeypatch, problem
):
    opened, tries = begin(), []

    def refused(_registry, digests, _packaged):
        tries.append(len(digests))
        raise problem

    monkeypatch.setattr(book, "RUBBISH", 3)
    opened.work("0.a")
    with monkeypatch.context() as patch:
        patch.setattr(garbage, "discard", refused)
        for epoch in range(1, 9):
            opened.report(1, 1, [Measured(1, epoch, METRICS, b"weights %d" % epoch)], None)
        opened.tidy()
    assert tries == [3, 6, 7]
    opened.tidy()
    assert {registry.blobs.get(blob.digest) for blob in registry.blobs.listing()} == {b"weights 8"}


def test_of_what_is_behind_for_good_the_best_are_kept(begin, registry, monkeypatch):
    monkeypatch.setattr(ranks, "FINALISTS", 2)
    opened = begin(scheduler="halving", run={"model": {"family": "mlp"}, "epochs": 4}, space=SAME, trials=7)
    for _ in range(7):
        work = opened.work("0.a")
        (number,) = work.due
        weights, metrics = f"weights {number}".encode(), {"val_accuracy": number / 10}
        opened.report(work.group, work.attempt, [Measured(number, 1, metrics, weights)], f"state {number}".encode())
    opened.tidy()
    assert [trial.outranked for trial in trials(registry)] == [True, True, False, False, False, False, False]
    kept = {f"{kind} {number}".encode() for kind in ("weights", "state") for number in range(3, 8)}
    assert {registry.blobs.get(blob.digest) for blob in registry.blobs.listing()} == kept


@pytest.mark.parametrize(("schedule", "state"), [("constant", b"state"), ("cosine", None)])
def test_a_finished_trial_keeps_its_state_where_it_may_be_made_longer(begin, registry, schedule, state):
    run = {"model": {"family": "mlp"}, "epochs": 2, "schedule": {"name": schedule}}
    opened = begin(run=run, space=SAME, trials=1)
    attempt = opened.work("0.a").attempt
    opened.report(1, attempt, [Measured(1, 1, METRICS, b"1")], b"state")
    opened.report(1, attempt, [Measured(1, 2, METRICS, b"2", whole=True)], None)
    opened.tidy()
    kept = ledger.groups(registry, "tiny-1")[1].state
    assert (kept and registry.blobs.get(kept)) == state


def test_a_trial_that_is_made_longer_goes_on_from_its_state_or_anew_where_its_weights_were_deleted(
    begin, registry, monkeypatch
):
    monkeypatch.setattr(ranks, "FINALISTS", 1)
    opened = begin(run={"model": {"family": "mlp"}, "epochs": 2}, space=SAME, trials=2)
    for number in (1, 2):
        attempt = opened.work("0.a").attempt
        first, last = ({"val_accuracy": (number + epoch) / 10} for epoch in (1, 2))
        opened.report(number, attempt, [Measured(number, 1, first, b"%d1" % number)], b"state %d" % number)
        opened.report(number, attempt, [Measured(number, 2, last, b"%d2" % number, whole=True)], None)
    opened.tidy()
    sweeps.end(registry, "tiny-1", "finished")
    extension.lengthen(registry, "tiny-1", 1, 60, "ada")
    lease = leases.take(registry, "tiny-1", 60, "ada")
    opened = Book(registry, lease, specs.stored(ledger.sweep(registry, "tiny-1").spec))
    anew, kept = opened.work("0.a"), opened.work("1.a")
    assert [(work.due, work.ended, work.state) for work in (anew, kept)] == [([1], {}, None), ([2], {}, b"state 2")]
    assert opened.report(2, kept.attempt, [Measured(2, 2, {"val_accuracy": 0.4}, b"22")], None) == {2: "go on"}
    assert opened.report(1, anew.attempt, [Measured(1, 1, {"val_accuracy": 0.2}, b"11")], None) == {1: "go on"}
    assert registry.blobs.get(trials(registry)[0].reports[0].checkpoint) == b"11"


def test_epochs_that_are_trained_again_for_others_of_the_group_replace_no_later_weights(begin, registry, monkeypatch):
    monkeypatch.setattr(ranks, "FINALISTS", 1)
    opened = begin(run={"model": {"family": "mlp"}, "epochs": 4}, space=SAME, lanes=8, trials=3)
    curves = {1: [0.1, 0.9], 2: [0.2, 0.8], 3: [0.3, 0.7]}

    def reports(epoch):
        return [
            Measured(
                number,
                epoch,
                {"val_accuracy": curve[epoch - 1]},
                f"{number} {epoch}".encode(),
                epoch == 2 and number < 3,
            )
            for number, curve in curves.items()
        ]

    work = opened.work("0.a")
    for epoch in (1, 2):
        opened.report(work.group, work.attempt, reports(epoch), None)
    assert [trial.status for trial in trials(registry)] == ["finished", "finished", "running"]
    opened.lost("0", "killed")
    again = opened.work("0.b")
    opened.report(again.group, again.attempt, reports(1), None)
    opened.tidy()
    assert [trial.outranked for trial in trials(registry)] == [False, True, False]
    assert {registry.blobs.get(blob.digest) for blob in registry.blobs.listing()} == {b"1 2", b"3 2"}


def test_trials_that_confirm_others_are_kept_whatever_their_rank(begin, registry, monkeypatch):
    monkeypatch.setattr(ranks, "FINALISTS", 2)
    opened = begin(confirm={"top": 2, "seeds": 2})
    while (work := opened.work("0.a")) != "done":
        (number,) = work.due
        metrics = {"val_accuracy": number / 10 if number <= 4 else 0.05 * number}
        weights = f"weights {number}".encode()
        opened.report(work.group, work.attempt, [Measured(number, 1, metrics, weights, whole=True)], None)
    opened.tidy()
    assert [(trial.confirms, trial.outranked) for trial in trials(registry)] == [
        (None, True), (None, True), (None, False), (None, False), (4, False), (4, False), (3, False), (3, False),
    ]  # fmt: skip
    assert {registry.blobs.get(blob.digest) for blob in registry.blobs.listing()} == {
        f"weights {number}".encode() for number in range(3, 9)
    }


def test_a_sweep_whose_state_was_deleted_trains_from_the_beginning(begin, registry):
    opened = begin(space=SAME, trials=1)
    first = Measured(1, 1, METRICS, b"weights")
    opened.report(1, opened.work("0.a").attempt, [first], b"state")
    registry.blobs.delete([ledger.groups(registry, "tiny-1")[1].state])
    work = Book(registry, opened._lease, opened._spec).work("0.b")
    assert (work.due, work.state) == ([1], None)
    follower = Book(registry, opened._lease, opened._spec)
    assert follower.report(1, work.attempt, [first], b"state") == {1: "go on"}
    assert registry.blobs.get(ledger.groups(registry, "tiny-1")[1].state) == b"state"


def test_of_trials_that_somebody_listed_all_are_kept(begin, registry, monkeypatch):
    monkeypatch.setattr(ranks, "FINALISTS", 0)
    opened = begin(space=None, trials=None, runs=[{"seed": 1}, {"seed": 2}])
    for _ in range(2):
        work = opened.work("0.a")
        opened.report(work.group, work.attempt, [Measured(work.due[0], 1, METRICS, b"weights", whole=True)], None)
    opened.tidy()
    assert len(list(registry.blobs.listing())) == 1


def test_a_worker_that_asks_again_has_lost_what_it_had(begin, registry):
    opened = begin()
    assert opened.work("0.a").group == 1
    again = opened.work("0.a")
    assert again.group == 2  # the queue goes on; what it had comes again after it
    with pytest.raises(LeaseLost):
        opened.report(1, 1, [Measured(1, 1, METRICS)], None)
    assert [trial.status for trial in trials(registry)] == ["interrupted", "running", "pending", "pending"]


def test_what_is_refused_decides_nothing(begin, registry):
    opened = begin(scheduler="halving", run={"model": {"family": "mlp"}, "epochs": 4}, space=SAME)
    work = opened.work("0.a")
    opened.lost("0", "cut off")
    with pytest.raises(LeaseLost, match="has assigned group 1 of its trials to another worker"):
        opened.report(work.group, work.attempt, [Measured(1, 1, METRICS, b"weights")], None)
    assert trials(registry)[0].reports == [] == list(opened._field.standings[1].scores)


def test_two_lives_in_a_place_take_groups_from_each_other_and_none_fails(begin, registry):
    opened = begin()
    for turn in range(4 * DEATHS):
        opened.work(f"0.{'ab'[turn % 2]}")
    assert {trial.status for trial in trials(registry)} == {"running", "interrupted"}


def test_a_group_whose_process_dies_again_and_again_fails_and_the_others_go_on(begin, registry):
    opened = begin()
    held = []
    for life in range(40):
        work = opened.work(f"0.{life}")
        if work == "done":
            break
        held.append(work.group)
        if work.group == 1:
            opened.lost("0", "killed")
        else:
            opened.report(work.group, work.attempt, [Measured(work.due[0], 1, METRICS, whole=True)], None)
    assert held.count(1) == DEATHS
    assert [(trial.status, trial.problem) for trial in trials(registry)] == [("failed", "killed")] + [
        ("finished", None)
    ] * 3


def test_a_hang_fails_only_trials_that_train(begin, registry):
    runs = [{"epochs": 4, "seed": 1}, {"epochs": 4, "seed": 2}, {"epochs": 8}]
    opened = begin(space=None, trials=None, search=None, promote=None, scheduler="halving", runs=runs, lanes=8)
    work = opened.work("0.a")
    answers = opened.report(1, work.attempt, [Measured(number, 1, METRICS) for number in work.due], None)
    assert answers == {1: "pause", 2: "pause", 3: "go on"}
    opened.fail(1, work.attempt, dict.fromkeys(work.due, "hung"))
    assert [trial.status for trial in trials(registry)] == ["paused", "paused", "failed"]


def test_a_death_after_a_new_epoch_is_not_counted(begin, registry):
    opened = begin()
    for position in range(1, 4):
        opened.work(f"{position}.a")
    for epoch in range(1, 2 * DEATHS):
        work = opened.work(f"0.{epoch}")
        opened.report(work.group, work.attempt, [Measured(4, epoch, METRICS)], None)
        opened.lost("0", "killed")
    assert trials(registry)[3].status == "interrupted"


def test_nothing_is_handed_out_while_others_train_and_all_is_done_at_the_end(begin):
    opened = begin()
    held = [opened.work(f"{position}.a") for position in range(4)]
    assert opened.work("4.a") == "wait"
    for work in held:
        opened.report(work.group, work.attempt, [Measured(work.due[0], 1, METRICS, whole=True)], None)
    assert opened.work("4.a") == "done"


def test_a_limit_pauses_what_runs_and_hands_out_nothing_more(begin, registry):
    opened = begin(limits={"cpu_minutes": 1.5})
    work = opened.work("0.a")
    assert opened.report(1, work.attempt, [Measured(1, 1, METRICS)], None) == {1: "go on"}
    assert opened.report(1, work.attempt, [Measured(1, 2, METRICS)], None) == {1: "go on"}
    assert opened.limit == "limits.cpu_minutes, 1.5"
    assert opened.report(1, work.attempt, [Measured(1, 3, METRICS)], None) == {1: "pause"}
    assert opened.work("1.a") == "done"
    assert [trial.status for trial in trials(registry)] == ["paused", "pending", "pending", "pending"]


def test_a_book_that_died_is_followed_by_one_that_knows_who_trains_what(begin, registry):
    opened = begin()
    work = opened.work("0.a")
    opened.report(1, work.attempt, [Measured(1, 1, METRICS)], None)
    follower = Book(registry, opened._lease, opened._spec)
    assert follower.work("1.a").group != 1
    assert follower.report(1, work.attempt, [Measured(1, 2, METRICS, whole=True)], None) == {1: "stop"}


def test_a_thawed_trial_trains_to_its_end(begin, registry):
    opened = begin(scheduler="halving", run={"model": {"family": "mlp"}, "epochs": 4}, space=SAME)
    for position in range(4):
        work = opened.work(f"{position}.a")
        metrics = {"val_accuracy": work.due[0] / 10}
        assert work.rungs == [1, 3]
        assert (
            opened.report(work.group, work.attempt, [Measured(work.due[0], 1, metrics)], None)[work.due[0]] == "pause"
        )
    sweeps.end(registry, "tiny-1", "interrupted")
    lease = leases.take(registry, "tiny-1", 60, "ada")
    extensions.thaw(registry, lease, 1)
    opened = Book(registry, lease, opened._spec)
    assert [opened.work(f"{position}.a").due for position in range(3)] == [[1], [3], [4]]
    assert (opened._rungs([1]), opened._rungs([3])) == ([], [3])


def test_what_takes_longest_is_handed_out_first(begin):
    opened = begin(scheduler="halving", run={"model": {"family": "mlp"}, "epochs": 4}, space=SAME)
    for position in range(4):
        work = opened.work(f"{position}.a")
        (number,) = work.due
        metrics = {"val_accuracy": number / 10, "seconds": float(number)}
        opened.report(work.group, work.attempt, [Measured(number, 1, metrics)], None)
    assert [opened.work(f"{position}.b").due for position in range(2)] == [[4], [3]]


def test_a_shape_is_tried_first_and_then_the_longest_group_is_handed_out(begin):
    widths = [16, 16, 64, 16, 64, 64]
    runs = [{"model": {"family": "mlp", "width": width}} for width in widths]
    opened = begin(space=None, trials=None, search=None, promote=None, scheduler=None, runs=runs, run={"epochs": 4})
    order = []
    for position, seconds in enumerate((1.0, 5.0, 5.0, 5.0, 1.0, 1.0)):
        work = opened.work(f"{position}.a")
        order += work.due
        metrics = {"val_accuracy": 0.5, "seconds": seconds}
        opened.report(work.group, work.attempt, [Measured(work.due[0], 1, metrics)], None)
    assert order == [1, 3, 5, 6, 2, 4]


def test_trials_are_probed_together_and_begun_anew(begin, registry):
    constant = {"model": {"family": "mlp"}, "epochs": 4}
    opened = begin(scheduler="halving", run=constant, space=SAME, probe=True, lanes=8)
    work = opened.work("0.a")
    assert (work.due, work.rungs) == ([1, 2, 3, 4], [0, 1, 3])
    probed = [Measured(number, 0, {"val_accuracy": number / 10}, b"%d" % number) for number in work.due]
    assert set(opened.report(1, work.attempt, probed, None).values()) == {"pause"}
    work = Book(registry, opened._lease, opened._spec).work("0.b")
    assert (work.due, work.rungs, work.state) == ([3, 4], [1, 3], None)


def test_while_its_rate_decays_no_trial_is_probed(begin):
    decaying = {"model": {"family": "mlp"}, "epochs": 4, "schedule": {"name": "one_cycle"}}
    assert begin(scheduler="halving", run=decaying, space=SAME, probe=True).work("0.a").rungs == [1, 3]


SAME = {"optimizer.lr": {"loguniform": [1e-3, 1e-2]}}
