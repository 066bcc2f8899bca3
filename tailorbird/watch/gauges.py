"""The estimates of a watch as Prometheus scrapes them, over all replicas of what is served."""

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from tailorbird.errors import InvalidInput
from tailorbird.watch.counters import ESTIMATE
from tailorbird.watch.look import Look

OWN = ("fitted", "mix_moves")
"""What is estimated of counters; `mix_steady` is the endpoints' alone, whose answers it needs, and read from them."""


class Gauges:
    """Answers `/metrics` on an address until the process ends; raises InvalidInput where the port is taken."""

    def __init__(self, host: str, port: int) -> None:
        registry = CollectorRegistry()
        about = "An estimate, not a fact, of the accuracy of the policy's window, by what it assumes."
        self._estimates = Gauge(ESTIMATE, about, ("model", "version", "assumes"), registry=registry)
        try:
            start_http_server(port, host, registry)
        except OSError as error:
            raise InvalidInput("--metrics-port", f"{host}:{port} cannot be listened on: {error.strerror}") from None

    def show(self, look: Look | None) -> None:
        """Say what a look estimated, and nothing else; None stands for one that could not read what it needs."""
        self._estimates.clear()
        if look is None:
            return
        for name in OWN:
            if (value := look.judgement.estimates[name]) is not None:
                self._estimates.labels(look.version.model, look.version.number, name).set(value)
