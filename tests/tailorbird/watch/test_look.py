from collections import deque
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from registry import aliases, history, holds, judgements
from registry.requests import Promotion
from tailorbird import bins
from tailorbird.drift import cells, transport
from tailorbird.drift.estimator import Estimator
from tailorbird.drift.policy import Policy
from tailorbird.errors import NotFound, Unavailable
from tailorbird.package.estimator import Error
from tailorbird.watch import action
from tailorbird.watch.counters import Counters
from tailorbird.watch.look import Watch
from tests import packages
from tests.tailorbird.watch.conftest import BINS, GOOD

BACK = Policy(labels="roll_back", cool_down=60, window=60, label_window=60)


@pytest.fixture
def watch(registry, traffic):
    return lambda policy=BACK: Watch(registry, traffic, "pets", policy)


def rows(registry):
    return [(row.number, row.state, row.action) for row in judgements.page(registry, "pets")]


def test_too_few_labels_and_predictions_are_too_little_data(watch):
    look = watch().look()
    assert (look.judgement.state, look.status, look.action.kind) == ("too little data", 11, "none")
    assert any("more labels" in reason for reason in look.judgement.reasons)


def test_enough_good_labels_are_healthy(watch, traffic):
    traffic.label(2, 480, 25)
    look = watch().look()
    assert (look.judgement.state, look.status) == ("healthy", 0)
    assert look.judgement.labelled.low < 0.95 < look.judgement.labelled.high


def test_a_drop_that_labels_prove_is_rolled_back_once(registry, watch, traffic, later):
    traffic.label(2, 60, 60)
    watching = watch()
    acted = watching.look(later)
    assert (acted.status, acted.action.kind) == (10, "rolled back")
    assert aliases.current(registry, "pets") == 1
    traffic.received = later + timedelta(hours=2)
    traffic.label(1, 60, 60)
    again = watching.look(later + timedelta(hours=2))
    assert (again.version.number, again.judgement.state, again.action.kind) == (1, "drifted", "alert")
    assert "further ones are left to people" in again.action.reasons[0]
    assert aliases.current(registry, "pets") == 1
    assert [move.kind for move in history.moves(registry, "pets")] == ["rollback", "promote", "promote"]
    assert rows(registry) == [(1, "drifted", "alert"), (2, "drifted", "rolled back")]


def test_within_the_cool_down_it_alerts(registry, watch, traffic):
    traffic.label(2, 60, 60)
    look = watch().look()
    assert (look.status, look.action.kind) == (10, "alert")
    assert "cools down until" in look.action.reasons[0]
    assert aliases.current(registry, "pets") == 2


def test_what_a_person_promotes_meanwhile_stays(registry, watch, traffic, later, monkeypatch):
    packages.register(registry, confusion=GOOD, bins=BINS)
    traffic.label(2, 60, 60)
    judged = action._not_better

    def promoted_meanwhile(*seen):
        aliases.promote(registry, Promotion("pets", 3, why="a person knows", who="ada", force=True))
        return judged(*seen)

    monkeypatch.setattr(action, "_not_better", promoted_meanwhile)
    look = watch().look(later)
    assert (look.action.kind, look.action.reasons) == ("alert", ("the alias moved in the meantime",))
    assert aliases.current(registry, "pets") == 3


def test_a_hold_stops_it_and_is_told(registry, watch, traffic, later):
    holds.hold(registry, "pets", held=True, why="a look", who="ada")
    traffic.label(2, 60, 60)
    look = watch().look(later)
    assert look.action.kind == "alert"
    assert "pets is on hold by ada" in look.action.reasons[0]
    assert aliases.current(registry, "pets") == 2


def test_a_version_that_is_not_known_to_be_better_is_not_rolled_back_to(registry, watch, traffic, later):
    traffic.label(1, 60, 60)
    traffic.label(2, 100, 100)
    look = watch().look(later)
    assert look.action.kind == "alert"
    assert "pets:1 is not known to be better: 120 labels give 50.0%" in look.action.reasons[0]


def test_a_worse_baseline_is_not_rolled_back_to_either(registry, traffic, later):
    unsure = {name: {"0.9": {"count": 100, "correct": 40}} for name in packages.CLASSES}
    worse = ((40, 30, 30), (30, 40, 30), (30, 30, 40))
    packages.register(registry, model="owls", confusion=worse, bins=unsure)
    packages.register(registry, model="owls", confusion=GOOD, bins=BINS)
    for number in (1, 2):
        aliases.promote(registry, Promotion("owls", number, why="a test", who="ada", force=True))
    traffic.label(2, 100, 60, model="owls")
    look = Watch(registry, traffic, "owls", BACK).look(later)
    assert "owls:1 is not known to be better: its held-out examples give 40.0%" in look.action.reasons[0]


def test_a_first_version_has_nothing_to_go_back_to(registry, traffic, later):
    packages.register(registry, model="owls", confusion=GOOD, bins=BINS)
    aliases.promote(registry, Promotion("owls", 1, why="a test", who="ada"))
    traffic.label(1, 60, 60, model="owls")
    look = Watch(registry, traffic, "owls", BACK).look(later)
    assert look.action.reasons == ("owls@champion has no earlier version to roll back to",)


def test_labels_of_an_earlier_time_as_champion_do_not_count(registry, watch, traffic):
    traffic.label(2, 60, 60)
    for number in (1, 2):
        aliases.promote(registry, Promotion("pets", number, why="again", who="ada", force=True))
    assert watch().look().judgement.state == "too little data"


