"""The whole system with real parts, on one machine: from a migration to a rollback, with each part killed in turn."""

import json
import secrets
import shutil
import signal
import subprocess
import time

import httpx
import numpy as np
import pytest
import yaml
from sklearn.datasets import load_digits

from tests import s3
from tests.e2e.system import BIN, ROOT, Process, Proxy, Ray, command, free_port, prometheus, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

MODEL = "digits"
SPEC = {
    "name": MODEL,
    "data": {"name": "digits", "validation": 200, "holdout": 300},
    "run": {"model": {"family": "mlp"}, "optimizer": {"name": "adam"}, "batch_size": 64},
    "space": {
        "model.depth": {"choice": [1, 2]},
        "model.width": {"choice": [32, 64]},
        "optimizer.lr": {"loguniform": [1e-3, 1e-2]},
        "epochs": {"choice": [10, 20]},
    },
    "trials": 8,
    "seed": 0,
    "objective": {"metric": "val_accuracy", "mode": "max"},
    "promote": {"model": MODEL, "alias": "champion"},
}
POLICY = {"labels": "roll_back", "window": 0.05, "every": 0.05, "cool_down": 0.05, "predictions": 100}


@pytest.fixture
def environment(postgres, tmp_path):
    with s3.server() as store:
        s3.make_bucket(store, "tailorbird")
        yield {
            **s3.environment(store),
            "PATH": f"{BIN}:/usr/bin:/bin:/usr/local/bin",
            "HOME": str(tmp_path),
            "TAILORBIRD_HOME": str(tmp_path / "home"),
            "TAILORBIRD_DATABASE_URL": postgres.empty(),
            "TAILORBIRD_STORAGE_URL": "s3://tailorbird/registry",
            "TAILORBIRD_RECEIPT_KEY": secrets.token_urlsafe(24),
            "TAILORBIRD_DRAIN_SECONDS": "1",
            "TAILORBIRD_WATCH": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }


@pytest.fixture
def ray(environment, tmp_path):
    nodes = Ray(tmp_path, environment)
    yield nodes
    nodes.stop()
    shutil.rmtree(tmp_path / "r", ignore_errors=True)


@pytest.fixture
def start_endpoints(environment, tmp_path):
    """Starts two replicas, each with a cache of its own; returns them with their ports."""
    started = []

    def start():
        for replica in ("first", "second"):
            port = free_port()
            words = [BIN / "tailorbird", "serve", MODEL, "--port", port]
            own = environment | {"TAILORBIRD_CACHE_DIR": str(tmp_path / replica)}
            started.append((Process(tmp_path / f"{replica}.log", words, own), port))
        return started

    yield start
    for process, _ in started:
        process.kill()


def sweep_of(environment, name):
    return next((sweep for sweep in command(environment, "sweeps", "list") if sweep["id"] == name), {"status": "none"})


def start_sweep(ray, environment, folder, name, **changes):
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(SPEC | changes))
    entrypoint = f"python -m tuning.sweep {path} --id {name}"
    until(lambda: ray.submit(entrypoint).returncode == 0, "Ray takes the job")  # its agents may be starting


def wait_for_sweep(environment, name):
    until(lambda: sweep_of(environment, name)["status"] == "finished", f"sweep {name} is finished", 600)


def predict(proxy, images):
    answer = httpx.post(f"{proxy.url}/predict", json={"inputs": images.tolist()}, timeout=30)
    answer.raise_for_status()
    return answer.json()


def pictures():
    digits = load_digits()
    return np.rint(digits.images * (255 / 16)).astype(int), digits.target


def test_migration_to_rollback(environment, ray, start_endpoints, tmp_path):
    subprocess.run([BIN / "tailorbird", "registry", "migrate"], env=environment, check=True)

    # a job without the token is refused; with it, the sweep runs on the worker node and is promoted
    assert ray.submit("true", token="0" * 64).returncode != 0
    start_sweep(ray, environment, tmp_path, "first")
    wait_for_sweep(environment, "first")

    endpoints = start_endpoints()
    proxy = Proxy([port for _, port in endpoints])
    until(lambda: len(proxy.ready()) == 2, "both replicas are ready")
    images, labels = pictures()
    assert {predict(proxy, images[:20])["version"] for _ in range(4)} == {1}

    # a second version, with another seed, so that there is one to roll back to
    start_sweep(ray, environment, tmp_path, "second", seed=1, promote={"model": MODEL, "alias": "candidate"})
    wait_for_sweep(environment, "second")
    command(environment, "registry", "promote", f"{MODEL}:2", "--why", "the test says so", "--force")
    until(lambda: {predict(proxy, images[:5])["version"] for _ in range(6)} == {2}, "both replicas serve version 2")

    kill_each_part(environment, proxy, endpoints, images)
    drift(environment, proxy, endpoints, images, labels, tmp_path)


