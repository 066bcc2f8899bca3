"""The whole system with real parts, on one machine: from a migration to a rollback, with each part killed in turn."""

import logging
import secrets
import subprocess
import tempfile
import time

import httpx
import numpy as np
import pytest
import yaml
from sklearn.datasets import load_digits

from tests import s3
from tests.e2e.system import BIN, Process, Prometheus, Proxy, Ray, Store, command, until
from tests.ports import free_port

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
log = logging.getLogger("e2e")
for noisy in ("alembic", "httpx"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

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
POLICY = {"labels": "roll_back", "window": 0.05, "every": 0.05, "predictions": 100}


@pytest.fixture(autouse=True)
def kill_all():
    yield
    while Process.every:
        Process.every.pop().kill()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture
def environment(postgres, store, tmp_path):
    until(lambda: httpx.get(store.url), "the store answers", of=store)
    s3.make_bucket(store.url, "tailorbird")
    variables = {
        **s3.environment(store.url),
        "PATH": f"{BIN}:/usr/bin:/bin:/usr/local/bin",
        "HOME": str(tmp_path),
        "TAILORBIRD_HOME": str(tmp_path / "home"),
        "TAILORBIRD_DATABASE_URL": postgres.empty(),
        "TAILORBIRD_STORAGE_URL": "s3://tailorbird/registry",
        "TAILORBIRD_RECEIPT_KEY": secrets.token_urlsafe(24),
        "TAILORBIRD_DRAIN_SECONDS": "1",
        "TAILORBIRD_WATCH": "1",
        "TAILORBIRD_LEASE_SECONDS": "15",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    subprocess.run([BIN / "tailorbird", "registry", "migrate"], env=variables, check=True)
    log.info("the registry is migrated")
    return variables


@pytest.fixture
def start_ray(environment, tmp_path):
    with tempfile.TemporaryDirectory(
        prefix="ray-", ignore_cleanup_errors=True
    ) as temporary:  # for paths of 107 letters
        yield lambda: Ray(tmp_path, temporary, environment)


@pytest.fixture
def ray(start_ray):
    nodes = start_ray()
    yield nodes
    nodes.kill()


@pytest.fixture
def start_replicas(environment, tmp_path):
    """Starts two, each with a cache of its own; returns a proxy before them, and them by port."""

    def start():
        replicas = {}
        for name in ("first", "second"):
            port = free_port()
            words = [BIN / "tailorbird", "serve", MODEL, "--port", port]
            own = environment | {"TAILORBIRD_CACHE_DIR": str(tmp_path / name)}
            replicas[port] = Process(tmp_path / f"{name}.log", words, own)
        proxy = Proxy(list(replicas))
        for port, process in replicas.items():
            until(lambda port=port: port in proxy.ready(), "the replica is ready", of=process)
        log.info("both replicas are ready")
        return proxy, replicas

    return start


def submit(ray, folder, name, **changes):
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(SPEC | changes))
    return ray.submit(f"python -m tuning.sweep {path} --id {name}")


def run_sweep(ray, folder, name, **changes):
    """Submit it until it is finished: nodes may be starting, or its lease another's."""
    until(lambda: submit(ray, folder, name, **changes).wait() == 0, f"sweep {name} is finished", seconds=600)
    log.info("sweep %s is finished", name)


def trials(environment, name):
    """Reports by trial."""
    return {trial["number"]: trial for trial in command(environment, "sweeps", "show", name)["trials"]}


def predict(proxy, images):
    answer = httpx.post(f"{proxy.url}/predict", json={"inputs": images.tolist()}, timeout=30)
    answer.raise_for_status()
    return answer.json()


def versions(proxy, images):
    """Of several predictions in a row, which come to both replicas."""
    return {predict(proxy, images[:5])["version"] for _ in range(6)}


def pictures():
    digits = load_digits()
    return np.rint(digits.images * (255 / 16)).astype(int), digits.target


def test_migration_to_rollback(environment, ray, start_replicas, tmp_path):
    run_sweep(ray, tmp_path, "first")
    proxy, replicas = start_replicas()
    images, labels = pictures()
    assert versions(proxy, images) == {1}

    # a second version, with another seed, so that there is one to roll back to
    run_sweep(ray, tmp_path, "second", seed=1, promote={"model": MODEL, "alias": "candidate"})
    command(environment, "registry", "promote", f"{MODEL}:2", "--why", "the test says so", "--force")
    until(lambda: versions(proxy, images) == {2}, "both replicas serve version 2")
    log.info("version 2 is promoted, and served by both replicas")
    for port, process in replicas.items():
        process.kill()
        assert versions(proxy, images) == {2}
        process.start()
        until(lambda port=port: port in proxy.ready(), "the replica is ready again", of=process)
        assert versions(proxy, images) == {2}
        log.info("killed a replica: the other answered, and it serves version 2 again")
    drift(environment, proxy, list(replicas), images, labels, tmp_path)


def test_job_without_the_token_is_refused(ray):
    until(lambda: ray.submit("true").wait() == 0, "Ray takes jobs", of=ray.head)
    for variables in ({"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": ""}):
        refused = ray.submit("true", **variables)
        assert refused.wait() != 0
    printed = refused.log.read_text()
    assert "Unauthorized: Missing authentication token" in printed and "Invalid authentication token" in printed
    log.info("a job with a wrong token was refused, and one without a token")


def drift(environment, proxy, ports, images, labels, folder):
    """Labels that say every prediction is wrong fire the alert, and the watch rolls back once."""
    prometheus, began = Prometheus(folder, ports), time.monotonic()
    for start in range(0, 600, 50):
        give_wrong_labels(proxy, images[start : start + 50], labels[start : start + 50])
        seen = f"sum(tailorbird_feedback_total) >= {start + 50}"
        until(lambda seen=seen: prometheus.value(seen), "Prometheus has seen the labels", of=prometheus)
        if start == 300:
            prometheus.kill()
            prometheus.start()
            log.info("killed Prometheus, and started it again")
    alert = "TailorbirdLabelledAccuracyDropFast"
    until(lambda: alert in prometheus.firing(), "the alert of labelled accuracy fires")
    log.info("labels say that all is wrong: %s fires", alert)
    policy = folder / "policy.yaml"
    minutes = (time.monotonic() - began) / 60  # no label is older, and the promotion is
    policy.write_text(yaml.safe_dump(POLICY | {"label_window": minutes, "cool_down": minutes}))
    watched = environment | {"TAILORBIRD_PROMETHEUS_URL": prometheus.url}
    words = [BIN / "tailorbird", "watch", MODEL, "--once", "--policy", policy]
    acted = subprocess.run(words, env=watched, capture_output=True, text=True)
    assert acted.returncode == 10, acted.stdout + acted.stderr
    until(lambda: versions(proxy, images) == {1}, "version 1 answers again")
    log.info("the watch rolled back: both replicas serve version 1 again")
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


@pytest.mark.parametrize("lost", ["worker", "head for 60 s", "head for good"])
def test_sweep_goes_on_after_a_node_was_lost(environment, ray, start_ray, tmp_path, lost):
    """A new worker goes on by itself; without its head the job fails, and is submitted again under its name."""
    changes = {"trials": 16, "scheduler": "none"}
    until(lambda: ray.submit("true").wait() == 0, "Ray takes jobs", of=ray.head)
    job = submit(ray, tmp_path, "lost", **changes)
    until(lambda: command(environment, "sweeps", "list"), "the sweep is begun", of=job)
    finished = until(
        lambda: {n: trial for n, trial in trials(environment, "lost").items() if trial["status"] == "finished"},
        "a trial is finished",
        of=job,
    )
    log.info("%d of 16 trials are finished; killing the %s", len(finished), lost)
    if lost == "worker":
        ray.worker.kill()
        ray.worker.start()
        assert job.wait() == 0
    else:
        ray.head.kill()
        assert job.wait() != 0
        log.info("the job has failed")
        if lost == "head for 60 s":
            time.sleep(60)
            ray.restart()
        else:
            ray.kill()
            ray = start_ray()
        run_sweep(ray, tmp_path, "lost", **changes)
    after = trials(environment, "lost")
    assert [trial["status"] for trial in after.values()] == ["finished"] * 16
    assert {n: after[n]["reports"] for n in finished} == {n: trial["reports"] for n, trial in finished.items()}
    log.info("all 16 trials are finished, those from before with the reports that they had")


def test_nobody_waits_for_database_and_store(ray, start_replicas, postgres, store, tmp_path):
    run_sweep(ray, tmp_path, "first")
    proxy, replicas = start_replicas()
    images, _ = pictures()
    receipt = predict(proxy, images[:1])["predictions"][0]["receipt"]

    def feed_back():
        return httpx.post(f"{proxy.url}/feedback", json={"labels": [{"receipt": receipt, "label": "3"}]}, timeout=60)

    store.kill()
    postgres.stop()
    try:
        assert versions(proxy, images) == {1}
        assert proxy.ready() == list(replicas)
        refused = feed_back()
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        log.info("killed database and store: both replicas answer and are ready, labels are answered 503")
        port, process = next(iter(replicas.items()))
        assert process.stop() == 0
        process.start()
        until(lambda: port in proxy.ready(), "the replica serves its cache", of=process)
        assert versions(proxy, images) == {1}
        log.info("a replica that was started without them serves its cache")
    finally:
        postgres.start()
    until(lambda: feed_back().json().get("accepted") == 1, "labels are taken again")
    log.info("the database is back, and labels are taken again")
