"""Labels that are late, repeated, contradictory, forged or of elsewhere: each counts once, over replicas too."""

import pytest

from tailorbird.settings import Settings
from tests.faults.serving.test_counts import told

IMAGE = {"inputs": [[[0] * 28] * 28]}
OLD, NEW = "the old key of it all", "the new key of it all"


@pytest.fixture(scope="module")
def own(tmp_path_factory, register, toy) -> Settings:
    settings = Settings(_env_file=None, home=tmp_path_factory.mktemp("home"))
    register(settings, "demo", toy.files())
    register(settings, "other", toy.files())
    return settings


@pytest.fixture(scope="module")
def replicas(start, own):
    """Two servers of one model with one database, one of another model, and one whose receipts live for a blink.

    The second has changed its key already, and accepts the old one.
    """
    servers = [
        start(own, "demo", TAILORBIRD_RECEIPT_KEY=OLD, TAILORBIRD_RECEIPT_KEY_ACCEPTED=NEW),
        start(own, "demo", TAILORBIRD_RECEIPT_KEY=NEW, TAILORBIRD_RECEIPT_KEY_ACCEPTED=OLD),
        start(own, "other", TAILORBIRD_RECEIPT_KEY=OLD),
        start(own, "demo", TAILORBIRD_RECEIPT_KEY=OLD, TAILORBIRD_RECEIPT_DAYS="0.000001"),
    ]
    return [server.wait() for server in servers]


def predict(server) -> dict:
    return server.client.post("/predict", json=IMAGE).json()["predictions"][0]


def send(server, receipt, label) -> str:
    """What became of one label, in a word."""
    answer = server.client.post("/feedback", json={"labels": [{"receipt": receipt, "label": label}]}).json()
    if answer["rejected"]:
        return answer["reasons"][0]["reason"]
    return next(word for word in ("accepted", "duplicate", "conflict") if answer[word])


def test_each_label_counts_once(replicas):
    first, second, other, brief = replicas
    prediction = predict(first)
    receipt, label = prediction["receipt"], prediction["label"]
    wrong = "two" if label != "two" else "one"
    assert send(first, receipt, label) == "accepted"
    assert send(first, receipt, label) == "duplicate"
    assert send(second, receipt, label) == "duplicate"  # replayed on another replica
    assert send(second, receipt, wrong) == "conflict"
    assert send(second, predict(first)["receipt"], wrong) == "accepted"
    assert send(first, predict(second)["receipt"], wrong) == "accepted"  # of the key that comes
    assert send(other, receipt, label) == "signature"
    assert send(first, receipt[:-1] + ("A" if receipt[-1] != "A" else "B"), label) == "signature"
    assert send(first, "forged", label) == "malformed"
    assert send(first, predict(first)["receipt"], "no class") == "label"
    assert send(brief, receipt, label) == "expired"
    counted = told(first, "feedback_total", "outcome") + told(second, "feedback_total", "outcome")
    assert counted == {("correct",): 1, ("incorrect",): 2}
    rejected = told(first, "feedback_rejected_total", "reason") + told(second, "feedback_rejected_total", "reason")
    assert rejected == {("duplicate",): 2, ("conflict",): 1, ("signature",): 1, ("malformed",): 1, ("label",): 1}
