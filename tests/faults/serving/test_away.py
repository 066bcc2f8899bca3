"""Registry, database and store refuse, hang, are slow or talk nonsense: what is served is served on (promise 4)."""

import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from urllib.parse import urlsplit

import numpy as np
import pytest

from registry import versions
from registry.core import Registry
from registry.names import Reference
from serving import resolution
from tailorbird.settings import Settings
from tests.faults.disks import fill
from tests.faults.serving.load import Load
from tests.faults.serving.relay import Relay
from tests.faults.serving.test_counts import sums
from tests.faults.serving.test_inputs import picture
from tests.faults.serving.test_swaps import served, swap, workers
from tests.s3 import environment, make_bucket, use
from tests.waiting import BOUND_SECONDS, wait_for

KEY = {"TAILORBIRD_RECEIPT_KEY": "sixteen letters!"}


@pytest.fixture
def own(tmp_path, register, toy) -> Settings:
    settings = Settings(_env_file=None, home=tmp_path / "home")
    register(settings, "demo", toy.files())
    register(settings, "demo", toy.files(), alias=None)
    return settings


class Silent:
    """A server that takes connections, in the place of PostgreSQL, and never answers."""

    def __init__(self):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._kept = []
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._kept.append(connection)

    def close(self):
        self._listening.close()


def ready(server) -> dict:
    return server.client.get("/readyz").json()


def serve_once(settings) -> None:
    """As if version 1 had been served last, of which the cache then knows."""
    with Registry(settings) as registry:
        served_last = versions.resolve(registry, "demo:1")
        resolution.verified(registry, served_last, settings.cache)
        resolution.remember(settings.cache, Reference.parse("demo"), served_last)


@pytest.mark.long
@pytest.mark.parametrize("part", ["database", "store"])
@pytest.mark.parametrize("mode", ["refusing", "silent", "nonsense", "slow"])
def test_a_start_while_one_of_them_is_away(start, postgres, s3, monkeypatch, tmp_path, register, toy, part, mode):
    """What was served last answers, until what the alias says can be had."""
    use(s3, monkeypatch)
    storage, url = make_bucket(s3, f"start-{part}-{mode}"), postgres.database()
    direct = Settings(_env_file=None, home=tmp_path / "home", database_url=url, storage_url=storage)
    register(direct, "demo", toy.files())
    serve_once(direct)
    register(direct, "demo", toy.files(), force=True)
    relay = Relay(postgres.port if part == "database" else urlsplit(s3).port)
    relay.mode = mode
    store = f"http://127.0.0.1:{relay.port}" if part == "store" else s3
    server = start(
        direct,
        **KEY,
        **environment(store),
        TAILORBIRD_DATABASE_URL=url.replace(str(postgres.port), str(relay.port)) if part == "database" else url,
        TAILORBIRD_STORAGE_URL=storage,
        TAILORBIRD_CACHE_DIR=str(direct.cache),
    ).wait()
    if mode != "slow":
        assert (ready(server)["status"], ready(server)["version"]) == ("stale", 1)
    with Load(server.url, pause=0.005) as load:
        wait_for(lambda: load.total > 50)
        relay.mode = "passing"
        wait_for(lambda: served(server) == {2})
        wait_for(lambda: ready(server)["status"] == "ready")
    assert load.lost == []
    assert {status for status, _ in load.answers} == {200}
    assert server.stop() == 0


@pytest.mark.parametrize("listens", [True, False])
def test_a_start_with_a_database_that_is_none(start, own, listens):
    """What was served last is in the cache; predictions are answered, and labels are asked for again later."""
    serve_once(own)
    shutil.rmtree(own.home / "storage")
    database = Silent()
    if not listens:
        database.close()
    url = f"postgresql+psycopg://ada@127.0.0.1:{database.port}/birds"
    server = start(own, **KEY, TAILORBIRD_DATABASE_URL=url, TAILORBIRD_CACHE_DIR=str(own.cache)).wait()
    content = ready(server)
    assert (content["status"], content["version"]) == ("stale", 1)
    assert content["since"]
    assert content["problem"]
    prediction = server.client.post("/predict", json={"inputs": [[[0] * 28] * 28]}).json()["predictions"][0]
    label = {"receipt": prediction["receipt"], "label": prediction["label"]}
    response = server.client.post("/feedback", json={"labels": [label]})
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert server.client.get("/model").json()["version"] == 1
    assert server.stop() == 0
    database.close()


@pytest.mark.long
def test_pictures_are_read_while_a_silent_database_is_waited_for(start, own):
    """Each purpose has threads of its own."""
    serve_once(own)
    database = Silent()
    url = f"postgresql+psycopg://ada@127.0.0.1:{database.port}/birds"
    server = start(own, **KEY, TAILORBIRD_DATABASE_URL=url, TAILORBIRD_CACHE_DIR=str(own.cache)).wait()
    receipt = server.client.post("/predict", json={"inputs": [[[0] * 28] * 28]}).json()["predictions"][0]["receipt"]
    label = {"labels": [{"receipt": receipt, "label": "zero"}]}
    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(server.client.get, "/card") for _ in range(6)]
        waiting += [pool.submit(server.client.post, "/feedback", json=label) for _ in range(6)]
        wait_for(lambda: "tailorbird_in_flight_requests 13.0" in server.client.get("/metrics").text)  # with this one
        large = {"content": picture(size=(500, 500)), "headers": {"Content-Type": "image/png"}}
        assert server.client.post("/predict", **large).is_success
        assert not any(future.done() for future in waiting)
    assert {future.result().status_code for future in waiting} == {503}
    assert server.stop() == 0
    database.close()


