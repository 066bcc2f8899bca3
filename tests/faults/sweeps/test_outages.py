"""Sweeps whose disk is full, whose store is read-only, or whose database is away: for a while, and for good."""

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tailorbird.settings import Settings
from tests.faults.disks import fill
from tests.faults.sweeps.conftest import ended

AWAY = 20
"""Seconds, in which every kind of sweep here would have ended."""


@dataclass(frozen=True)
class Outage:
    """What a sweep stands on, and how it is taken away and given back; `reason` is a pattern of what is said of it."""

    settings: Settings
    begin: Callable[[], object]
    end: Callable[[], object]
    reason: str


@pytest.fixture
def outage(request, tmp_path):
    home, kind = tmp_path / "home", request.param
    if kind == "database":
        server = request.getfixturevalue("postgres")
        settings = Settings(home=home, database_url=server.database(), _env_file=None)
        return Outage(settings, server.stop, server.start, r"127\.0\.0\.1")
    disk = request.getfixturevalue("disk")
    mount(disk, "size=32m")  # which the log of a database's writes takes some of
    settings = Settings(home=home, storage_url=str(disk / "storage"), _env_file=None)
    if kind == "read-only store":
        return Outage(settings, lambda: mount(disk, "ro"), lambda: mount(disk, "rw"), "Read-only file system")
    if kind == "full disk of all":
        settings = Settings(home=disk / "home", _env_file=None)
    return Outage(settings, lambda: fill(disk), (disk / "filler").unlink, "No space left on device|disk is full")


def mount(disk, option):
    """Mount it with another option, once no file in it is being written."""
    end = time.monotonic() + 60
    while subprocess.run(["mount", "-o", f"remount,{option}", disk], capture_output=True).returncode:
        assert time.monotonic() < end, f"{disk} stays busy"
        time.sleep(0.01)


@pytest.mark.long
@pytest.mark.parametrize("outage", ["full disk", "full disk of all", "read-only store", "database"], indirect=True)
def test_what_is_away_for_a_while_is_waited_for(begin, whole, outage):
    sweep = begin("alone", settings=outage.settings)
    process = sweep.drive()
    assert sweep.wait_for_reports(3, process)
    outage.begin()
    time.sleep(AWAY)
    outage.end()
    assert process.poll() is None, ended(process)
    status, out = ended(process)
    assert status == 0, out
    assert sweep.table() == whole("alone")


@pytest.mark.long
@pytest.mark.parametrize("outage", ["full disk", "full disk of all", "read-only store", "database"], indirect=True)
def test_what_stays_away_ends_a_sweep_in_one_sentence_and_loses_nothing(begin, whole, outage):
    sweep = begin("alone", settings=outage.settings)
    process = sweep.drive()
    assert sweep.wait_for_reports(3, process)
    outage.begin()
    status, out = ended(process)
    outage.end()
    assert status == 1, out
    assert re.fullmatch(f"error: .*({outage.reason}).*", out.splitlines()[-1])
    assert sweep.standing() in ("failed", "abandoned")
    assert sweep.finish() == whole("alone")


@pytest.mark.long
def test_a_store_that_cannot_be_written_is_refused_before_anything_is_trained(begin, disk, tmp_path):
    sweep = begin("alone", settings=Settings(home=tmp_path / "home", storage_url=str(disk), _env_file=None))
    mount(disk, "ro")
    status, out = ended(sweep.drive())
    assert status == 1
    assert out.splitlines()[-1] == f"error: the storage {disk} is read-only, and checkpoints are stored in it"
    assert not sweep.reports()
