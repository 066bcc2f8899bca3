import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from registry import aliases, claims, history, verification, versions
from registry.requests import Promotion
from tailorbird.errors import Refused
from tailorbird.package.baseline import Baseline, Bin
from tailorbird.package.heldout import Heldout
from tailorbird.package.measurements import Export, Measurements
from tailorbird.shares import standard_error
from tests import packages
from tests.packages import ABOUT, PARITY

CLASSES = ("cat", "dog")


def answered(right=35, samples=40, confidence=0.9):
    """Images of both classes in turn, the first `right` of them answered rightly."""
    labels = np.arange(samples, dtype=np.int32) % 2
    answers = np.where(np.arange(samples) < right, labels, 1 - labels)
    probabilities = np.where(answers[:, None] == [0, 1], confidence, 1 - confidence).astype(np.float32)
    return Heldout(np.zeros((samples, 16), np.uint8), probabilities, labels)


FIGURES = {"accuracy": 0.875, "standard_error": standard_error(0.875, 40), "samples": 40, "calibration_error": 0.025}
EVIDENCE = ABOUT.evidence.model_copy(update=FIGURES)
BINS = {"cat": {"0.8": {"count": 21, "correct": 18}}, "dog": {"0.8": {"count": 19, "correct": 17}}}
BASELINE = Baseline.of({**FIGURES, "confusion": [[18, 2], [3, 17]], "bins": BINS, "test": ABOUT.evidence.test.record()})


def denied(heldout=None, kept=None, **baseline):
    claimed = BASELINE.model_copy(update=baseline)
    return list(claims.denied(heldout or answered(), CLASSES, claimed, EVIDENCE.model_copy(update=kept or {})))


def test_figures_that_are_those_of_the_answers_are_not_denied():
    assert denied() == denied(accuracy=0.875 + 9e-7) == []
    assert denied(calibration_error=None, kept={"calibration_error": None}) == []


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        ({"accuracy": 0.99}, "accuracy 99% of 40 images, the answers in heldout.npy give 87.5% of 40"),
        ({"accuracy": 0.5}, "accuracy 50% of 40 images, the answers in heldout.npy give 87.5% of 40"),
        ({"accuracy": 0.875002}, "accuracy 87.5002% of 40 images, the answers in heldout.npy give 87.5% of 40"),
        ({"samples": 4000}, "accuracy 87.5% of 4000 images, the answers in heldout.npy give 87.5% of 40"),
        ({"accuracy": math.nan}, "accuracy nan% of 40 images, the answers in heldout.npy give 87.5% of 40"),
        ({"calibration_error": 0.001}, "calibration error 0.001, the answers in heldout.npy give 0.025"),
        ({"standard_error": 0.001}, "standard error 0.001, the answers in heldout.npy give 0.0526862"),
    ],
)
def test_a_figure_that_the_answers_deny_is_told_beside_theirs(claim, told):
    assert denied(**claim) == [f"baseline.json says {told}"]
    assert denied(kept=claim) == [f"the registry says {told}"]


def test_a_confusion_that_the_answers_deny_is_told_by_its_first_count():
    assert denied(confusion=[[18, 2], [0, 20]]) == [
        "baseline.json says 0 images of 'dog' answered with 'cat', the answers in heldout.npy give 3"
    ]
    assert denied(confusion=[[17, 3], [3, 17]]) == [
        "baseline.json says 17 images of 'cat' answered with 'cat', the answers in heldout.npy give 18"
    ]


@pytest.mark.parametrize(
    ("name", "label", "cell", "told"),
    [
        ("cat", "0.8", (21, 17), "correct 17 of 'cat' in bin 0.8, the answers in heldout.npy give 18"),
        ("dog", "0.8", (10**6, 17), "count 1000000 of 'dog' in bin 0.8, the answers in heldout.npy give 19"),
        ("dog", "0.9", (1, 0), "count 1 of 'dog' in bin 0.9, the answers in heldout.npy give 0"),
    ],
)
def test_bins_that_the_answers_deny_are_told_by_their_first_count(name, label, cell, told):
    changed = {**BASELINE.bins, name: {**BASELINE.bins[name], label: Bin(count=cell[0], correct=cell[1])}}
    assert denied(bins=changed) == [f"baseline.json says {told}"]
    assert denied(bins={})[0].startswith("baseline.json says count 0 of 'cat' in bin 0.8, ")


def test_what_answers_nothing_is_wrong_and_has_no_calibration():
    held = answered()
    held.probabilities[0] = math.nan  # argmax takes it for 'cat', which would be right
    unknown = {"calibration_error": None, "accuracy": 34 / 40, "standard_error": standard_error(34 / 40, 40)}
    cat = {"0.8": Bin(count=20, correct=17), "0.999": Bin(count=1, correct=0)}
    counted = {"bins": BASELINE.bins | {"cat": cat}}
    assert denied(held, kept=unknown, **unknown, **counted) == []
    wrong, unlikely, uncalibrated = denied(held, kept=unknown, **counted)
    assert unlikely.startswith("baseline.json says standard error ")
    assert wrong == "baseline.json says accuracy 87.5% of 40 images, the answers in heldout.npy give 85% of 40"
    assert uncalibrated == "baseline.json says calibration error 0.025, the answers in heldout.npy give nan"


