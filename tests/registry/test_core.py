import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from registry import aliases, core, verification, versions
from registry.core import Registry
from registry.databases.database import Database
from registry.databases.opening import connect
from registry.requests import Promotion
from tailorbird.errors import Unavailable
from tailorbird.settings import SQLITE


def test_two_handles_are_one_registry(settings, register):
    with Registry(settings) as one, Registry(settings) as other:
        version = register(one)
        aliases.promote(other, Promotion("fashion", 1, why="first", who="ada"))
        assert versions.resolve(one, "fashion").manifest == version.manifest
        assert verification.verify(other, version) == []


def test_what_is_embedded_lies_in_home(embedded, register):
    with Registry(embedded) as registry:
        register(registry)
    assert sorted(path.name for path in embedded.home.iterdir()) == ["storage", "tailorbird.db"]
    assert Path(embedded.database.removeprefix(SQLITE)).is_file() and (Path(embedded.storage) / "blobs").is_dir()


def test_what_is_elsewhere_leaves_nothing_at_home(make_settings, register):
    settings = make_settings()
    with Registry(settings) as registry:
        register(registry)
    assert settings.home.exists() == settings.database.startswith(SQLITE)


def test_a_handle_that_is_closed_can_be_opened_anew(settings, register):
    for number in (1, 2):
        with Registry(settings) as registry:
            assert register(registry).number == number


def test_nothing_is_asked_before_it_is_used(postgres, embedded):
    url = postgres.empty()
    with Registry(embedded.model_copy(update={"database_url": url})) as registry:
        for _ in range(2):
            with pytest.raises(Unavailable, match="run `tailorbird registry migrate`"):
                aliases.current(registry, "fashion")
        with closing(connect(url)) as opened:
            opened.migrate()
        assert aliases.current(registry, "fashion") is None
    with Registry(embedded):
        assert not embedded.home.exists()


def test_many_that_use_a_handle_first_open_one_database(settings, monkeypatch):
    opened, start = [], threading.Barrier(4)
    closing_one, opening_one = Database.close, core.open_database

    def open_together(url):
        start.wait()
        opened.append(opening_one(url))
        return opened[-1]

    def close(database):
        opened.remove(database)
        closing_one(database)

    monkeypatch.setattr(core, "open_database", open_together)
    monkeypatch.setattr(Database, "close", close)
    with Registry(settings) as registry, ThreadPoolExecutor(4) as pool:
        used = list(pool.map(lambda _: registry.database, range(4)))
        assert opened == [registry.database] and used == opened * 4
    assert opened == []


def test_importing_the_registry_is_light():
    heavy = "{'alembic', 'boto3', 'cryptography', 'numpy', 'psycopg', 'yaml'}"
    code = f"import sys, registry.aliases, registry.versions; print(sorted(set(sys.modules) & {heavy}))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