def kill_each_part(environment, proxy, endpoints, images):
    """One replica after the other is killed, and the other answers; each serves version 2 again when it is back."""
    for process, port in endpoints:
        process.kill()
        assert {predict(proxy, images[:5])["version"] for _ in range(4)} == {2}
        process.start()
        until(lambda port=port: port in proxy.ready(), "the replica is ready again")
        assert predict(proxy, images[:5])["version"] == 2


def drift(environment, proxy, endpoints, images, labels, folder):
    """Labels that say every prediction is wrong fire the alert, and the watch rolls back once."""
    policy = folder / "policy.yaml"
    policy.write_text(yaml.safe_dump(POLICY))
    rules = ROOT / "k8s" / "prometheus" / "rules.yaml"
    with prometheus(folder, [port for _, port in endpoints], rules) as url:
        for start in range(0, 600, 50):  # so many looks of Prometheus, which sees no increase in a first value
            give_wrong_labels(proxy, images[start : start + 50], labels[start : start + 50])
            until(lambda start=start: labels_seen(url) >= start + 50, "Prometheus has seen the labels")
        until(lambda: firing(url), "an alert of accuracy fires")
        watched = environment | {"TAILORBIRD_PROMETHEUS_URL": url}
        words = [BIN / "tailorbird", "watch", MODEL, "--once", "--policy", policy]
        acted = subprocess.run(words, env=watched, capture_output=True, text=True)
        assert acted.returncode == 10, acted.stdout + acted.stderr
        until(lambda: {predict(proxy, images[:5])["version"] for _ in range(6)} == {1}, "version 1 answers again")
        subprocess.run(words, env=watched, capture_output=True, text=True)
    events = command(environment, "registry", "history", MODEL)
    assert len([event for event in events if event.get("kind") == "rollback"]) == 1


def give_wrong_labels(proxy, images, labels):
    predictions = predict(proxy, images)["predictions"]
    wrong = [
        {"receipt": prediction["receipt"], "label": str((int(prediction["label"]) + 1) % 10)}
        for prediction in predictions
    ]
    answer = httpx.post(f"{proxy.url}/feedback", json={"labels": wrong}, timeout=30)
    assert answer.json()["accepted"] == len(labels)


def labels_seen(url):
    query = {"query": "sum(tailorbird_feedback_total)"}
    (series,) = httpx.get(f"{url}/api/v1/query", params=query).json()["data"]["result"]
    return float(series["value"][1])


def firing(url):
    alerts = httpx.get(f"{url}/api/v1/alerts").json()["data"]["alerts"]
    return [alert for alert in alerts if alert["state"] == "firing" and "Accuracy" in alert["labels"]["alertname"]]


def test_sweep_goes_on_after_the_head_was_lost(environment, ray, tmp_path):
    """The head of Ray is killed in the middle, restarted, and the sweep submitted again under its name."""
    subprocess.run([BIN / "tailorbird", "registry", "migrate"], env=environment, check=True)
    start_sweep(ray, environment, tmp_path, "lost", trials=16, scheduler="none")
    ended = until(lambda: finished_trials(environment, "lost"), "a trial is finished", 300)
    ray.stop()
    ray.start()
    lease = 120
    until(lambda: resubmitted(ray, environment, tmp_path), "the sweep is taken up again", lease)
    wait_for_sweep(environment, "lost")
    after = {trial["number"]: trial for trial in shown(environment, "lost")}
    assert len(after) == 16
    assert {number: after[number]["reports"] for number in ended} == ended


def resubmitted(ray, environment, folder):
    start_sweep(ray, environment, folder, "lost", trials=16, scheduler="none")
    time.sleep(5)
    return sweep_of(environment, "lost")["status"] in ("running", "finished")


def shown(environment, name):
    return command(environment, "sweeps", "show", name)["trials"]


def finished_trials(environment, name):
    return {trial["number"]: trial["reports"] for trial in shown(environment, name) if trial["status"] == "finished"}


def test_database_that_is_away_keeps_nobody_from_answering(environment, ray, start_endpoints, postgres, tmp_path):
    subprocess.run([BIN / "tailorbird", "registry", "migrate"], env=environment, check=True)
    start_sweep(ray, environment, tmp_path, "first")
    wait_for_sweep(environment, "first")
    endpoints = start_endpoints()
    proxy = Proxy([port for _, port in endpoints])
    until(lambda: len(proxy.ready()) == 2, "both replicas are ready")
    images, _ = pictures()
    receipt = predict(proxy, images[:1])["predictions"][0]["receipt"]
    postgres.stop()
    try:
        assert predict(proxy, images[:5])["version"] == 1
        assert len(proxy.ready()) == 2
        refused = httpx.post(f"{proxy.url}/feedback", json={"labels": [{"receipt": receipt, "label": "3"}]}, timeout=60)
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        process, port = endpoints[0]
        process.kill(signal.SIGTERM)
        process.start()
        until(lambda: port in proxy.ready(), "the replica serves its cache")
    finally:
        postgres.start()
    accepted = until(
        lambda: httpx.post(f"{proxy.url}/feedback", json={"labels": [{"receipt": receipt, "label": "3"}]}).json(),
        "labels are taken again",
    )
    assert json.dumps(accepted)
