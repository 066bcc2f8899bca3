"""Ray: a cluster that is there, or one of our own that leaves nothing behind."""

import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import joblib
import ray

from tailorbird.errors import Unavailable

LOCAL = "local"
STORE_BYTES = 512 * 2**20
LONGEST_FOLDER = 16
CONNECT_SECONDS = 5

# Read by Ray's processes when they start, so they must stand before ray.init.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: it must reach the ledger
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our ledger is the record; CSV and JSON copies of it are not needed
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints trials in spite of verbose=0; the table is ours
}


@contextmanager
def connected(address: str | None) -> Iterator[Path]:
    """Connect to `address`, else to RAY_ADDRESS, else start Ray here; yields a temporary folder for Tune's files.

    A Ray that was started here is stopped again, and its files are removed. Raises Unavailable where a cluster does
    not answer.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failures are told by the table and the ledger
    folder = Path(tempfile.mkdtemp(prefix="tailorbird-", dir=_short_folder()))
    try:
        _connect(_resolved(address), folder / "r")  # Ray opens its folder to everybody; the one above it stays private
        yield folder / "tune"
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def is_own(address: str | None) -> bool:
    """Whether `connected(address)` starts Ray here."""
    return _resolved(address) == LOCAL


def _resolved(address: str | None) -> str:
    return address or os.environ.get("RAY_ADDRESS") or LOCAL


def _connect(address: str, folder: Path) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        _ensure_token()
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "torch")  # a folder that torch makes unasked
        here = {"include_dashboard": False, "object_store_memory": STORE_BYTES, "_temp_dir": str(folder)}
        try:
            ray.init(LOCAL, num_cpus=joblib.cpu_count(), **here, **quiet)
        except Exception as error:  # Ray has no class of its own for a start that takes too long
            first = str(error).partition("\n")[0]
            raise Unavailable(f"Ray did not start: {first}; if this machine is busy, try again") from None
        return
    check(address)
    ray.init(address, **quiet)


def check(address: str) -> None:
    """Ask whether Ray answers at an address, which Ray itself would try for minutes; raises Unavailable where not."""
    target = address.rpartition("://")[2]
    host, _, port = target.rpartition(":")
    if not port.isdecimal():
        return  # `auto`, say, which Ray resolves by itself
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise Unavailable(f"the Ray cluster at {address} does not answer: {error}") from None
    if os.environ.get("RAY_USE_TLS", "0") != "1":
        _check_speaks(address, target)


def _check_speaks(address: str, target: str) -> None:
    """Ask for the server's health, as every gRPC server tells it (grpc.health.v1)."""
    with grpc.insecure_channel(target) as channel:
        try:
            grpc.channel_ready_future(channel).result(CONNECT_SECONDS)
            if not address.startswith("ray://"):  # whose proxy does not tell its health
                channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=CONNECT_SECONDS)
        except grpc.FutureTimeoutError:
            raise Unavailable(
                f"what answers at {address} is no Ray cluster, or one that is starting or ending"
            ) from None
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                raise Unavailable(
                    f"what answers at {address} is no Ray cluster: {error.details()}; give the port of its head, "
                    f"usually 6379, or ray://HOST:10001"
                ) from None


def _short_folder() -> str:
    # Ray puts sockets below its folder, and the path of a socket has at most 107 bytes (unix(7))
    usual = tempfile.gettempdir()
    return usual if len(usual) <= LONGEST_FOLDER else "/tmp"  # noqa: S108 (mkdtemp makes a private one in it)


def _ensure_token() -> None:
    """A token of its own for a cluster of our own; Ray would leave one in the user's home."""
    if not os.environ.keys() & {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
