import pytest

from registry.core import Registry
from tailorbird.settings import Settings
from tests import packages

WORSE = ((10, 10, 0), (10, 10, 0), (0, 10, 10))


@pytest.fixture
def home(tmp_path):
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture
def pets(home):
    """pets:1, then pets:2 which is worse."""
    with Registry(home) as registry:
        packages.register(registry)
        packages.register(registry, confusion=WORSE)
