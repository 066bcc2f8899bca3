import json
import multiprocessing
import os
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from registry import aliases, core, garbage, ledger, packages, schema, verification, versions
from registry.core import Registry
from registry.garbage import Collected
from registry.leases import Lease
from registry.ledger import Report
from registry.requests import Promotion
from tailorbird.errors import Corrupt, NotFound, Refused, Unavailable
from tailorbird.settings import Settings
from tests import stores, sweeps

NONE = timedelta()
HOUR = timedelta(hours=1)
DAYS = timedelta(days=2)


def listed(registry):
    return {blob.digest for blob in registry.blobs.listing()}


def package(registry, version):
    files = packages.manifest(registry.blobs, version.manifest).files
    return {version.manifest, *(entry.sha256 for entry in files.values())}


def delete(registry, number):
    versions.delete(registry, "fashion", number, why="too old", who="ada")


def whole(registry):
    """Whether every version that can be seen verifies."""
    return all(verification.verify(registry, version) == [] for version in versions.every(registry))


@pytest.fixture
def shared_storage(request):
    return stores.storage("s3", request)


@pytest.fixture
def aged(registry, monkeypatch):
    """A registry whose blobs all look two days older than they are."""
    listing = registry.blobs.listing
    monkeypatch.setattr(
        registry.blobs, "listing", lambda: (replace(blob, modified=blob.modified - DAYS) for blob in listing())
    )
    return registry


@pytest.fixture
def two_days_ago(monkeypatch):
    """What is written in this block is written as if it were two days ago."""

    def travel(do):
        with monkeypatch.context() as patch:
            patch.setattr(schema, "now", lambda: schema.timestamp(datetime.now(UTC) - DAYS))
            return do()

    return travel


# --- what goes and what stays


def test_an_empty_registry_has_nothing_to_collect(registry):
    assert garbage.collect(registry, age=NONE) == Collected(0, 0, 0)


def test_what_versions_need_stays(registry, register):
    register(registry)
    register(registry, "letters", weights=b"other")
    before = listed(registry)
    assert garbage.collect(registry, age=NONE) == Collected(0, 0, len(before))
    assert listed(registry) == before and whole(registry)


def test_what_nothing_names_goes_when_it_is_old_enough(registry, register):
    register(registry)
    needed = listed(registry)
    registry.blobs.put_all([b"four", b"seven.."])
    assert garbage.collect(registry, age=HOUR) == Collected(0, 0, len(needed) + 2)
    assert len(listed(registry)) == len(needed) + 2
    assert garbage.collect(registry, age=NONE) == Collected(2, 11, len(needed))
    assert listed(registry) == needed and whole(registry)


def test_a_dry_run_deletes_nothing_and_tells_what_would_be(registry, register):
    register(registry)
    orphan = registry.blobs.put(b"nobody's")
    before = listed(registry)
    collected = garbage.collect(registry, age=NONE, dry_run=True)
    assert listed(registry) == before and orphan in before
    assert garbage.collect(registry, age=NONE) == collected == Collected(1, 8, len(before) - 1)
    assert json.loads(json.dumps(collected.record())) == {"deleted": 1, "bytes": 8, "kept": len(before) - 1}


def test_the_package_of_a_deleted_version_goes_and_what_it_shares_stays(registry, register):
    gone = package(registry, register(registry, weights=b"gone"))
    kept = package(registry, register(registry, weights=b"kept"))
    assert gone & kept and gone - kept
    delete(registry, 1)
    assert garbage.collect(registry, age=NONE).deleted == len(gone - kept)
    assert listed(registry) == kept and whole(registry)


def test_versions_that_were_deleted_lately_stay_although_their_blobs_are_old(aged, register, two_days_ago):
    kept, gone = (package(aged, register(aged, weights=weights)) for weights in (b"kept", b"gone"))
    delete(aged, 1)
    two_days_ago(lambda: delete(aged, 2))
    collected = garbage.collect(aged)
    assert collected == replace(collected, deleted=len(gone - kept), kept=len(kept))
    assert listed(aged) == kept