def test_a_sweep_is_told_and_not_started(watch, traffic):
    traffic.label(2, 60, 60)
    look = watch(Policy(labels="sweep", sweep="pets.yaml")).look()
    assert (look.action.kind, look.action.command) == ("sweep", "tailorbird sweep pets.yaml")


def test_only_a_change_of_judgement_is_a_row(registry, watch, traffic):
    watching = watch(Policy())
    looks = [watching.look() for _ in range(3)]
    assert [look.changed for look in looks] == [True, False, False]
    traffic.label(2, 480, 25)
    assert watching.look().changed
    assert rows(registry) == [(2, "healthy", "none"), (2, "too little data", "none")]


def test_a_wide_gap_between_estimates_is_news_and_no_change_of_judgement(registry, traffic, answers, estimated):
    traffic.counts, traffic.mix_steady = 10.0 * answers.sum(0), 0.9
    watching = Watch(registry, traffic, "owls", Policy())
    watching.look()
    traffic.mix_steady = 0.6
    looks = [watching.look() for _ in range(2)]
    assert [(look.news, look.changed) for look in looks] == [(True, False), (False, False)]
    assert "the class mix changed or unknown classes appeared" in looks[0].reasons()[-1]
    assert [row.state for row in judgements.page(registry, "owls")] == ["healthy"]


def test_what_cannot_be_read_decides_nothing(registry, traffic, watch, monkeypatch):
    def away(*_):
        raise Unavailable("the Prometheus is away")

    monkeypatch.setattr(traffic, "read", away)
    traffic.label(2, 60, 60)
    with pytest.raises(Unavailable, match="away"):
        watch().look()
    assert (rows(registry), aliases.current(registry, "pets")) == ([], 2)


@pytest.mark.parametrize("since_start", [True, False])
def test_it_says_where_predictions_are_not_of_the_window(watch, traffic, monkeypatch, since_start):
    monkeypatch.setattr(traffic, "read", lambda *_: Counters(traffic.counts, None, since_start))
    assert any("since the server started" in reason for reason in watch().look().reasons()) is since_start


def test_without_a_source_labels_alone_are_judged(registry, traffic):
    traffic.label(2, 480, 25)
    assert Watch(registry, None, "pets", Policy()).look().judgement.state == "healthy"


def test_a_model_that_is_not_there_is_not_found(registry):
    with pytest.raises(NotFound):
        Watch(registry, None, "owls", Policy()).look()


@pytest.fixture
def answers():
    """Of 300 held-out examples [true class, predicted class, bin]: sure ones are right more often."""
    made = np.zeros((3, 3, cells.BINS), np.int64)
    places = [bins.LABELS.index(label) for label in ("0.4", "0.9", "0.999")]
    for true, predicted in np.ndindex(3, 3):
        made[true, predicted, places] = (5, 20, 70) if true == predicted else (2, 1, 0)
    return made


@pytest.fixture
def estimated(registry, answers):
    """A champion that was fitted on these answers."""
    count, correct = answers.sum(0), answers[range(3), range(3)]
    error = Error(small=0.01, p90=0.02, all=0.04, window=1000)
    fitted = Estimator(packages.CLASSES, answers, cells.accuracies(count, correct), error)
    table = {
        name: {
            label: {"count": int(count[row, index]), "correct": int(correct[row, index])}
            for index, label in enumerate(bins.LABELS)
        }
        for row, name in enumerate(packages.CLASSES)
    }
    confusion = tuple(map(tuple, answers.sum(2).tolist()))
    packages.register(registry, "owls", confusion=confusion, bins=table, estimator_json=fitted.encode())
    aliases.promote(registry, Promotion("owls", 1, why="a test", who="ada", force=True))


def test_a_clean_day_has_no_alert(registry, traffic, answers, estimated):
    """A look each quarter of an hour at an hour of traffic as held-out examples are, with labels for unsure ones."""
    random, window, recent = np.random.default_rng(0), deque(maxlen=4), np.empty((0, 3))
    confidences = np.array(cells.MIDDLES)
    watching = Watch(registry, traffic, "owls", Policy(labels="roll_back", class_mix="steady", drop=0.01))
    for look in range(24 * 4):
        drawn = random.choice(answers.size, 900, p=answers.ravel() / answers.sum())
        true, predicted, place = np.unravel_index(drawn, answers.shape)
        counts = np.bincount(predicted * cells.BINS + place, minlength=3 * cells.BINS)
        window.append(counts.reshape(3, cells.BINS))
        sure = confidences[place][:, None]
        rows = np.where(np.arange(3) == predicted[:, None], sure, (1 - sure) / 2)
        recent = np.concatenate((recent, rows))[-transport.ANSWERS :]
        traffic.counts = sum(window)
        traffic.mix_steady = transport.accuracy(recent, np.full(3, 1 / 3)) if len(recent) == transport.ANSWERS else None
        labelled = random.random(900) < np.where(place == bins.LABELS.index("0.4"), 0.2, 0.02)
        traffic.keep("owls", 1, true[labelled], predicted[labelled], place[labelled])
        judged = watching.look(datetime.now(UTC) + timedelta(minutes=15 * look))
        assert judged.action.kind == "none", judged.judgement.reasons
        assert judged.judgement.notes == ()
    assert judged.judgement.labelled.labels > 1000
    assert [row.state for row in judgements.page(registry, "owls")] == ["healthy"]