@given(
    arrays.arrays(np.float32, (7, 3), elements=st.floats(width=32)),
    arrays.arrays(np.int32, 7, elements=st.integers(0, 2)),
)
def test_whatever_the_answers_are_nothing_is_raised(probabilities, labels):
    held = Heldout(np.zeros((7, 16), np.uint8), probabilities, labels)
    list(claims.denied(held, "abc", BASELINE.model_copy(update={"confusion": [[0] * 3] * 3}), EVIDENCE))


@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(2, 11))
def test_the_figures_are_those_that_training_measures(seed, samples, classes):
    from training import evaluation
    from training.scores import Classification

    random = np.random.default_rng(seed)
    scores = random.random((samples, classes)).astype(np.float32) ** 4
    probabilities = scores / scores.sum(1, keepdims=True)
    labels = random.integers(0, classes, samples)
    measured = Classification(labels, probabilities, probabilities)
    held = Heldout(np.zeros((samples, 16), np.uint8), probabilities, labels.astype(np.int32))
    names = [str(number) for number in range(classes)]
    baseline = evaluation.baseline(measured, measured, names)
    evidence = Measurements.of_package(baseline, Export(parity=PARITY))
    assert list(claims.denied(held, names, baseline, evidence)) == []


# --- in the registry


def boasting(**claims):
    """The baseline of a package that answers 50 of 60 images rightly, and claims otherwise."""
    baseline = json.loads(packages.files()["baseline.json"])
    return json.dumps({**baseline, **claims}).encode()


LIES = [
    (
        {"accuracy": 0.99},
        "baseline.json says accuracy 99% of 60 images, the answers in heldout.npy give 83.3333% of 60",
    ),
    ({"samples": 10**5}, "baseline.json says accuracy 83.3333% of 100000 images, the answers in heldout.npy give 83.3"),
    ({"calibration_error": 0.001}, "baseline.json says calibration error 0.001, the answers in heldout.npy give 0.02"),
    ({"standard_error": 0.001}, "baseline.json says standard error 0.001, the answers in heldout.npy give 0.0"),
    (
        {"bins": {"cat": {"0.8": {"count": 10**6, "correct": 0}}}},
        "baseline.json says count 1000000 of 'cat' in bin 0.8, the answers in heldout.npy give 22",
    ),
    (
        {"confusion": [[20, 0, 0], [1, 19, 0], [3, 4, 13]]},
        "baseline.json says 20 images of 'cat' answered with 'cat', the answers in heldout.npy give 18",
    ),
]


@pytest.mark.parametrize(("lie", "told"), LIES, ids=[next(iter(lie)) for lie, _ in LIES])
def test_a_candidate_that_claims_what_it_does_not_answer_is_refused_even_by_force(local, lie, told):
    packages.register(local, baseline_json=boasting(**lie))
    for force in (False, True):
        with pytest.raises(Refused) as refused:
            aliases.promote(local, Promotion("pets", 1, why="so good", who="ada", force=force))
        [reason] = refused.value.reasons
        assert reason.startswith(f"pets:1 does not verify: {told}")
        assert verification.verify(local, versions.resolve(local, "pets:1")) == [reason.partition("verify: ")[2]]
    assert history.moves(local, "pets") == []


def test_a_row_that_was_changed_with_its_manifest_is_denied(local, unlock):
    """By somebody who has database and store in hand, and makes them agree."""
    from registry import packages as stored
    from registry import schema

    version = packages.register(local)
    evidence = version.evidence.model_copy(update={"accuracy": 0.99})
    manifest = stored.manifest(local.blobs, version.manifest).model_copy(update={"evidence": evidence})
    unlock(local, "versions")
    with local.atomic() as connection:
        digest = local.blobs.put(manifest.encode())
        connection.execute(schema.versions.update().values(evidence=evidence.record(), manifest=digest))
    message = "the registry says accuracy 99% of 60 images, the answers in heldout.npy give 83.3333% of 60"
    assert verification.verify(local, versions.resolve(local, "pets:1")) == [message]
    with pytest.raises(Refused, match=f"does not verify: {message}"):
        aliases.promote(local, Promotion("pets", 1, why="so good", who="ada"))


def test_beside_a_champion_that_claims_too_much_its_answers_count(local, monkeypatch):
    packages.register(local, baseline_json=boasting(accuracy=0.99))
    with monkeypatch.context() as older:  # a release that did not look put it there
        older.setattr(claims, "denied", lambda *_: iter(()))
        aliases.promote(local, Promotion("pets", 1, why="so good", who="ada"))
    packages.register(local, classes=("dog", "cat", "owl"))
    with pytest.raises(Refused, match="the classes are not those of pets:1: 2 in another place"):
        aliases.promote(local, Promotion("pets", 2, why="other classes", who="ada"))
    packages.register(local)
    moved = aliases.promote(local, Promotion("pets", 3, why="it is as good", who="ada"))
    champion = next(gate for gate in moved.gates if gate["name"] == "champion")
    assert champion["message"].startswith("right on 83.33% of 60 images, pets:1 on 83.33%: +0.00 points")