@pytest.mark.parametrize("how", stores.HOW)
def test_a_live_manifest_that_cannot_be_read_stops_it(registry, register, how):
    version = register(registry)
    registry.blobs.put(b"nobody's")
    stores.damage(registry.blobs, version.manifest, how)
    before = listed(registry)
    for dry_run in (True, False):
        with pytest.raises(Corrupt) as stopped:
            garbage.collect(registry, age=NONE, dry_run=dry_run)
        message = str(stopped.value)
        assert message.startswith(f"manifest.json: {registry.blobs.place(version.manifest)} ")
        assert "nothing is deleted; delete its version" in message
    assert listed(registry) == before
    delete(registry, 1)
    assert garbage.collect(registry, age=NONE).kept == 0


def test_replaced_files_are_kept_while_a_live_manifest_cannot_be_read(registry, register):
    stores.damage(registry.blobs, register(registry).manifest, "deleted")
    before = listed(registry) | {registry.blobs.put(b"replaced")}
    with pytest.raises(Corrupt, match="nothing is deleted"):
        garbage.discard(registry, before, {})
    assert listed(registry) == before


def test_manifests_are_read_before_writers_have_to_wait(registry, register, monkeypatch):
    version, replaced = register(registry), registry.blobs.put(b"replaced")
    read, waiting = packages.manifest, []

    def reading(*arguments):
        with registry.atomic(core.BLOBS + "?"):  # as a writer does
            waiting.append(arguments)
        return read(*arguments)

    monkeypatch.setattr(packages, "manifest", reading)
    garbage.discard(registry, [replaced, version.manifest], {})
    assert len(waiting) == 1 and replaced not in listed(registry) and whole(registry)


def test_a_damaged_file_stops_nothing(registry, register):
    version = register(registry)
    before = listed(registry)
    damaged = packages.manifest(registry.blobs, version.manifest).files["model.onnx"].sha256
    stores.damage(registry.blobs, damaged, "flipped")
    assert garbage.collect(registry, age=NONE).deleted == 0
    assert listed(registry) == before


def test_a_deleted_version_whose_manifest_is_gone_stands_in_nobodys_way(registry, register):
    """Two collections at once: the other one was asked to spare less, and has been at it."""
    register(registry)
    gone = register(registry, weights=b"other")
    versions.delete(registry, "fashion", 2, why="old", who="ada")
    registry.blobs.delete([gone.manifest])
    assert garbage.collect(registry, age=HOUR).deleted == 0
    assert garbage.collect(registry, age=NONE).deleted > 0 and whole(registry)


def test_many_are_deleted_in_batches(registry, register, monkeypatch):
    register(registry)
    needed = listed(registry)
    registry.blobs.put_all([b"%03d" % n for n in range(25)])
    monkeypatch.setattr(garbage, "BATCH", 10)
    batches = []
    delete = registry.blobs.delete
    monkeypatch.setattr(registry.blobs, "delete", lambda batch: (batches.append(len(batch)), delete(batch)))
    assert garbage.collect(registry, age=NONE) == Collected(25, 75, len(needed))
    assert batches == [10, 10, 5] and listed(registry) == needed
    garbage.discard(registry, registry.blobs.put_all([b"%03d" % n for n in range(25)]), {})
    assert batches[3:] == [10, 10, 5] and listed(registry) == needed


