"""What holds for every test: with TAILORBIRD_TEST_NO_SKIPS=1, as in CI, a skipped test is a failure."""

import os
from collections.abc import Generator

import hypothesis
import pytest

hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")

NO_SKIPS = os.environ.get("TAILORBIRD_TEST_NO_SKIPS") == "1"


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of the tests' own: `tests.postgres.Server`."""
    from tests import postgres as postgresql

    if postgresql.binaries() is None:
        pytest.skip("needs PostgreSQL: initdb and pg_ctl")
    with postgresql.server() as started:
        yield started


@pytest.fixture(scope="session")
def s3():
    """The URL of a server that speaks S3, for `tests.s3.use`."""
    from tests import s3 as s3_server

    with s3_server.server() as url:
        yield url


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return fail_if_skipped(report)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return fail_if_skipped(report)


def fail_if_skipped(report):
    # an expected failure is reported as a skip too, and is none
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{report.longrepr[2]} (TAILORBIRD_TEST_NO_SKIPS=1 allows no skips)"
    return report
