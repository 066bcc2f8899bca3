import pytest

from serving.problems import Shed
from serving.refusals import Refusals


@pytest.mark.parametrize(
    ("request_", "route"),
    [
        (b"POST /predict HTTP/1.1\r\nHost: x\r\n\r\n{}", "/predict"),
        (b"GET /readyz?x=/predict HTTP/1.1\r\n\r\n", "/readyz"),
        (b"GET / HTTP/1.1\r\n\r\n", "/"),
        (b"GET /nowhere HTTP/1.1\r\n\r\n", "other"),
        (b"\x16\x03\x01", "other"),
        (b"", "other"),
    ],
)
def test_counts_by_the_route(request_, route):
    refusals = Refusals()
    refusals.count(request_, Shed("restarting", "later"), 0.1)
    value = refusals.metrics.registry.get_sample_value
    assert value("tailorbird_shed_total", {"reason": "restarting"}) == 1
    assert value("tailorbird_request_duration_seconds_count", {"route": route, "code": "503"}) == 1