def test_what_killed_writers_left_goes_when_it_is_old_enough(local, register):
    register(local)
    folder = Path(next(local.blobs.place(digest) for digest in listed(local))).parent
    (folder / ".left").write_bytes(b"half of it")
    garbage.collect(local, age=HOUR)
    assert [leftover.size for leftover in local.blobs.leftovers()] == [10]
    garbage.collect(local, age=NONE, dry_run=True)
    assert [leftover.size for leftover in local.blobs.leftovers()] == [10]
    garbage.collect(local, age=NONE)
    assert [leftover.size for leftover in local.blobs.leftovers()] == [10], "somebody may be writing it"
    old = time.time() - garbage.WRITING.total_seconds() - 60
    os.utime(folder / ".left", (old, old))
    garbage.collect(local, age=NONE, dry_run=True)
    assert [leftover.size for leftover in local.blobs.leftovers()] == [10]
    garbage.collect(local, age=NONE)
    assert list(local.blobs.leftovers()) == [] and whole(local)


def test_a_database_that_was_never_used_collects_nothing(make_settings, register):
    settings = make_settings()
    with Registry(settings) as registry:
        register(registry)
        before = listed(registry)
        strange = Settings(home=settings.home / "other", storage_url=settings.storage, _env_file=None)
        with Registry(strange) as other:
            for dry_run in (True, False):
                with pytest.raises(Refused, match=r"never held a version or a sweep; check TAILORBIRD_DATABASE_URL"):
                    garbage.collect(other, age=NONE, dry_run=dry_run)
        assert listed(registry) == before and whole(registry)


# --- checkpoints


def swept(registry, status, sweep="fashion-1"):
    """Two trials, the first with checkpoints of epochs 1 and 3 and none of 4, the second of epoch 2; their digests."""
    sweeps.begin(registry, sweep, {}, [{}, {}], None, "ada")
    stored = {}
    for trial, epoch in ((1, 1), (2, 2), (1, 3)):
        stored[trial, epoch] = registry.blobs.put(f"{sweep}: trial {trial}, epoch {epoch}".encode())
        sweeps.report(registry, sweep, trial, Report(epoch, {}, stored[trial, epoch]))
    sweeps.report(registry, sweep, 1, Report(4, {}))
    if status != "running":
        sweeps.end(registry, sweep, status)
    return stored


@pytest.mark.parametrize("status", ["running", "interrupted", "failed", "finished"])
def test_a_sweep_keeps_the_last_checkpoint_of_each_trial(registry, status):
    stored = swept(registry, status)
    sweeps.begin(registry, "fashion-3", {}, [{}, {}], None, "ada")
    later = registry.blobs.put(b"the second trial of another sweep, epoch 9")
    sweeps.report(registry, "fashion-3", 2, Report(9, {}, later))
    assert garbage.collect(registry, age=NONE).deleted == 1
    assert listed(registry) == {stored[1, 3], stored[2, 2], later}


def test_of_a_trial_that_is_outranked_no_checkpoint_is_kept(registry):
    stored = swept(registry, "running")
    ledger.outrank(registry, Lease("fashion-1", 1), [1], [])
    garbage.discard(registry, stored.values(), {})
    assert listed(registry) == {stored[2, 2]}


def test_a_sweep_keeps_what_it_goes_on_from_until_it_is_forgotten(registry, monkeypatch):
    lease = sweeps.begin(registry, "fashion-1", {}, [{}, {}])
    states = [registry.blobs.put(f"state {number}".encode()) for number in (1, 2)]
    for group, state in enumerate(states, 1):
        attempt = ledger.assign(registry, lease, group, [group], "0.a")
        ledger.enter(registry, lease, [], (group, attempt), state)
    later = registry.blobs.put(b"a later state")
    ledger.enter(registry, lease, [], (2, 1), later)
    assert garbage.collect(registry, age=NONE).deleted == 1
    assert listed(registry) == {states[0], later}
    monkeypatch.setattr(garbage, "FORGOTTEN", NONE)
    ledger.end(registry, lease, "interrupted")
    assert garbage.collect(registry, age=NONE).deleted == 2


def test_what_was_replaced_is_deleted_at_once_and_what_is_needed_is_not(registry):
    stored = swept(registry, "running")
    garbage.discard(registry, stored.values(), {})
    assert listed(registry) == {stored[1, 3], stored[2, 2]}


