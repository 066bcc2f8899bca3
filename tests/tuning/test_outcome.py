from registry.ledger import Report, Trial
from training.config import Objective
from tuning.outcome import rank


def trial(number, *accuracies, status="finished"):
    reports, best = [], 0.0
    for epoch, accuracy in enumerate(accuracies, 1):
        kept = "digest" if accuracy > best else None
        best = max(best, accuracy)
        reports.append(Report(epoch, {"val_accuracy": accuracy, "val_loss": 1 - accuracy}, kept))
    return Trial(number, {}, status, None, reports)


def test_a_trial_ranks_by_its_best_epoch():
    ranked = rank([trial(1, 0.5, 0.7), trial(2, 0.9, 0.1), trial(3, 0.8)], Objective())
    assert [(one.trial.number, one.best.epoch) for one in ranked] == [(2, 1), (3, 1), (1, 2)]


def test_of_equals_the_earlier_is_better():
    assert [one.trial.number for one in rank([trial(1, 0.5), trial(2, 0.5)], Objective())] == [1, 2]


def test_what_failed_or_was_interrupted_or_never_reported_does_not_count():
    trials = [trial(1, 0.9, status="failed"), trial(2, 0.9, status="interrupted"), trial(3), trial(4, 0.1)]
    assert [one.trial.number for one in rank(trials, Objective())] == [4]


def test_what_the_scheduler_stopped_counts():
    assert [one.trial.number for one in rank([trial(1, 0.2), trial(2, 0.4, status="stopped")], Objective())] == [2, 1]


def test_a_loss_is_better_when_smaller():
    ranked = rank([trial(1, 0.5), trial(2, 0.9)], Objective(metric="val_loss", mode="min"))
    assert [one.trial.number for one in ranked] == [2, 1]
