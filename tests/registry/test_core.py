import subprocess
import sys
from pathlib import Path

from registry import aliases, versions
from registry.core import Registry
from tailorbird.settings import SQLITE


def test_two_handles_are_one_registry(settings, register):
    with Registry(settings) as one, Registry(settings) as other:
        version = register(one)
        aliases.promote(other, "fashion", 1, why="first", who="ada")
        assert versions.resolve(one, "fashion").manifest == version.manifest
        assert versions.verify(other, version) == []


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


def test_importing_the_registry_is_light():
    heavy = "{'alembic', 'boto3', 'cryptography', 'numpy', 'psycopg', 'pydantic', 'yaml'}"
    code = f"import sys, registry.aliases, registry.versions; print(sorted(set(sys.modules) & {heavy}))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
