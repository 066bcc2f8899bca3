import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest

from registry.names import Reference
from serving import receipts
from serving import server as servers
from serving.server import serve
from tailorbird import settings as known
from tailorbird.errors import Corrupt, InvalidInput, NotFound
from tailorbird.settings import PREFIX, Settings
from tests.ports import free_port
from tests.rights import WITHOUT_RIGHTS
from tests.waiting import BOUND_SECONDS, wait_for

IMAGES = {"inputs": np.zeros((3, 28, 28), int).tolist()}


def value(client, name) -> float:
    return float(re.search(rf"^tailorbird_{re.escape(name)} (\S+)$", client.get("/metrics").text, re.M)[1])


def test_metrics_are_those_of_all_workers(server, client):
    """Each connection may go to another worker; whichever is asked must know of all requests."""
    name = 'request_duration_seconds_count{code="200",route="/livez"}'
    client.get("/livez")
    before = value(client, name)
    for _ in range(40):
        server.client.get("/livez")
    assert {value(server.client, name) for _ in range(10)} == {before + 40}


def children(server) -> list[psutil.Process]:
    result = psutil.Process(server.process.pid).children(recursive=True)
    assert result
    return result


def test_workers_run_on_uvloop(server):
    workers = [child for child in children(server) if "_bentoml_impl.worker.service" in child.cmdline()]
    assert len(workers) == 2
    assert all(any("uvloop" in region.path for region in worker.memory_maps()) for worker in workers)


def was_read(connection) -> bool:
    """Whether who has accepted a connection has read all that was sent."""
    port = f":{connection.getsockname()[1]:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any(row[2].endswith(port) and row[4].endswith(":00000000") and row[9] != "0" for row in rows[1:])


def refuses(server) -> bool:
    """Whether nothing listens any more."""
    try:
        server.client.get("/livez")
    except httpx.TransportError as error:
        return isinstance(error, httpx.ConnectError)
    return False


def heeds_sigterm(process) -> bool:
    """Whether a process has a handler of its own for it, which Python has not."""
    [caught] = re.findall(r"^SigCgt:\s(\w+)$", Path(f"/proc/{process.pid}/status").read_text(), re.M)
    return bool(int(caught, 16) >> signal.SIGTERM - 1 & 1)


def check_nothing_left(server, processes):
    assert not psutil.wait_procs(processes, timeout=BOUND_SECONDS)[1]
    assert server.own_files == []
    with pytest.raises(httpx.ConnectError):
        server.client.get("/livez")


def test_sigterm_lets_requests_in_flight_end_and_leaves_nothing(start, settings):
    own = start(settings).wait()
    processes = children(own)
    body = httpx.Request("POST", own.url, json=IMAGES).read()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    address = urlsplit(own.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + body[:100])
        wait_for(lambda: was_read(connection))
        own.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses(own))
        connection.sendall(body[100:])
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert own.process.wait(30) == 0
    check_nothing_left(own, processes)


def test_ctrl_c_ends_a_second_server_beside_the_first(start, settings, client):
    count = 'request_duration_seconds_count{code="200",route="/livez"}'
    baseline = 'baseline_accuracy_ratio{model="demo",version="1"}'
    client.get("/livez")
    before = value(client, count)
    own = start(settings, TAILORBIRD_API_TOKEN="a secret token").wait()
    processes = children(own)
    token = {"Authorization": "Bearer a secret token"}
    assert own.client.post("/predict", json=IMAGES).status_code == 401
    assert own.client.post("/predict", json=IMAGES, headers=token).status_code == 200
    assert own.client.post("/predict", json=[], headers=token).status_code == 422
    assert value(client, count) == before  # the first one's files are its own
    assert value(client, baseline) == 0.875
    processes[-1].kill()  # a worker, which leaves its temporary files to us
    assert own.stop(signal.SIGINT) == 0
    assert own.output() == f"serving demo:1 at {own.url} (Ctrl-C stops)\n"
    check_nothing_left(own, processes)


def test_a_signal_during_the_start(start, settings):
    own = start(settings)
    wait_for(lambda: heeds_sigterm(own.process))
    processes = psutil.Process(own.process.pid).children(recursive=True)
    assert own.stop() == 0
    assert own.output() == ""
    check_nothing_left(own, processes)


