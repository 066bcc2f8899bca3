"""The registry's fixtures, for the tests that break what it stands on."""

from tests.registry.conftest import (  # noqa: F401
    embedded,
    make_settings,
    no_settings_from_outside,
    package_files,
    register,
    settings,
)
