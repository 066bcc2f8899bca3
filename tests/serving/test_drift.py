"""The monitoring page, asked of a server."""

import numpy as np
import pytest

from serving import drift
from tailorbird.drift import cells, judgement
from tailorbird.drift.estimator import Estimator
from tailorbird.drift.judgement import Known


@pytest.fixture(scope="module")
def server(start, settings):
    return start(settings, "demo").wait()


def test_the_page_is_an_empty_shell_with_its_own_policy(server):
    page = server.client.get("/drift")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "Content-Security-Policy" in page.text
    assert "demo" not in page.text


def test_what_it_shows_names_what_is_known_and_what_not(server, toy):
    body = bytes(28 * 28) * 300
    assert server.client.post("/predict", content=body, headers={"content-type": "application/octet-stream"}).is_success
    record = server.client.get("/drift.json").json()
    assert (record["model"], record["version"]) == ("demo", 1)
    assert record["state"] == "too little data"
    assert record["accuracy"][0] == {"name": "held-out examples at registration", "value": 0.875, "note": ""}
    assert {row["note"] for row in record["accuracy"][2:]} == {"the package has no estimator"}
    assert any("no estimator" in words for words in record["words"])
    assert any("only labels do" in words for words in record["words"])
    assert sum(row["now"] for row in record["classes"]) == pytest.approx(1)
    assert record["latency"][0]["seconds"] > 0
    assert "promote champion to 1" in [row["what"] for row in record["versions"]]


@pytest.mark.parametrize(
    ("weights", "notes"),
    [
        (None, ["no corruptions are defined for these inputs", "needs 200 predictions of this worker"]),
        (np.full((2, cells.BINS), 0.9), ["needs 200 predictions of this worker"] * 2),
    ],
)
def test_it_says_why_there_is_no_estimate(weights, notes):
    count = np.ones((2, cells.BINS))
    answers = np.ones((2, 2, cells.BINS), np.int64)
    known = Known(("cat", "dog"), 0.5, count / 2, count, Estimator(("cat", "dog"), answers, weights, None))
    reasons = [drift._note(known, name, None) for name in judgement.ASSUMPTIONS]
    assert reasons == [*notes, "needs 1,000 predictions of this worker"]