def test_a_checkpoint_that_another_sweep_needs_stays(registry):
    stored = swept(registry, "finished")
    sweeps.begin(registry, "other-1", {}, [{}], None, "ada")
    sweeps.report(registry, "other-1", 1, Report(1, {}, stored[1, 1]))
    assert garbage.collect(registry, age=NONE).deleted == 0
    assert listed(registry) == {*stored.values()}


def test_a_report_of_a_checkpoint_that_was_collected_is_unavailable(registry):
    sweeps.begin(registry, "fashion-1", {}, [{}], None, "ada")
    digest = registry.blobs.put(b"a checkpoint")
    garbage.collect(registry, age=NONE)
    with pytest.raises(Unavailable, match="a file of fashion-1 disappeared from the store"):
        sweeps.report(registry, "fashion-1", 1, Report(1, {}, digest))
    assert ledger.trials(registry, "fashion-1")[0].reports == []
    registry.blobs.put(b"a checkpoint")
    sweeps.report(registry, "fashion-1", 1, Report(1, {}, digest))
    assert garbage.collect(registry, age=NONE) == Collected(0, 0, 1)


# --- while others write


def between(monkeypatch, module, name, act, times=1):
    """Let `act` happen after the function returned, the first times; a list of how often it was called."""
    function, calls = getattr(module, name), []

    def then(*arguments, **more):
        came = function(*arguments, **more)
        came = iter([*came]) if name == "listing" else came
        calls.append(name)
        if len(calls) <= times:
            act()
        return came

    monkeypatch.setattr(module, name, then)
    return calls


def begin(registry):
    """Let the database know a model: that of a store which has only files is taken for another's."""
    with registry.atomic() as connection:
        connection.execute(schema.models.insert().values(name="begun", last_number=0, created=schema.now()))


def test_a_package_that_is_collected_before_its_row_is_stored_again(settings, register, monkeypatch):
    with Registry(settings) as registry, Registry(settings) as collector:
        begin(registry)
        collected = []
        puts = between(
            monkeypatch, packages, "put", lambda: collected.append(garbage.collect(collector, age=NONE)), times=3
        )
        version = register(registry)
        assert len(puts) == 4 and all(one.kept == 0 and one.deleted > 5 for one in collected)
        assert version.number == 1 and verification.verify(registry, version) == []


def test_a_package_that_is_collected_again_and_again_is_given_up_with_a_sentence(settings, register, monkeypatch):
    with Registry(settings) as registry, Registry(settings) as collector:
        begin(registry)
        with monkeypatch.context() as patch:
            between(patch, packages, "put", lambda: garbage.collect(collector, age=NONE), times=99)
            with pytest.raises(Unavailable, match=r"files of fashion disappear from .* as soon as they are stored"):
                register(registry)
        assert versions.page(registry) == []
        assert register(registry).number == 1


def test_a_single_file_that_is_collected_before_the_row_is_noticed(registry, register, monkeypatch):
    weights = register(registry, weights=b"other")
    [mine] = {packages.manifest(registry.blobs, weights.manifest).files["model.onnx"].sha256}
    puts = between(monkeypatch, packages, "put", lambda: registry.blobs.delete([mine]))
    register(registry, weights=b"other")
    assert len(puts) == 2 and whole(registry)


def test_what_is_registered_after_the_listing_stays(settings, register, monkeypatch):
    """The blobs are old and nobody's when they are listed, and somebody's when they are to be deleted."""
    with Registry(settings) as registry, Registry(settings) as collector:
        register(registry)
        delete(registry, 1)
        between(monkeypatch, collector.blobs, "listing", lambda: register(registry))
        collected = garbage.collect(collector, age=NONE)
        assert collected.deleted == 1  # the manifest of what was deleted, which has the time in it
        assert [version.number for version in versions.every(registry)] == [2] and whole(registry)


