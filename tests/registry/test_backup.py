"""The commands of docs/operations.md, run as they stand there."""

import contextlib
import os
import re
import secrets
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from registry import aliases, feedback, history, holds, ledger, schema, verification, versions
from registry.core import Registry
from registry.feedback import Feedback
from registry.ledger import Report
from registry.requests import Promotion, Rollback
from tailorbird.errors import Unavailable
from tailorbird.settings import Settings
from tests import stores, sweeps
from tests.postgres import TEMPLATE, server

DOCUMENT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


def shell(block, environment):
    """Run the block of the document that has this name; returns what it printed."""
    [commands] = re.findall(rf"^```sh {block}\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fill(registry, register):
    """A history, a sweep with a checkpoint, labels; version 4 is deleted."""
    for accuracy in (0.8, 0.9, 0.95, 0.96):
        register(registry, accuracy=accuracy, weights=secrets.token_bytes(8))
    for number in (1, 2, 3):
        aliases.promote(registry, Promotion("fashion", number, why=f"the {number}.", who="ada"))
    versions.delete(registry, "fashion", 4, why="not needed", who="ada")
    holds.hold(registry, "fashion", held=True, why="a look", who="ada")
    sweeps.begin(registry, "fashion-1", {"a": [1, None]}, [{"lr": 0.1 + 0.2}], champion=None, who="ada")
    sweeps.report(registry, "fashion-1", 1, Report(1, {"val_loss": 0.1}, registry.blobs.put(b"a checkpoint")))
    feedback.record(registry, [Feedback("r", "fashion", 1, "ä", "0.9", label="字", predicted_at=schema.now())])


def contents(registry):
    with registry.reading() as connection:
        return {
            name: connection.execute(sa.select(table).order_by(*table.primary_key)).all()
            for name, table in schema.metadata.tables.items()
        }


def check(registry, before, register):
    """Every row is back, every version verifies, and promotion and numbers go on."""
    assert contents(registry) == before
    assert [version.number for version in versions.every(registry, "fashion")] == [3, 2, 1]
    assert [verification.verify(registry, version) for version in versions.every(registry)] == [[], [], []]
    assert ledger.trials(registry, "fashion-1")[0].reports[0].checkpoint in {b.digest for b in registry.blobs.listing()}
    assert register(registry, accuracy=0.97).number == 5
    moved = aliases.promote(registry, Promotion("fashion", 5, why="after the restore", who="ada", expect=3))
    assert moved.id == before["log"][-1].id + 2  # version 5, then its promotion
    assert aliases.rollback(registry, Rollback("fashion", why="back", who="ada")).to_number == 3
    assert len(history.moves(registry, "fashion")) == 5
    with pytest.raises(sa.exc.DBAPIError, match="rows of moves are only added"), registry.atomic() as connection:
        connection.execute(schema.moves.delete())


def test_sqlite_and_a_folder(tmp_path, register):
    old, new = (Settings(home=tmp_path / name, _env_file=None) for name in ("old", "new"))
    with Registry(old) as registry:
        fill(registry, register)
        (old.home / "receipt.key").write_bytes(b"a key")
        before = contents(registry)
        assert (old.home / "tailorbird.db-wal").stat().st_size > 0  # it is in use
        shell("backup-embedded", {"BACKUP": str(tmp_path / "backup"), "TAILORBIRD_HOME": str(old.home)})
    shutil.rmtree(old.home)
    result = shell("restore-embedded", {"BACKUP": str(tmp_path / "backup"), "TAILORBIRD_HOME": str(new.home)})
    assert "fashion:3" in result
    assert (new.home / "receipt.key").read_bytes() == b"a key"
    with Registry(new) as registry:
        check(registry, before, register)


def test_a_backup_while_versions_are_registered_holds_whole_ones(tmp_path, register):
    old, new = (Settings(home=tmp_path / name, _env_file=None) for name in ("old", "new"))
    stop = threading.Event()
    with Registry(old) as registry:
        register(registry)

        def work():
            while not stop.is_set():
                register(registry, weights=secrets.token_bytes(8))

        writer = threading.Thread(target=work)
        writer.start()
        try:
            shell("backup-embedded", {"BACKUP": str(tmp_path / "backup"), "TAILORBIRD_HOME": str(old.home)})
        finally:
            stop.set()
            writer.join()
        made = len(list(versions.every(registry)))
    shell("restore-embedded", {"BACKUP": str(tmp_path / "backup"), "TAILORBIRD_HOME": str(new.home)})
    with Registry(new) as registry:
        kept = list(versions.every(registry))
        assert 1 <= len(kept) < made
        assert not any(verification.verify(registry, version) for version in kept)


@pytest.mark.parametrize(("status", "copied"), [(1, True), (2, False)])
def test_what_tar_says_of_files_that_come_stops_no_backup_and_its_errors_do(tmp_path, monkeypatch, status, copied):
    for folder in ("home/storage/blobs", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    with closing(sqlite3.connect(tmp_path / "home" / "tailorbird.db")) as connection:
        connection.execute("CREATE TABLE models (name)")
    (tmp_path / "home" / "receipt.key").write_bytes(b"a key")
    (tmp_path / "bin" / "tar").write_text(f'#!/bin/sh\n{shutil.which("tar")} "$@" && exit {status}\n')
    (tmp_path / "bin" / "tar").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    environment = {"BACKUP": str(tmp_path / "backup"), "TAILORBIRD_HOME": str(tmp_path / "home")}
    with contextlib.nullcontext() if copied else pytest.raises(AssertionError):
        shell("backup-embedded", environment)
    assert (tmp_path / "backup" / "receipt.key").exists() == copied


@pytest.fixture
def elsewhere():
    """Another PostgreSQL server, which knows none of the roles."""
    with server() as started:
        started.execute(f"DROP DATABASE {TEMPLATE}")
        for role in ("migrator", "promoter", "serving", "sweep", "watch"):
            started.execute(f"DROP ROLE tailorbird_{role}")
        yield started


@pytest.fixture
def aws(tmp_path, monkeypatch):
    """The AWS command, or what stands in for its `s3 sync` where it is not installed."""
    if shutil.which("aws") is None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "aws").write_text(SYNC.format(python=sys.executable))
        (tmp_path / "bin" / "aws").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")


SYNC = """#!{python}
import sys
from contextlib import closing
from pathlib import Path

import boto3

_, _, _, source, target = sys.argv[1:]
s3 = boto3.client("s3")
bucket, _, prefix = (source if source.startswith("s3://") else target)[5:].partition("/")
if source.startswith("s3://"):
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix + "/"):
        for item in page["Contents"]:
            path = Path(target, item["Key"].removeprefix(prefix + "/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, item["Key"], str(path))
else:
    for path in Path(source).rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), bucket, prefix + "/" + path.relative_to(source).as_posix())
"""


@pytest.mark.parametrize("where", ["the same server", "another server"])
def test_postgresql_and_s3(postgres, tmp_path, request, register, aws, monkeypatch, where):
    monkeypatch.setenv("PATH", f"{postgres.programs}{os.pathsep}{os.environ['PATH']}")

    def settings(database, storage):
        url = database.replace("+psycopg", "")
        return Settings(home=tmp_path, database_url=url, storage_url=storage, _env_file=None)

    def environment(settings):
        url = settings.database.replace("+psycopg", "")
        store = {"TAILORBIRD_DATABASE_URL": url, "TAILORBIRD_STORAGE_URL": settings.storage}
        return {**store, "TAILORBIRD_HOME": str(tmp_path), "BACKUP": str(tmp_path / "backup")}

    old = settings(postgres.database(), stores.storage("s3", request))
    with Registry(old) as registry:
        fill(registry, register)
        before = contents(registry)
        shell("backup-cluster", environment(old))
    target = request.getfixturevalue("elsewhere") if where == "another server" else postgres
    new = settings(target.empty(), stores.storage("s3", request))
    if where == "another server":
        shell("restore-roles", environment(new))
    assert "fashion:3" in shell("restore-cluster", environment(new))
    with Registry(new) as registry:
        check(registry, before, register)
    serving = target.login("IN ROLE tailorbird_serving")
    with Registry(settings(new.database.replace("postgres@", f"{serving}@"), new.storage)) as registry:
        assert versions.resolve(registry, "fashion").number == 3
        with pytest.raises(Unavailable, match="permission denied for table verdicts"):
            aliases.promote(registry, Promotion("fashion", 2, why="no", who="eve"))


def test_the_document_names_every_role():
    shown = set(re.findall(r"^\| `tailorbird_(\w+)` \|", DOCUMENT, re.MULTILINE))
    assert shown == {"migrator", "promoter", "serving", "sweep", "watch"}
