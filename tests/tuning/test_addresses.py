import socket
import threading
import time
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest
import ray
from ray.core.generated import gcs_service_pb2, ray_client_pb2

from tailorbird.errors import InvalidInput, Unavailable
from tuning import addresses, cluster
from tuning.stop import Stop

ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
CLIENTS = "/ray.rpc.RayletDriver/ClusterInfo"
NODES = "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo"
CONFIG = "/ray.rpc.NodeManagerService/GetSystemConfig"


@contextmanager
def speaking(**answers):
    """The port of a gRPC server that has these answers, or refusals, by method."""
    methods = {ALIVE: answers.get("head"), CLIENTS: answers.get("clients")}
    methods |= {NODES: answers.get("nodes"), CONFIG: answers.get("config")}

    class Handler(grpc.GenericRpcHandler):
        def service(self, asked):
            if (answer := methods.get(asked.method)) is None:
                return None

            def answered(_, context):
                if isinstance(answer, grpc.StatusCode):
                    context.abort(answer, "said so")
                return answer() if callable(answer) else answer

            return grpc.unary_unary_rpc_method_handler(answered)

    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None)


def alive(release):
    return gcs_service_pb2.CheckAliveReply(ray_version=release).SerializeToString()


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "localhost:{}", "a..b:{}"])
def test_an_address_where_nothing_answers_is_told_at_once(form):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = form.format(probe.getsockname()[1])
        with pytest.raises(Unavailable, match="does not answer"), cluster.connected(address, Stop()):
            pytest.fail("connected to nothing")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:99999", "ray://head", ":6379", "http://127.0.0.1:8265"])
def test_what_is_no_address_is_told(address):
    with pytest.raises(
        InvalidInput,
        match=r"is not an address of a Ray cluster; accepted: HOST:PORT of its head, "
        "ray://HOST",
    ):
        addresses.check(address)


def test_where_none_runs_auto_finds_none(monkeypatch):
    monkeypatch.setattr(addresses, "canonicalize_bootstrap_address", lambda _: None)
    with pytest.raises(Unavailable, match="no Ray cluster is running on this machine"):
        addresses.check("auto")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_an_address_of_something_else_is_told_within_seconds(monkeypatch, answer):
    monkeypatch.setattr(addresses, "SECONDS", 0.5)

    def serve(listening):
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                try:
                    connection.recv(1000)
                    connection.sendall(answer)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        with pytest.raises(Unavailable, match=r"^what answers at 127\.0\.0\.1:\d+ is not a Ray cluster"):
            addresses.check(f"127.0.0.1:{listening.getsockname()[1]}")


@pytest.mark.parametrize(
    ("form", "answers", "problem"),
    [
        ("127.0.0.1:{}", {}, "is not the head of a Ray cluster; give the port of its head, usually 6379"),
        ("127.0.0.1:{}", {"clients": b""}, "is not the head of a Ray cluster"),
        ("ray://127.0.0.1:{}", {"head": b""}, "is not the head of a Ray cluster; .* or ray://HOST:10001"),
        ("127.0.0.1:{}", {"head": grpc.StatusCode.UNAUTHENTICATED}, "requires a token: set RAY_AUTH_MODE=token and"),
        ("ray://127.0.0.1:{}", {"clients": grpc.StatusCode.UNAUTHENTICATED}, "requires a token"),
        ("127.0.0.1:{}", {"head": grpc.StatusCode.UNAVAILABLE}, "does not answer: said so"),
        ("127.0.0.1:{}", {"head": alive("1.0.0")}, rf"is of release 1\.0\.0, and this is {ray.__version__}"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_told(form, answers, problem):
    with speaking(**answers) as port, pytest.raises(Unavailable, match=problem):
        addresses.check(form.format(port))


def test_a_token_that_is_not_accepted_is_not_called_missing(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    problem = "does not accept the token that RAY_AUTH_TOKEN"
    with speaking(head=grpc.StatusCode.UNAUTHENTICATED) as port, pytest.raises(Unavailable, match=problem):
        addresses.check(f"127.0.0.1:{port}")


def listed(*ports):
    """Nodes of this machine, the last of which is the head."""
    reply = gcs_service_pb2.GetAllNodeInfoReply()
    for port in ports:
        address = {"node_manager_address": "127.0.0.1", "node_manager_port": port}
        reply.node_info_list.add(**address, is_head_node=port == ports[-1])
    return reply.SerializeToString()


@pytest.fixture
def node(monkeypatch):
    """Ray's processes of this machine have one of a node."""
    monkeypatch.setattr(addresses, "find_node_ids", lambda: {"ab" * 28})


def test_a_head_with_a_node_here_and_a_server_of_clients_can_be_used(node):
    clients = ray_client_pb2.ClusterInfoResponse(json="{}").SerializeToString()
    with (
        speaking(config=grpc.StatusCode.UNAVAILABLE) as other,
        speaking(config=b"") as head,
        speaking(head=alive(ray.__version__), clients=clients, nodes=listed(other, head)) as port,
    ):
        addresses.check(f"127.0.0.1:{port}")
        addresses.check(f"ray://127.0.0.1:{port}")


def test_a_node_that_hangs_is_told_within_seconds(node):
    over, began = threading.Event(), time.monotonic()
    with (
        speaking(config=over.wait) as hanging,
        speaking(head=alive(ray.__version__), nodes=listed(hanging)) as port,
        pytest.raises(Unavailable, match=rf"^the node of .* on this machine, 127\.0\.0\.1:{hanging}, does not answer"),
    ):
        addresses.check(f"127.0.0.1:{port}")
    over.set()
    assert time.monotonic() - began < 10


def test_a_node_that_is_starting_is_waited_for(monkeypatch):
    looks = iter([[], [], ["ab" * 28]])
    monkeypatch.setattr(addresses, "find_node_ids", lambda: next(looks))
    with (
        speaking(config=b"") as starting,
        speaking(head=alive(ray.__version__), nodes=listed(starting)) as port,
    ):
        addresses.check(f"127.0.0.1:{port}")
    assert next(looks, None) is None


@pytest.mark.parametrize("ids", [[], ["ab" * 28]])
def test_a_machine_without_a_node_of_the_cluster_is_told(monkeypatch, ids):
    monkeypatch.setattr(addresses, "find_node_ids", lambda: ids)
    monkeypatch.setattr(addresses, "SECONDS", 1)
    with (
        speaking(head=alive(ray.__version__), nodes=listed()) as port,
        pytest.raises(Unavailable, match=r"^no node of the Ray cluster at 127.* runs on this machine; ray://HOST"),
    ):
        addresses.check(f"127.0.0.1:{port}")


def test_an_address_is_that_of_the_environment_or_none(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert addresses.is_own(None) and addresses.is_own("local") and not addresses.is_own("head:6379")
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert addresses.resolved(None) == "head:6379" and addresses.resolved("other:1") == "other:1"
