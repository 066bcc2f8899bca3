"""The line with the address of the server, printed when it is ready."""

import http.client
import json
import os
import signal
import threading
import time

START_SECONDS = 60
RETRY_SECONDS = 0.1


class Announcement:
    """Polls `/readyz` in a thread, since the server has the main thread; stops the server if it does not get ready.

    `problem` then says why.
    """

    def __init__(self, version: str, host: str, address: str, port: int) -> None:
        self.problem: str | None = None
        self._version = version
        self._place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._reached_at = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
        self._port = port

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        self.problem = self._wait()
        if self.problem is None:
            print(f"serving {self._version} at http://{self._place} (Ctrl-C stops)", flush=True)
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    def _wait(self) -> str | None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                return self._ask()
            except (OSError, http.client.HTTPException):  # nothing is listening yet, or a worker ended
                time.sleep(RETRY_SECONDS)
        return f"the server did not answer within {START_SECONDS} s"

    def _ask(self) -> str | None:
        # http.client, because it ignores proxies
        connection = http.client.HTTPConnection(self._reached_at, self._port, timeout=START_SECONDS)
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        return None if response.status == 200 else str(json.loads(answer)["detail"])
