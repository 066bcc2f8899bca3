"""Disks that are full, or that turn read-only."""

import os
import subprocess

import pytest

from registry import aliases, history, verification, versions
from registry.core import Registry
from registry.requests import Promotion
from tailorbird.errors import Unavailable
from tailorbird.settings import Settings
from tests.faults.disks import fill

WHO = {"why": "because", "who": "ada"}
MEGABYTE = 2**20


@pytest.fixture
def begun(disk, tmp_path, register):
    """A registry with two versions, the store on the small disk and the database where `place` says."""

    def begin(place):
        database = {"beside": "", "apart": f"sqlite:///{tmp_path / 'apart.db'}"}[place]
        settings = Settings(
            home=disk / "home", database_url=database, storage_url=str(disk / "storage"), _env_file=None
        )
        with Registry(settings) as registry:
            for n in range(2):
                register(registry, weights=b"version %d" % n)
            aliases.promote(registry, Promotion("fashion", 1, **WHO))
        return settings

    return begin


def intact(settings):
    with Registry(settings) as registry:
        assert [str(version) for version in versions.every(registry)] == ["fashion:2", "fashion:1"]
        assert all(verification.verify(registry, version) == [] for version in versions.every(registry))
        assert aliases.current(registry, "fashion") == 1
        assert len(history.moves(registry, "fashion")) == 1


@pytest.mark.parametrize("leave", [0, 20_000, 60_000])
def test_a_store_that_fills_up_leaves_what_was_there(begun, disk, register, leave):
    settings = begun("apart")
    fill(disk, leave)
    with Registry(settings) as registry, pytest.raises(Unavailable) as caught:
        register(registry, weights=os.urandom(MEGABYTE))
    assert str(disk / "storage") in str(caught.value) and "No space left on device" in str(caught.value)
    (disk / "filler").unlink()
    intact(settings)
    with Registry(settings) as registry:
        assert register(registry, weights=b"now").number == 3


def test_a_database_that_cannot_grow_leaves_what_was_there(begun, disk, register):
    settings = begun("beside")
    with Registry(settings) as registry:
        assert aliases.current(registry, "fashion") == 1  # which opens it, as a server has long done
        fill(disk)
        with pytest.raises(Unavailable) as caught:
            for number in (2, 1) * 200:  # the log of writes takes some more at first
                aliases.promote(registry, Promotion("fashion", number, **WHO))
        assert str(disk / "home" / "tailorbird.db") in str(caught.value) and "full" in str(caught.value)
        moved = history.moves(registry, "fashion", limit=1000)
        assert aliases.current(registry, "fashion") == moved[0].to_number
    (disk / "filler").unlink()
    with Registry(settings) as registry:
        assert len(history.moves(registry, "fashion", limit=1000)) == len(moved)
        other = 3 - moved[0].to_number
        assert aliases.promote(registry, Promotion("fashion", other, **WHO)).from_number == moved[0].to_number


def test_a_store_that_turns_read_only_is_named_and_promotions_go_on(begun, disk, register):
    settings = begun("apart")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with Registry(settings) as registry:
        with pytest.raises(Unavailable, match=str(disk / "storage")):
            register(registry, weights=b"more")
        intact(settings)
        assert aliases.promote(registry, Promotion("fashion", 2, **WHO)).to_number == 2


def test_a_disk_that_turns_read_only_is_named_and_what_is_there_can_be_read(begun, disk, register):
    settings = begun("beside")
    with Registry(settings) as registry:
        registry.close()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with Registry(settings) as registry:
        for write in (lambda: register(registry), lambda: aliases.promote(registry, Promotion("fashion", 2, **WHO))):
            with pytest.raises(Unavailable, match=str(disk)):
                write()
    intact(settings)
