import pytest

from registry import versions
from serving.endpoint import Endpoint
from serving.metrics import Metrics
from serving.problems import Problem


@pytest.fixture
def endpoint(settings, tmp_path):
    endpoint = Endpoint(settings, Metrics(), tmp_path)
    yield endpoint
    endpoint.close()


def info(endpoint, version) -> float | None:
    labels = {"model": "demo", "version": str(version), "alias": "champion"}
    return endpoint.metrics.registry.get_sample_value("tailorbird_model_info", labels)


def test_without_a_model_it_says_why(endpoint):
    with pytest.raises(Problem, match="there is no model to serve: the model is being loaded") as caught:
        endpoint.served  # noqa: B018
    assert caught.value.status == 503


def test_swaps_versions(endpoint, registry):
    """What holds the old version ends with it, and its metrics say that it is served no longer."""
    endpoint.swap(endpoint.prepare(versions.resolve(registry, "demo:1"), "champion"))
    old = endpoint.served
    assert info(endpoint, 1) == 1
    endpoint.swap(endpoint.prepare(versions.resolve(registry, "demo:2"), "champion"))
    assert (old.version.number, endpoint.served.version.number) == (1, 2)
    assert (info(endpoint, 1), info(endpoint, 2)) == (0, 1)
    endpoint.swap(old)
    assert (info(endpoint, 1), info(endpoint, 2)) == (1, 0)
