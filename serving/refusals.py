"""Counts the requests refused by the server's parent process."""

from serving.metrics import OTHER, Metrics
from serving.problems import Shed
from serving.routes import ROUTES


class Refusals:
    """The metrics of the parent process."""

    def __init__(self) -> None:
        self.metrics = Metrics()

    def count(self, request: bytes, shed: Shed, seconds: float) -> None:
        """Count a request by its first bytes; if they cannot be parsed, under the route `other`."""
        target = request.partition(b"\r\n")[0].split(b" ")[1:2]
        path = target[0].partition(b"?")[0].decode("latin-1") if target else ""
        self.metrics.shed.labels(shed.reason).inc()
        self.metrics.answered(path if path in ROUTES else OTHER, shed.status, seconds)
