"""`tailorbird serve`: validates everything, then runs BentoML's server until a signal stops it."""

import errno
import os
import socket
from pathlib import Path

from pydantic import SecretStr

from registry.core import Registry
from registry.names import Reference
from registry.version import Version
from serving import folder, receipts, signals
from serving.announcement import Announcement
from serving.choice import choose
from serving.pools import Pool
from serving.state import FOLDER, StateFile
from tailorbird.errors import InvalidInput, Unavailable
from tailorbird.settings import PREFIX, Settings

STOP_SECONDS = 20
"""Seconds that requests in flight may still take; Kubernetes kills after 30 s."""
CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def serve(settings: Settings, model: str, host: str, port: int, workers: int) -> None:
    """Serve `model`, `NAME[@ALIAS|:N]`, over HTTP until SIGTERM, SIGHUP or Ctrl-C, then finish requests in flight.

    Raises InvalidInput, Corrupt or Unavailable before any worker starts if workers could not work, and Unavailable if
    they do not get ready.
    """
    reference = Reference.parse(model)
    if workers < 1:
        raise InvalidInput("workers", f"{workers} is not accepted; accepted: 1 or more")
    _check_bentoml()
    address = _check_address(host, port)
    with folder.own() as home, signals.repeated(home):
        version = _enter(settings, reference, home)
        os.environ.update(_environment(settings, reference, str(home)))
        announcement = Announcement(str(version), host, address, port)
        announcement.start()
        _run_bentoml(address, port, workers, str(home))
    if announcement.problem:
        raise Unavailable(announcement.problem)


def workers() -> int:
    """The whole CPUs of the container's limit (cgroup v2), at least 1; 1 if there is no limit."""
    try:
        quota, period = map(int, CPU_LIMIT.read_text().split())
    except (OSError, ValueError):  # without a limit the quota is "max"
        return 1
    return max(1, quota // period)


def _check_bentoml() -> None:
    path = os.environ.get("BENTOML_CONFIG")
    if path and not Path(path).is_file():
        raise InvalidInput(
            "BENTOML_CONFIG", f"names {path}, which is not a file; accepted: an existing file, or leave it unset"
        )


def _check_address(host: str, port: int) -> str:
    """The IP address of `host`; raises InvalidInput, naming the variable it is from, if it cannot be bound."""
    if not 1 <= port <= 65_535:
        raise InvalidInput("port", f"{port} is not accepted; accepted: 1 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        field = "HOST, the environment variable," if os.environ.get("HOST") == host else "host"
        raise InvalidInput(field, f"{host!r} cannot be resolved: {error.strerror}") from None
    try:
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise _not_free(host, port, error) from None
    return str(address[0])


def _not_free(host: str, port: int, error: OSError) -> InvalidInput:
    match error.errno:
        case errno.EADDRINUSE:
            return InvalidInput("port", f"{port} is in use at {host}; accepted: a free port")
        case errno.EACCES:
            return InvalidInput("port", f"{port} requires root; accepted: 1024 to 65535")
    return InvalidInput("host", f"{host!r} cannot be bound: {error.strerror}")


def _enter(settings: Settings, reference: Reference, home: Path) -> Version:
    """Choose the version that every worker serves, and write it to the file that they read."""
    receipts.keys(settings)
    with Registry(settings) as registry:
        state = choose(registry, reference, Pool("registry", 1))
    StateFile(home).write(state)
    return state.version


def _environment(settings: Settings, reference: Reference, home: str) -> dict[str, str]:
    """The environment of workers: exactly the checked settings, and a BentoML folder of their own."""
    changes = {name: value for name, value in settings if value is not None}
    changes |= {
        "model": reference,
        "database_url": settings.database,
        "storage_url": settings.storage,
        "data_dir": settings.data,
        "cache_dir": settings.cache,
    }
    ours = {f"{PREFIX}{name.upper()}": _text(value) for name, value in changes.items()}
    ours[FOLDER] = home
    theirs = {"BENTOML_HOME": home, "BENTOML_DO_NOT_TRACK": "True", "BENTOML_QUIET": "True", "TMPDIR": home}
    theirs["PROMETHEUS_MULTIPROC_DIR"] = f"{home}/prometheus_multiproc_dir"  # as BentoML does; for the stand-in
    return ours | theirs


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(value)
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _run_bentoml(address: str, port: int, workers: int, home: str) -> None:
    # imported here, because BentoML reads its settings from the environment; workers run in `home`, because Python
    # would import a folder `registry` or `serving` of the working directory in place of ours
    try:
        from _bentoml_impl.server import serve_http
    except Exception as error:  # of many kinds, depending on the error in its configuration
        if not (path := os.environ.get("BENTOML_CONFIG")):
            raise
        problem = " ".join(str(error).split())[:200]
        raise InvalidInput("BENTOML_CONFIG", f"names {path}, which BentoML refuses: {problem}") from None

    from serving.service import Service
    from serving.supervision import adjusted

    Service.config["workers"] = workers
    Service.inject_config()
    try:
        with adjusted(Path(home)):
            serve_http(
                "serving.service:Service",
                working_dir=home,
                host=address,
                port=port,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
    except OSError as error:  # another process took the port since it was checked
        raise _not_free(address, port, error) from None