@pytest.fixture
def read_only_home(tmp_path, register, toy):
    """A registry in a folder that cannot be written; for root, once it is without the right to write anywhere."""
    home = tmp_path / "home"
    register(Settings(_env_file=None, home=home), "demo", toy.files())
    for path in (home, *home.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield Settings(_env_file=None, home=home)
    for path in (home, *home.rglob("*")):
        path.chmod(0o755)


def test_a_read_only_registry_is_served_without_feedback(start, read_only_home):
    own = start(read_only_home, before=WITHOUT_RIGHTS, TAILORBIRD_RECEIPT_KEY="sixteen letters!").wait()
    answer = own.client.post("/predict", json=IMAGES)
    assert answer.status_code == 200
    labels = [{"receipt": answer.json()["predictions"][0]["receipt"], "label": "one"}]
    refused = own.client.post("/feedback", json={"labels": labels})
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert refused.json()["detail"].startswith("labels cannot be stored: the registry is read-only")
    assert own.stop() == 0


def test_a_read_only_home_needs_a_key(settings, monkeypatch):
    monkeypatch.setattr(receipts, "writable", lambda _: False)
    with pytest.raises(InvalidInput, match="TAILORBIRD_RECEIPT_KEY: must be given"):
        serve(settings, "demo", "127.0.0.1", free_port(), 1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"port": 0}, InvalidInput, "port: 0 is not accepted; accepted: 1 to 65535"),
        ({"port": 65_536}, InvalidInput, "port: 65536"),
        ({"host": "256.1.1.1"}, InvalidInput, "host: '256.1.1.1' cannot be resolved"),
        ({"host": "192.0.2.1"}, InvalidInput, "host: '192.0.2.1' cannot be bound"),
        ({"workers": 0}, InvalidInput, "workers: 0 is not accepted"),
        ({"model": "A B"}, InvalidInput, "model: 'A B' is not a name"),
        ({"model": "nobody"}, NotFound, "model: there is no model 'nobody'"),
        ({"model": "demo:9"}, NotFound, "demo has the aliases champion"),
    ],
)
def test_refuses_before_it_starts(settings, arguments, error, message):
    with pytest.raises(error) as caught:
        serve(settings, **{"model": "demo", "host": "127.0.0.1", "port": free_port(), "workers": 1} | arguments)
    assert message in str(caught.value)


def test_a_host_that_conda_sets_is_told_by_its_variable(settings, monkeypatch):
    monkeypatch.setenv("HOST", "x86_64-conda-linux-gnu")
    with pytest.raises(
        InvalidInput, match=r"^HOST, the environment variable,: 'x86_64-conda-linux-gnu' cannot be resolved"
    ):
        serve(settings, "demo", "x86_64-conda-linux-gnu", free_port(), 1)


def test_a_configuration_of_bentoml_that_is_not_there(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("BENTOML_CONFIG", str(tmp_path / "none.yaml"))
    with pytest.raises(InvalidInput, match=r"^BENTOML_CONFIG: names .*none\.yaml, which is not a file"):
        serve(settings, "demo", "127.0.0.1", free_port(), 1)


@pytest.mark.parametrize("content", ["nonsense: {a: 1}", ": bad: ["])
def test_a_configuration_that_bentoml_refuses(settings, tmp_path, content):
    (tmp_path / "bento.yaml").write_text(content)
    environment = {PREFIX + "HOME": str(settings.home), "BENTOML_CONFIG": str(tmp_path / "bento.yaml")}
    command = [sys.executable, "-m", "tailorbird", "serve", "demo", "--port", str(free_port())]
    ended = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"error: BENTOML_CONFIG: names {tmp_path}/bento.yaml, which BentoML refuses: ")


@pytest.mark.parametrize(
    ("limit", "workers"),
    [("200000 100000\n", 2), ("150000 100000\n", 1), ("50000 100000\n", 1), ("max 100000\n", 1), (None, 1)],
)
def test_workers_are_as_many_as_the_container_may_take_cpus(tmp_path, monkeypatch, limit, workers):
    monkeypatch.setattr(servers, "CPU_LIMIT", tmp_path / "cpu.max")
    if limit is not None:
        (tmp_path / "cpu.max").write_text(limit)
    assert servers.workers() == workers


def test_a_port_that_is_taken(settings, server):
    port = urlsplit(server.url).port
    with pytest.raises(InvalidInput, match=f"port: {port} is in use at localhost"):
        serve(settings, "demo", "localhost", port, 1)


def test_a_package_that_does_not_verify(register, toy, tmp_path):
    home = tmp_path / "home"
    register(Settings(_env_file=None, home=home), "demo", toy.files())
    for blob in (home / "storage").rglob("blobs/*/*"):
        blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.raises(Corrupt):
        serve(Settings(_env_file=None, home=home), "demo", "127.0.0.1", free_port(), 1)


@pytest.mark.parametrize("database", ["", "postgresql+psycopg://ada:word@db.example/birds"])
def test_workers_are_told_the_settings_that_were_checked(tmp_path, monkeypatch, database):
    given = Settings(
        _env_file=None,
        home=tmp_path,
        database_url=database,
        api_token="a token of 8",
        webhooks=["https://a.example/x", "https://b.example"],
        webhook_key="a key of 16 characters",
        webhook_private=True,
        public_key=tmp_path / "public.pem",
    )
    for name, value in servers._environment(given, Reference.parse("demo:2"), str(tmp_path)).items():
        monkeypatch.setenv(name, value)
    message = known.load()
    assert message.model_dump() == given.model_dump() | {
        "model": "demo:2",
        "database_url": given.database,
        "storage_url": given.storage,
        "data_dir": given.data,
        "cache_dir": given.cache,
    }
