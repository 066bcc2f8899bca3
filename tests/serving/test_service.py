"""BentoML's own command, with the service that it is given."""

import sys
from pathlib import Path

import psutil
import pytest

from tailorbird.settings import Settings
from tests.waiting import BOUND_SECONDS

BENTOML = [str(Path(sys.executable).with_name("bentoml")), "serve", "serving.service:Service", "--port", "{port}"]
QUIET = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOST": "127.0.0.1"}


@pytest.fixture
def bentoml(start):
    def run(settings, **variables):
        own = start(settings, command=BENTOML, **QUIET, **variables)
        (own.folder / "registry.py").unlink()  # `bentoml serve` takes modules from where the user stands
        return own

    return run


def test_serves_until_its_parent_is_killed(bentoml, settings):
    own = bentoml(settings).wait()
    answer = own.client.post("/predict", json={"inputs": [[[0] * 28] * 28]})
    assert answer.json()["model"] == "demo"
    assert own.client.get("/healthz").status_code == 200
    assert own.client.get("/schema.json").json()["name"] == "tailorbird"
    assert "tailorbird_predictions_total{" in own.client.get("/metrics").text
    workers = psutil.Process(own.process.pid).children(recursive=True)
    own.process.kill()  # a server that ends like this cannot stop its workers
    own.process.wait()
    assert workers
    assert not psutil.wait_procs(workers, timeout=BOUND_SECONDS)[1]


def test_a_worker_without_a_model_stays_and_says_why(bentoml, tmp_path):
    own = bentoml(Settings(_env_file=None, home=tmp_path)).wait(status=503)
    assert own.client.get("/livez").status_code == 200
    for answer in (own.client.get("/readyz"), own.client.post("/predict", json={"inputs": []})):
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"]
        assert "there is no model 'demo'; the registry is empty" in answer.json()["detail"]
    assert own.stop() == 0
    assert own.output().count("not ready: ") == 1
    assert "Traceback" not in own.output()


def test_wrong_settings_end_it_before_any_worker(bentoml, settings):
    own = bentoml(settings, TAILORBIRD_MAX_PIXELS="many")
    assert own.process.wait(30) == 1
    assert "TAILORBIRD_MAX_PIXELS: must be a valid integer" in own.output()
    assert "Traceback" not in own.output()
