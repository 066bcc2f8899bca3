"""Addresses of Ray clusters: parsing, and checks whether a usable cluster answers."""

import os
import socket
import time

import grpc
import ray
from ray._common.network_utils import build_address
from ray._private.grpc_utils import init_grpc_channel
from ray._private.services import canonicalize_bootstrap_address, find_node_ids
from ray.core.generated import (
    gcs_pb2,
    gcs_service_pb2,
    gcs_service_pb2_grpc,
    node_manager_pb2,
    node_manager_pb2_grpc,
    ray_client_pb2,
    ray_client_pb2_grpc,
)

from tailorbird.errors import InvalidInput, Unavailable

LOCAL, AUTO, CLIENT = "local", "auto", "ray://"
SECONDS = 5
"""Seconds for all checks together; Ray itself would try for a minute and end in a traceback."""
PAUSE_SECONDS = 0.2
"""Seconds between looks for a node that is starting."""
LAST_PORT = 2**16 - 1


def resolved(address: str | None) -> str:
    """The address passed, else RAY_ADDRESS, else `local`, for which Ray is started here."""
    return address or os.environ.get("RAY_ADDRESS") or LOCAL


def is_own(address: str | None) -> bool:
    """Whether Ray is started here."""
    return resolved(address) == LOCAL


def check(address: str) -> None:
    """Check that the head of a cluster, or the server of Ray's clients, answers with our release and accepts our token.

    For the address of a head, check the node on this machine too, which a driver needs. Raises InvalidInput for an
    invalid address, and Unavailable if no usable cluster answers.
    """
    ends = time.monotonic() + SECONDS
    target = _target(address)
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS).close()
    except (OSError, UnicodeError) as error:  # UnicodeError: for a host with an empty or too long label
        raise Unavailable(f"the Ray cluster at {address} does not answer: {error}") from None
    with init_grpc_channel(target) as channel:
        try:
            grpc.channel_ready_future(channel).result(_left(ends))
            _check_release(channel, address, _left(ends))
            if not address.startswith(CLIENT):
                _check_node(channel, address, ends)
        except grpc.FutureTimeoutError:
            raise Unavailable(
                f"what answers at {address} is not a Ray cluster, or one that is starting or stopping"
            ) from None
        except grpc.RpcError as error:
            raise Unavailable(_problem(address, error)) from None


def _check_release(channel: grpc.Channel, address: str, seconds: float) -> None:
    """Ask the head for its release; a client's server reports its release only after connecting."""
    if address.startswith(CLIENT):
        ping = ray_client_pb2.ClusterInfoRequest(type=ray_client_pb2.ClusterInfoType.PING)
        ray_client_pb2_grpc.RayletDriverStub(channel).ClusterInfo(ping, timeout=seconds)
        return
    head = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
    release = head.CheckAlive(gcs_service_pb2.CheckAliveRequest(), timeout=seconds).ray_version
    if release != ray.__version__:
        raise Unavailable(f"the Ray cluster at {address} is of release {release}, and this is {ray.__version__}")


def _check_node(channel: grpc.Channel, address: str, ends: float) -> None:
    """Send the node on this machine the first request of every driver; a node that is starting is waited for."""
    while (node := _node(channel, _left(ends))) is None:
        if time.monotonic() > ends:
            raise Unavailable(
                f"no node of the Ray cluster at {address} runs on this machine; ray://HOST:10001 reaches it from "
                f"elsewhere"
            )
        time.sleep(PAUSE_SECONDS)
    with init_grpc_channel(node) as manager_channel:
        try:
            manager = node_manager_pb2_grpc.NodeManagerServiceStub(manager_channel)
            manager.GetSystemConfig(node_manager_pb2.GetSystemConfigRequest(), timeout=max(1, _left(ends)))
        except grpc.RpcError as error:
            raise Unavailable(
                f"the node of the Ray cluster at {address} on this machine, {node}, does not answer: {error.details()}"
            ) from None


def _target(address: str) -> str:
    """Host and port; Ray finds those of `auto` in the processes of this machine."""
    if address == AUTO:
        try:
            local: str | None = canonicalize_bootstrap_address(AUTO)
        except ConnectionError:
            local = None
        if local is None:
            raise Unavailable("no Ray cluster is running on this machine, where `auto` looks for one")
        return local
    target = address.removeprefix(CLIENT)
    host, _, port = target.rpartition(":")
    if not host or not port.isdecimal() or int(port) > LAST_PORT or "/" in target:
        raise InvalidInput(
            "--address",
            f"{address!r} is not an address of a Ray cluster; accepted: HOST:PORT of its head, ray://HOST:PORT, auto",
        )
    return target


def _left(ends: float) -> float:
    return max(0.1, ends - time.monotonic())


def _node(channel: grpc.Channel, seconds: float) -> str | None:
    """The address of the node on this machine that a driver would join, preferably the head's."""
    selector = gcs_service_pb2.GetAllNodeInfoRequest.NodeSelector
    ids = [selector(node_id=bytes.fromhex(number)) for number in find_node_ids()]
    if not ids:
        return None
    asked = gcs_service_pb2.GetAllNodeInfoRequest(node_selectors=ids, state_filter=gcs_pb2.GcsNodeInfo.ALIVE)
    head = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
    nodes = sorted(head.GetAllNodeInfo(asked, timeout=seconds).node_info_list, key=lambda node: not node.is_head_node)
    return str(build_address(nodes[0].node_manager_address, nodes[0].node_manager_port)) if nodes else None


def _problem(address: str, error: grpc.RpcError) -> str:
    match error.code():
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            if os.environ.keys() & {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}:
                return f"the Ray cluster at {address} does not accept the token that RAY_AUTH_TOKEN or its file gives"
            return f"the Ray cluster at {address} requires a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
        case grpc.StatusCode.UNIMPLEMENTED:
            return (
                f"what answers at {address} is not the head of a Ray cluster; give the port of its head, usually 6379, "
                f"or ray://HOST:10001"
            )
    return f"the Ray cluster at {address} does not answer: {error.details()}"
