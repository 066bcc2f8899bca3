"""The estimates of a watch, over all replicas, as metrics for Prometheus."""

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from tailorbird.errors import InvalidInput
from tailorbird.watch.counters import ESTIMATE
from tailorbird.watch.look import Look

OWN = ("fitted", "mix_moves")
"""Estimates from counters; `mix_steady` needs predictions and is read from the endpoints."""


class Gauges:
    """Answers `/metrics` on an address until the process ends; raises InvalidInput if the port is taken."""

    def __init__(self, host: str, port: int) -> None:
        registry = CollectorRegistry()
        about = "Estimated accuracy in the policy's window, by the assumption of the estimate."
        self._estimates = Gauge(ESTIMATE, about, ("model", "version", "assumes"), registry=registry)
        try:
            start_http_server(port, host, registry)
        except OSError as error:
            raise InvalidInput("--metrics-port", f"{host}:{port} cannot be bound: {error.strerror}") from None

    def show(self, look: Look | None) -> None:
        """Set the estimates of a check, and clear all others; None is a check that could not read its data."""
        self._estimates.clear()
        if look is None:
            return
        for name in OWN:
            if (value := look.judgement.estimates[name]) is not None:
                self._estimates.labels(look.version.model, look.version.number, name).set(value)
