"""Ray: an existing cluster, or a local one that cleans up after itself."""

import logging
import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import joblib
import ray
from ray._private import utils as ray_utils

from tailorbird import folders
from tailorbird.errors import Unavailable
from tuning import addresses
from tuning.loading import Loading
from tuning.stop import Stop

STORE_BYTES = 512 * 2**20
LONGEST_FOLDER = 16
PREFIX = "tailorbird-r"  # no longer, since it is part of the path of sockets

# Read by Ray's processes when they start, so they must be set before ray.init.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is handled by us, so that it reaches the ledger
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our ledger is the record; CSV and JSON copies of it are not needed
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints trials in spite of verbose=0; we show a table of our own
}


@contextmanager
def connected(address: str | None, stop: Stop) -> Iterator[Path]:
    """Connect to `address`, else to RAY_ADDRESS, else start Ray here; yields a temporary folder for Tune's files.

    If Ray was started here, it is stopped again, and its files are removed; those of killed drivers are removed by the
    next one. Raises as `addresses.check` does, and KeyboardInterrupt if `stop` caught a signal in the meantime.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failures are shown by the table and the ledger
    with folders.own(PREFIX, _short_folder()) as folder:
        try:
            # Ray makes its folder readable for everybody; its parent stays private
            with stop.starting(), _unhandled():
                _connect(addresses.resolved(address), folder / "r")
            with stop.caught():  # again: Ray's C++ code sets a handler for SIGTERM too, which aborts the process
                yield folder / "tune"
        finally:
            ray.shutdown()


@contextmanager
def leaving() -> Iterator[None]:
    """Disconnect, and stop Ray if it was started here, in parallel to what is done within, which does not need it."""
    shutdown = Loading(ray.shutdown)
    try:
        yield
    finally:
        shutdown.result()


def _connect(address: str, folder: Path) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == addresses.LOCAL:
        _ensure_token()
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "torch")  # a folder that torch creates
        options = {"include_dashboard": False, "object_store_memory": STORE_BYTES, "_temp_dir": str(folder)}
        with _explained("Ray did not start"):
            ray.init(addresses.LOCAL, num_cpus=joblib.cpu_count(), **options, **quiet)
        return
    addresses.check(address)
    with _explained(f"the Ray cluster at {address} cannot be joined"):
        ray.init(address, **quiet)


@contextmanager
def _unhandled() -> Iterator[None]:
    """Keep `ray.init` from setting a handler for SIGTERM: it would replace ours, and raises SystemExit anywhere.

    That of its C++ code calls ours, but has set an alarm, by which the process is aborted after three seconds.
    """
    set_handler = ray_utils.set_sigterm_handler
    ray_utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = set_handler
        signal.alarm(0)


@contextmanager
def _explained(problem: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Ray has no exception class for time-outs and lost connections
        first = str(error).partition("\n")[0]
        raise Unavailable(f"{problem}: {first}; if this machine is busy, try again") from None


def _short_folder() -> str:
    # Ray creates sockets below its folder, and the path of a socket has at most 107 bytes (unix(7))
    usual = tempfile.gettempdir()
    return usual if len(usual) <= LONGEST_FOLDER else "/tmp"  # noqa: S108 (mkdtemp makes a private one in it)


def _ensure_token() -> None:
    """A token for a local cluster; Ray would otherwise write one to the user's home."""
    if not os.environ.keys() & {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
