import json

import pytest

from registry.core import Registry
from tests import packages


def test_tags_are_set_changed_and_removed(tailorbird, pets):
    result = tailorbird("registry", "tag", "pets:1", "camera=north", "note=a = b")
    assert (result.returncode, result.stdout) == (0, "pets:1 has camera=north, note=a = b\n")
    tags = json.loads(tailorbird("registry", "tag", "pets:1", "camera=", "--json").stdout)
    assert tags == {"note": "a = b"}
    assert tailorbird("registry", "tag", "pets:1", "note=").stdout == "pets:1 has no tags\n"


def test_a_version_is_deleted_and_its_space_freed(tailorbird, pets, home):
    tailorbird("registry", "promote", "pets:1", "--why", "first")
    kept = tailorbird("registry", "delete", "pets:1")
    assert (kept.returncode, kept.stderr) == (
        1, "error: deleting pets:1 was refused: pets@champion points to it\n",
    )  # fmt: skip
    result = tailorbird("registry", "delete", "pets:2", "--why", "too old", "--who", "ada")
    assert result.stdout == "pets:2 was deleted; `tailorbird registry gc` frees its space after a day\n"
    assert tailorbird("registry", "show", "pets:2").returncode == 2
    last = tailorbird("registry", "history", "pets").stdout.splitlines()[-1]
    assert last.startswith("pets:2 was deleted 20") and last.endswith(" UTC by ada: too old")
    young = tailorbird("registry", "gc")
    assert young.stdout == "0 files (0.0 MB) were deleted, 13 kept\n"
    would = tailorbird("registry", "gc", "--hours", "0", "--dry-run")
    assert would.stdout == "3 files (0.0 MB) would be deleted, 10 kept\n"
    found = json.loads(tailorbird("registry", "gc", "--hours", "0", "--json").stdout)
    assert (found["deleted"], found["kept"]) == (3, 10)
    assert tailorbird("registry", "verify", "--all").stdout == "pets:1: verified\n"
    with Registry(home) as registry:
        assert packages.register(registry).number == 3


@pytest.mark.parametrize("hours", ["nan", "-1", "1e12", "inf", "x"])
def test_hours_are_a_number_that_a_clock_can_go_back(tailorbird, pets, hours):
    result = tailorbird("registry", "gc", "--hours", hours)
    assert result.returncode == 2 and "Traceback" not in result.stderr and "--hours" in result.stderr


def test_a_database_is_migrated_once(tailorbird, tmp_path):
    path = tmp_path / "home" / "tailorbird.db"
    result = tailorbird("registry", "migrate")
    assert result.stdout == f"the database {path} was migrated to schema 0001 from empty\n"
    assert tailorbird("registry", "migrate").stdout == f"the database {path} is up to date, with schema 0001\n"


def test_a_server_is_migrated_by_this_command_alone(tailorbird, postgres):
    postgres.execute("CREATE DATABASE unmigrated")
    url = postgres.url("unmigrated")
    result = tailorbird("registry", "list", TAILORBIRD_DATABASE_URL=url)
    assert result.returncode == 1 and "run `tailorbird registry migrate`" in result.stderr
    result = tailorbird("registry", "migrate", TAILORBIRD_DATABASE_URL=url)
    assert result.stdout == "the database 127.0.0.1/unmigrated was migrated to schema 0001 from empty\n"
    assert tailorbird("registry", "list", TAILORBIRD_DATABASE_URL=url).returncode == 0


def test_webhooks_that_are_due_are_told_of(tailorbird, pets):
    assert tailorbird("registry", "notify").stdout == "no deliveries are due\n"
    assert json.loads(tailorbird("registry", "notify", "--json").stdout) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["tag", "pets:1", "camera"], "error: KEY=VALUE: 'camera' has no '='; accepted: camera=north"),
        (["tag", "pets:1", "Camera=x"], "error: tag: 'Camera' is not a name"),
        (["tag", "pets:9", "a=b"], "error: version: there is no pets:9"),
        (["delete", "pets"], "error: NAME:N: 'pets' has no version number; accepted: pets:1, pets:2, …"),
        (["delete", "pets:9"], "error: version: there is no pets:9"),
        (["delete", "pets:2", "--why", ""], "error: why: is empty"),
    ],
)
def test_wrong_input_is_one_sentence(tailorbird, pets, words, sentence):
    result = tailorbird("registry", *words)
    assert result.returncode == 2
    assert result.stderr.startswith(sentence)
    assert result.stderr.count("\n") == 1