def test_a_checkpoint_that_is_reported_after_the_listing_stays(settings, monkeypatch):
    with Registry(settings) as registry, Registry(settings) as collector:
        sweeps.begin(registry, "fashion-1", {}, [{}], None, "ada")
        digest = registry.blobs.put(b"a checkpoint")
        report = Report(1, {}, digest)
        between(monkeypatch, collector.blobs, "listing", lambda: sweeps.report(registry, "fashion-1", 1, report))
        assert garbage.collect(collector, age=NONE).deleted == 0
        assert registry.blobs.holds(digest)


def test_nothing_is_deleted_where_a_manifest_breaks_after_the_listing(settings, register, monkeypatch):
    with Registry(settings) as registry, Registry(settings) as collector:
        nobodys = registry.blobs.put(b"nobody's")

        def break_one():
            stores.damage(registry.blobs, register(registry).manifest, "flipped")

        between(monkeypatch, collector.blobs, "listing", break_one)
        with pytest.raises(Corrupt, match="nothing is deleted"):
            garbage.collect(collector, age=NONE)
        assert registry.blobs.holds(nobodys)


@pytest.mark.parametrize("turns", [5, pytest.param(50, marks=pytest.mark.long)])
def test_of_what_many_register_while_another_collects_all_is_whole(settings, register, race, turns):
    """Four processes register the same packages and others as fast as they can, while a fifth deletes without mercy."""
    with Registry(settings) as registry:
        begin(registry)
    finished = multiprocessing.get_context("fork").Value("i", 0)

    def collect(registry):
        deleted, last = 0, False
        while not last:
            last = finished.value == 4
            deleted += garbage.collect(registry, age=NONE).deleted
        return deleted

    def add(registry, n):
        model, made = f"model-{n % 2}", []
        try:
            for turn in range(turns):
                with suppress(Unavailable):  # its files went as fast as they came
                    weights = b"the same" if turn % 2 else b"%d %d" % (n, turn)
                    made.append(register(registry, model, weights=weights).number)
                    if turn % 3 == 0:
                        versions.delete(registry, model, made[-1], why="to be collected", who="ada")
        finally:
            with finished.get_lock():
                finished.value += 1
        return made

    def act(n):
        with Registry(settings) as registry:
            return add(registry, n) if n else collect(registry)

    came = race(act, 5)
    assert all(isinstance(outcome, int | list) for outcome in came), came
    assert sum(outcome for outcome in came if isinstance(outcome, int)) > 0
    acknowledged = sum(len(outcome) for outcome in came if isinstance(outcome, list))
    with Registry(settings) as registry:
        visible = [*versions.every(registry)]
        assert visible and whole(registry)
        garbage.collect(registry, age=NONE)
        assert listed(registry) == {digest for version in visible for digest in package(registry, version)}
        with registry.reading() as connection:
            last = [*connection.scalars(sa.select(schema.models.c.last_number))]
    assert sum(last) == acknowledged >= turns


# --- cut off


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.long), 7])
def test_a_collection_that_dies_at_any_point_takes_nothing_that_is_needed(settings, register, deaths, every):
    """Promise 7, and what is left is collected by the next."""
    with Registry(settings) as registry:
        aliases.promote(registry, Promotion("fashion", register(registry).number, why="first", who="ada"))
        needed = listed(registry)

    def collect(step):
        with Registry(settings) as registry:
            return garbage.collect(registry, age=NONE)

    def spares(_):
        with Registry(settings) as registry:
            assert needed <= listed(registry) and whole(registry)
            registry.blobs.put_all([b"nobody's %d" % n for n in range(3)])

    assert deaths(collect, spares, every) > 1
    with Registry(settings) as registry:
        garbage.collect(registry, age=NONE)
        assert listed(registry) == needed
        with pytest.raises(NotFound):
            versions.resolve(registry, "fashion:2")
