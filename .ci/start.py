"""Time from `podman run` to ready of the serving image, hardened and with its model in the cache.

    python .ci/start.py HOME FOLDER

HOME holds the registry, FOLDER is made for the cache. Each container is asked for predictions until half of its
draining is over, and none may be refused or lost. The times are printed, and fail nothing: machines differ by half.
"""

import http.client
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

PODMAN = shutil.which("podman") or "podman"
PORT, DRAIN_SECONDS = 3100, 2
HARDENED = (
    "--network=host --memory=1g --read-only --user=10001:10001 --cap-drop=all --security-opt=no-new-privileges"
    f" --tmpfs=/tmp:rw,size=256m,mode=1777 --env=HOST=127.0.0.1 --env=PORT={PORT} --env=TAILORBIRD_CACHE_DIR=/cache"
    f" --env=TAILORBIRD_DRAIN_SECONDS={DRAIN_SECONDS} --env=TAILORBIRD_RECEIPT_KEY={os.urandom(16).hex()}"
).split()


def main(home: str, folder: str) -> None:
    cache = Path(folder)
    cache.mkdir()
    os.chown(cache, 10001, 10001)
    volumes = [f"--volume={home}:/var/lib/tailorbird:ro", f"--volume={cache}:/cache"]
    first, *seconds = [start(volumes) for _ in range(6)]
    print(f"ready after {first:.2f} s with an empty cache, then after {', '.join(f'{s:.2f}' for s in seconds)} s")
    print(f"median {statistics.median(seconds):.2f} s; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def start(volumes: list[str]) -> float:
    began = time.monotonic()
    container = podman("run", "--detach", "--no-healthcheck", *HARDENED, *volumes, "image-check:serve")
    try:
        while not ready():
            time.sleep(0.01)
            if time.monotonic() - began > 60:
                sys.exit("the container is not ready after 60 s")
        took = time.monotonic() - began
        stop(container)
    finally:
        podman("rm", "--force", "--time=3", container)
    return took


def podman(*words: str) -> str:
    return subprocess.run([PODMAN, *words], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def ready() -> bool:
    try:
        return ask("GET", "/readyz")[0] == 200
    except OSError:
        return False


def ask(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/octet-stream"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def stop(container: str) -> None:
    """Ask on and on while it drains, as clients do who have not heard of its end yet."""
    body = bytes(math.prod(json.loads(ask("GET", "/model")[1])["signature"]["shape"]))
    statuses: list[int | str] = []
    enough = threading.Event()

    def predict() -> None:
        while not enough.is_set():
            try:
                statuses.append(ask("POST", "/predict", body)[0])
            except OSError as error:
                statuses.append(repr(error))

    clients = [threading.Thread(target=predict) for _ in range(2)]
    for client in clients:
        client.start()
    with subprocess.Popen([PODMAN, "stop", "--time=20", container], stdout=subprocess.DEVNULL):
        time.sleep(DRAIN_SECONDS / 2)
        enough.set()
    for client in clients:
        client.join()
    status = podman("inspect", container, "--format={{.State.ExitCode}}")
    if status != "0" or not statuses or set(statuses) != {200}:
        sys.exit(f"it ended with status {status}; its answers while it drained: {sorted(map(str, set(statuses)))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