def test_without_a_cache_it_says_why(start, own):
    (own.home / "tailorbird.db").unlink()
    (own.home / "tailorbird.db").mkdir()
    server = start(own, **KEY)
    assert server.process.wait(BOUND_SECONDS) == 1
    assert "error: the database" in server.output()
    assert "Traceback" not in server.output()


def test_all_goes_away_under_load_and_comes_back(start, own):
    server = start(own, workers=2, **KEY).wait()
    database, store = own.home / "tailorbird.db", own.home / "storage"
    with Load(server.url, pause=0.005) as load:
        for path in (database, store):
            path.rename(path.with_suffix(".away"))
        database.mkdir()
        wait_for(lambda: ready(server)["status"] == "stale")
        seen = load.total
        wait_for(lambda: load.total > seen + 50)
        database.rmdir()
        for path in (database, store):
            path.with_suffix(".away").rename(path)
        wait_for(lambda: ready(server)["status"] == "ready")
        swap(own, 2)
        wait_for(lambda: served(server) == {2})
    assert load.lost == []
    assert {status for status, _ in load.answers} == {200}
    assert server.stop() == 0


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_database_and_store_refuse_hang_are_slow_and_talk_nonsense_under_load(
    start, postgres, s3, monkeypatch, tmp_path, register, toy, processes
):
    """Again and again while clients ask and aliases move; whatever it was, the endpoint follows when it is over."""
    use(s3, monkeypatch)
    storage, url = make_bucket(s3, f"away-{processes}"), postgres.database()
    direct = Settings(_env_file=None, home=tmp_path / "home", database_url=url, storage_url=storage)
    register(direct, "demo", toy.files())
    database, store = Relay(postgres.port), Relay(urlsplit(s3).port)
    server = start(
        direct,
        workers=processes,
        **KEY,
        **environment(f"http://127.0.0.1:{store.port}"),
        TAILORBIRD_DATABASE_URL=url.replace(str(postgres.port), str(database.port)),
        TAILORBIRD_STORAGE_URL=storage,
        TAILORBIRD_CACHE_DIR=str(tmp_path / "cache"),
    ).wait()
    number = 1
    with Load(server.url, pause=0.005) as load:
        for relay, mode in product((database, store), ("refusing", "silent", "nonsense", "slow")):
            number += 1
            relay.mode = mode
            register(direct, "demo", toy.files(), force=True)
            if mode != "slow":
                wait_for(lambda: ready(server)["status"] == "stale")
                assert served(server) == {number - 1}
            seen = load.total
            wait_for(lambda seen=seen: load.total > seen + 50)
            relay.mode = "passing"
            wait_for(lambda number=number: served(server) == {number})
            wait_for(lambda: ready(server)["status"] == "ready")
    assert load.lost == []
    assert {status for status, _ in load.answers} == {200}
    assert server.stop() == 0


def test_a_cache_whose_disk_is_full_stops_nothing_but_swaps(start, own, disk):
    """That of temporary files too, as where a container has one disk in memory for both."""
    cache = {"TAILORBIRD_CACHE_DIR": str(disk / "cache"), "TMPDIR": str(disk)}
    server = start(own, **KEY, **cache).wait()
    fill(disk)
    swap(own, 2)
    with Load(server.url, pause=0.005) as load:
        wait_for(lambda: ready(server)["status"] == "stale")
        assert "No space left on device" in ready(server)["problem"]
        images = np.random.default_rng(0).integers(0, 256, (500, 28, 28), np.uint8)  # of many classes and bins
        headers = {"Content-Type": "application/octet-stream"}
        assert server.client.post("/predict", content=images.tobytes(), headers=headers).is_success
        seen = load.total
        wait_for(lambda: load.total > seen + 50)
        assert sums(server, "swaps_total", "outcome")["unavailable",] > 0
    assert (load.lost, load.answers.keys()) == ([], {(200, 1)})
    assert server.stop() == 0
    again = start(own, **KEY, **cache).wait()
    assert (ready(again)["status"], ready(again)["version"]) == ("stale", 1)
    (disk / "filler").unlink()
    wait_for(lambda: served(again) == {2})
    assert ready(again)["status"] == "ready"
    assert not list((disk / "cache").rglob(".*"))
    assert again.stop() == 0


def test_a_start_with_nothing_in_a_cache_that_is_full_says_why(start, own, disk):
    fill(disk)
    server = start(own, **KEY, TAILORBIRD_CACHE_DIR=str(disk / "cache"))
    assert server.process.wait(BOUND_SECONDS) == 1
    assert "No space left on device" in server.output()
    assert "Traceback" not in server.output()


def test_a_version_whose_files_are_damaged_is_told_and_never_served(start, own, register, toy):
    register(own, "demo", toy.make(seed=5).files(), alias=None)
    server = start(own, **KEY).wait()
    (worker,) = workers(server)
    worker.suspend()  # so that it fetches nothing before that is damaged
    swap(own, 3)
    for blob in own.home.rglob("storage/**/blobs/*/*"):
        if b"MatMul" in blob.read_bytes():
            blob.write_bytes(blob.read_bytes().replace(b"MatMul", b"MatMux"))
    shutil.rmtree(own.cache)
    worker.resume()
    wait_for(lambda: "failed" in ready(server))
    assert served(server) == {1}
    (failed,) = ready(server)["failed"]
    assert failed["version"] == 3 and "model.onnx" in failed["problem"]
    assert server.stop() == 0
