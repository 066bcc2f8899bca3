"""Labels that are late, repeated, contradictory, forged or of elsewhere: each counts once, over replicas too."""

import base64
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest

from serving import receipts
from serving.receipts import Receipts
from tailorbird.settings import Settings
from tests.faults.serving.test_counts import sums
from tests.faults.serving.test_swaps import served, swap
from tests.waiting import wait_for

IMAGE = {"inputs": [[[0] * 28] * 28]}
OLD, NEW = "the old key of it all", "the new key of it all"


@pytest.fixture(scope="module")
def own(tmp_path_factory, register, toy) -> Settings:
    settings = Settings(_env_file=None, home=tmp_path_factory.mktemp("home"))
    register(settings, "demo", toy.files())
    register(settings, "demo", toy.files(), alias=None)
    register(settings, "other", toy.files())
    return settings


@pytest.fixture(scope="module")
def replicas(start, own):
    """Two servers of one model with one database; the second has changed its key already, and accepts the old one."""
    servers = [
        start(own, "demo", TAILORBIRD_RECEIPT_KEY=OLD, TAILORBIRD_RECEIPT_KEY_ACCEPTED=NEW),
        start(own, "demo", TAILORBIRD_RECEIPT_KEY=NEW, TAILORBIRD_RECEIPT_KEY_ACCEPTED=OLD),
    ]
    return [server.wait() for server in servers]


def dated(seconds_ago, version=1) -> str:
    """A receipt of `demo` that was signed with the old key some time ago."""
    then = time.time() - seconds_ago
    with mock.patch.object(receipts.time, "time", lambda: then):
        (receipt,) = Receipts([OLD.encode()], "demo", lifetime_days=1).make(version, [0], [0])
    return receipt


def predict(server) -> dict:
    return server.client.post("/predict", json=IMAGE).json()["predictions"][0]


def send(server, receipt, label) -> str:
    """What became of one label, in a word."""
    answer = server.client.post("/feedback", json={"labels": [{"receipt": receipt, "label": label}]}).json()
    if answer["rejected"]:
        return answer["reasons"][0]["reason"]
    return next(word for word in ("accepted", "duplicate", "conflict") if answer[word])


def edited(receipt, place) -> str:
    """The receipt with one bit of it turned."""
    data = bytearray(base64.urlsafe_b64decode(receipt))
    data[place] ^= 1
    return base64.urlsafe_b64encode(data).decode()


def count(*servers) -> tuple:
    """Labels by version and outcome, and rejected ones by reason, over servers."""
    feedback = sum((sums(server, "feedback_total", "version", "outcome") for server in servers), Counter())
    return feedback, sum((sums(server, "feedback_rejected_total", "reason") for server in servers), Counter())


def test_each_label_counts_once(replicas, own):
    first, second = replicas
    late, prediction, of_next_key = predict(first), predict(first), predict(second)
    receipt, label = prediction["receipt"], prediction["label"]
    wrong = "two" if label != "two" else "one"
    assert send(first, receipt, label) == "accepted"
    assert send(first, receipt, label) == "duplicate"
    assert send(second, receipt, label) == "duplicate"  # replayed on another replica
    assert send(second, receipt, wrong) == "conflict"
    assert send(second, predict(first)["receipt"], wrong) == "accepted"
    assert send(first, of_next_key["receipt"], wrong) == "accepted"  # of the key that comes
    for place in (2, 8, 20, 35):  # version, class, time, signature
        assert send(first, edited(receipt, place), label) == "signature"
    for forged in ("", "forged", receipt[:-4], receipt + "AAAA", receipt.replace(receipt[0], "*")):
        assert send(first, forged, label) == "malformed"
    for unknown in ("no class", "", label.upper(), label + "\0"):
        assert send(first, predict(first)["receipt"], unknown) == "label"
    assert send(first, predict(first)["receipt"], f" {label} ") == "accepted"  # the one form of a name
    swap(own, 2)
    wait_for(lambda: served(first) == {2})
    assert send(first, late["receipt"], late["label"]) == "accepted"  # which its version gets, served or not
    assert count(first, second) == (
        {("1", "correct"): 3, ("1", "incorrect"): 2},
        {("duplicate",): 2, ("conflict",): 1, ("signature",): 4, ("malformed",): 5, ("label",): 4},
    )


def test_receipts_of_elsewhere_and_of_long_ago(replicas, start, own):
    """Of another model, of a key that was taken out of use, of a version that there is not, and just (not) expired."""
    first, second = replicas
    days = 86_400 * Settings.model_fields["receipt_days"].default
    other = start(own, "other", TAILORBIRD_RECEIPT_KEY=NEW).wait()
    before = count(first)
    label = predict(other)["label"]
    assert send(other, predict(second)["receipt"], label) == "signature"
    assert send(other, predict(other)["receipt"], label) == "accepted"
    assert send(other, predict(first)["receipt"], label) == "key"
    assert send(first, predict(other)["receipt"], label) == "signature"
    assert send(first, dated(days + 60), "zero") == "expired"
    assert send(first, dated(days - 600), "zero") == "accepted"
    assert send(first, dated(0, version=99), "zero") == "version"
    assert count(other) == ({("1", "correct"): 1}, {("signature",): 1, ("key",): 1})
    feedback, rejected = (now - then for now, then in zip(count(first), before, strict=True))
    assert (feedback, rejected) == (
        {("1", "correct"): 1},
        {("signature",): 1, ("expired",): 1, ("version",): 1},
    )
    assert other.stop() == 0


def test_of_labels_that_come_at_once_one_counts(replicas):
    first, second = replicas
    before = count(first, second)
    prediction = predict(first)
    label = {"receipt": prediction["receipt"], "label": prediction["label"]}
    body = {"labels": [label, label, label | {"label": "two" if label["label"] != "two" else "one"}]}
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(server.client.post, "/feedback", json=body) for server in (first, second) * 10]
    answers = [future.result().json() for future in asked]
    totals = {word: sum(answer[word] for answer in answers) for word in ("accepted", "duplicate", "conflict")}
    assert totals == {"accepted": 1, "duplicate": 39, "conflict": 20}
    feedback, rejected = (now - then for now, then in zip(count(first, second), before, strict=True))
    assert (feedback.total(), rejected) == (1, {("duplicate",): 39, ("conflict",): 20})
