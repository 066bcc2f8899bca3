"""The fixtures of serving, for the tests that break what a server stands on."""

from tests.serving.conftest import (  # noqa: F401
    register,
    start,
    toy,
)
