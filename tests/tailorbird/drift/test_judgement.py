from dataclasses import replace

import numpy as np
import pytest

from tailorbird.drift import cells, change, judgement
from tailorbird.drift.estimator import Estimator
from tailorbird.drift.judgement import Known, Observed
from tailorbird.drift.policy import Policy
from tailorbird.package.estimator import Error

SURE, UNSURE = 11, 3


def table(sure, unsure):
    counts = np.zeros((2, cells.BINS))
    counts[:, SURE], counts[:, UNSURE] = sure / 2, unsure / 2
    return counts


@pytest.fixture
def known():
    answers = np.zeros((2, 2, cells.BINS), np.int64)
    for index in range(2):
        answers[index, index, SURE], answers[index, 1 - index, SURE] = 396, 4
        answers[index, index, UNSURE], answers[index, 1 - index, UNSURE] = 60, 40
    count, correct = table(800, 200), table(792, 120)
    weights = cells.accuracies(count, correct)
    estimator = Estimator(("cat", "dog"), answers, weights, Error(small=0.01, p90=0.02, all=0.04, window=1000))
    return Known(("cat", "dog"), 0.912, cells.accuracies(count, correct), count, estimator)


NONE = table(0, 0)


def judged(known, predictions=NONE, labels=NONE, correct=NONE, policy=None, **more):
    return judgement.judge(known, Observed(predictions, labels, correct, **more), policy or Policy())


def test_traffic_as_at_registration_is_healthy(known):
    judgement = judged(known, table(800, 200))
    assert (judgement.state, judgement.reasons) == ("healthy", ())
    assert judgement.estimates["fitted"] == pytest.approx(0.912, abs=0.01)
    assert judgement.labelled is None


def test_an_estimated_drop_is_suspected_and_asks_for_labels(known):
    judgement = judged(known, table(400, 600))
    assert judgement.state == "suspected"
    assert "fitted on corruptions" in judgement.reasons[0]
    assert "more labels" in judgement.reasons[-1]


def test_labels_prove_a_drop(known):
    judgement = judged(known, table(800, 200), table(160, 40), table(90, 15))
    assert judgement.state == "drifted"
    assert judgement.labelled.high < 0.912 - Policy().drop


def test_a_change_in_the_labels_order_proves_it_too(known):
    labels, correct = table(800, 200), table(770, 105)
    assert judged(known, table(800, 200), labels, correct).state == "healthy"
    assert judged(known, table(800, 200), labels, correct, evidence=change.THRESHOLD).state == "drifted"


def test_a_baseline_of_few_examples_is_tolerated_to_be_wrong(known):
    few = replace(known, count=known.count / 10)
    assert (known.tolerance, few.tolerance) == (pytest.approx(0.018, abs=0.001), pytest.approx(0.057, abs=0.001))
    labels, correct = table(800, 200), table(770, 105)
    assert judged(few, table(800, 200), labels, correct, evidence=change.THRESHOLD).state == "healthy"


def test_labels_that_are_good_do_not_prove_what_an_old_change_said(known):
    judgement = judged(known, table(800, 200), table(800, 200), table(792, 120), evidence=change.THRESHOLD)
    assert judgement.state == "healthy"


@pytest.mark.parametrize(("mix", "state"), [("steady", "suspected"), ("free", "healthy")])
def test_the_policy_says_which_estimate_alarms_and_a_wide_gap_is_told_by_any(known, mix, state):
    judgement = judged(known, table(800, 200), policy=Policy(class_mix=mix), mix_steady=0.7)
    assert judgement.state == state
    assert "the class mix changed or unknown classes appeared" in judgement.notes[0]


@pytest.mark.parametrize(("estimate", "state"), [(0.855, "healthy"), (0.8, "suspected")])
def test_the_estimate_of_a_steady_mix_may_be_as_low_as_chance_makes_it(known, estimate, state):
    judgement = judged(known, table(800, 200), policy=Policy(class_mix="steady"), mix_steady=estimate)
    assert judgement.state == state
    assert bool(judgement.notes) == (state == "suspected")


@pytest.mark.parametrize(("examples", "state"), [(10, "healthy"), (1000, "suspected")])
def test_a_moved_mix_alarms_only_where_more_than_chance_says_that_it_costs_accuracy(known, examples, state):
    answers = np.zeros((2, 2, cells.BINS), np.int64)
    answers[0, 0, SURE], answers[1, 1, UNSURE], answers[1, 0, UNSURE] = 10, 6, 4
    estimator = Estimator(known.classes, answers * examples // 10, None, None)
    dogs = 60 * answers[1].astype(float)
    judgement = judged(replace(known, accuracy=0.8, estimator=estimator), dogs)
    assert judgement.estimates["mix_moves"] == pytest.approx(0.6, abs=0.05)
    assert judgement.state == state


@pytest.mark.parametrize("predictions", [1, 499])
def test_few_predictions_say_not_what_labels_weigh(known, predictions):
    labels, correct = table(480, 120), table(475, 72)
    judgement = judged(known, table(0, predictions), labels, correct, evidence=change.THRESHOLD)
    assert judgement.state == "healthy"
    assert judgement.labelled == judged(known, NONE, labels, correct).labelled
    assert judgement.labelled.value == pytest.approx(0.912, abs=0.001)


def test_the_interval_is_wider_where_fewer_predictions_say_what_labels_weigh(known):
    labels, correct = table(1600, 400), table(1584, 240)
    few, many, shares = (
        judged(known, predictions, labels, correct).labelled
        for predictions in (table(400, 100), table(400_000, 100_000), NONE)
    )
    assert few.low < many.low < shares.low < shares.high < many.high < few.high
    assert few.high - shares.high == pytest.approx(2 * 0.156 / 500**0.5, abs=0.002)


def test_few_predictions_and_no_labels_are_too_little(known):
    judgement = judged(known, table(20, 5))
    assert judgement.state == "too little data"
    assert "25 predictions" in judgement.reasons[0]


def test_without_an_estimator_only_labels_tell(known):
    bare = replace(known, estimator=None)
    assert judged(bare, table(400, 600)).state == "too little data"
    assert judged(bare, table(800, 200), table(1600, 400), table(1584, 240)).state == "healthy"


def test_the_evidence_is_json(known):
    import json

    judgement = judged(known, table(800, 200), table(160, 40), table(90, 15), evidence=float("inf"))
    assert json.loads(json.dumps(judgement.evidence, allow_nan=False))["labels"]["labels"] == 200
