import json

import pytest

from registry import packages, schema, versions
from registry.core import Registry
from tests import stores


def test_versions_are_listed_newest_first(tailorbird, pets):
    tailorbird("registry", "promote", "pets:1", "--why", "first")
    listed = json.loads(tailorbird("registry", "list", "pets", "--json").stdout)
    assert [(one["model"], one["number"], one["aliases"]) for one in listed] == [
        ("pets", 2, []), ("pets", 1, ["champion"]),
    ]  # fmt: skip
    text = tailorbird("registry", "list").stdout
    assert text.index("pets:2") < text.index("pets:1") and "champion" in text and "83.33%" in text
    assert "for more" not in text


def test_a_list_goes_on_where_it_says(tailorbird, pets):
    for words in (["pets"], []):
        text = tailorbird("registry", "list", *words, "--limit", "1").stdout
        assert "pets:2" in text and "pets:1" not in text
        more = text.splitlines()[-1]
        assert more.startswith("for more: tailorbird registry list ") and more.endswith("--before pets:2")
        rest = tailorbird(*more.partition("tailorbird ")[2].split()).stdout
        assert "pets:1" in rest and "pets:2" not in rest and "for more" not in rest
    assert len(json.loads(tailorbird("registry", "list", "--limit", "1", "--json").stdout)) == 1


def test_a_list_goes_on_after_what_was_deleted_meanwhile(tailorbird, pets):
    assert tailorbird("registry", "delete", "pets:2").returncode == 0
    for words in (["pets"], []):
        result = tailorbird("registry", "list", *words, "--before", "pets:2")
        assert result.returncode == 0 and "pets:1" in result.stdout
    assert "pets:1" not in tailorbird("registry", "list", "--before", "pets:1").stdout
    assert tailorbird("registry", "list", "--before", "pets:3").stderr.startswith("error: version: there is no pets:3")


def test_a_version_whose_manifest_is_damaged_is_shown_without_its_files(tailorbird, pets, home):
    with Registry(home) as registry:
        version = versions.resolve(registry, "pets:1")
        stores.damage(registry.blobs, version.manifest, "flipped")
    result = tailorbird("registry", "show", "pets:1")
    assert result.returncode == 0 and "83.33% of 200 (95% interval" in result.stdout
    assert [line.split() for line in result.stdout.splitlines() if "files" in line] == [["files", "unknown"]]
    assert result.stderr.startswith("the files of pets:1 cannot be listed: manifest.json: ")
    assert result.stderr.count("\n") == 1
    shown = json.loads(tailorbird("registry", "show", "pets:1", "--json").stdout)
    assert shown["files"] is None and shown["manifest"] == version.manifest


def test_a_version_is_shown_with_its_tags_and_files(tailorbird, pets, home):
    tailorbird("registry", "tag", "pets:1", "camera=north")
    text = tailorbird("registry", "show", "pets:1", COLUMNS="80").stdout
    with Registry(home) as registry:
        version = versions.resolve(registry, "pets:1")
        files = packages.manifest(registry.blobs, version.manifest).files
    assert "83.33% of 60 (95% interval 71.97% to 90.69%)" in text and "83.33% of 200" in text and "camera=north" in text
    assert version.manifest in text.replace("\n", "").replace(" ", "")
    assert all(f"{name} ({entry.size:,} bytes)" in text for name, entry in files.items())
    shown = json.loads(tailorbird("registry", "show", "pets:1", "--json").stdout)
    assert (
        shown["tags"] == {"camera": "north"}
        and shown["files"] == {name: file.record() for name, file in files.items()}
        and shown["number"] == 1
    )


def test_history_says_what_was_forced_and_rolled_back_and_held(tailorbird, pets):
    tailorbird("registry", "promote", "pets:1", "--why", "first", "--who", "ada")
    tailorbird("registry", "promote", "pets:2", "--why", "a try", "--force")
    tailorbird("registry", "rollback", "pets", "--why", "it errs")
    tailorbird("registry", "hold", "pets", "--why", "audit", "--who", "grace")
    text = tailorbird("registry", "history", "pets", COLUMNS="400").stdout
    lines = [line.split() for line in text.splitlines() if "champion" in line]
    assert [line[2:5] for line in lines] == [["champion", "2", "1"], ["champion", "1", "2"], ["champion", "-", "1"]]
    assert "it errs (rollback)" in text and "a try (forced: it may be " in text
    assert "UTC by grace: audit" in text.splitlines()[-1] and text.splitlines()[-1].startswith("on hold since 20")
    moves = json.loads(tailorbird("registry", "history", "pets", "--json", "--limit", "2").stdout)
    held, *moves = moves
    assert (held["event"], held["who"], held["why"], held["held"]) == ("held", "grace", "audit", True)
    assert {move["event"] for move in moves} == {"moved"}
    assert [(move["kind"], move["from_number"], move["to_number"], move["forced"]) for move in moves] == [
        ("rollback", 2, 1, False), ("promote", 1, 2, True),
    ]  # fmt: skip
    tailorbird("registry", "hold", "pets", "--release", "--why", "done")
    assert "on hold" not in tailorbird("registry", "history", "pets").stdout


def test_history_as_json_has_deletions_in_their_place(tailorbird, pets):
    tailorbird("registry", "promote", "pets:1", "--why", "first")
    tailorbird("registry", "delete", "pets:2", "--why", "worse", "--who", "ada")
    tailorbird("registry", "promote", "pets:1", "--alias", "challenger", "--why", "again")
    events = json.loads(tailorbird("registry", "history", "pets", "--json").stdout)
    assert [event["event"] for event in events] == ["moved", "deleted", "moved"]
    deleted = events[1]
    assert (deleted.pop("deleted")[:2], deleted) == (
        "20", {"event": "deleted", "id": events[0]["id"] - 1, "number": 2, "who": "ada", "why": "worse"},
    )  # fmt: skip


def test_history_is_in_the_order_of_the_log_whatever_clocks_say(tailorbird, pets, monkeypatch):
    def at(hour, *words):
        monkeypatch.setattr(schema, "now", lambda: f"2026-01-01T{hour:02}:00:00.000000Z")
        assert tailorbird("registry", *words, "--why", f"at {hour}").returncode == 0

    at(9, "promote", "pets:1")
    at(8, "delete", "pets:2")
    at(7, "promote", "pets:1", "--alias", "challenger")
    at(6, "hold", "pets")
    events = json.loads(tailorbird("registry", "history", "pets", "--json").stdout)
    assert [event["why"] for event in events] == ["at 6", "at 7", "at 8", "at 9"]
    table = tailorbird("registry", "history", "pets", COLUMNS="400").stdout
    assert table.index("at 7") < table.index("at 9")
    assert [one["why"] for one in facts_of(tailorbird, "pets:1")] == ["at 7", "at 9"]


def facts_of(tailorbird, version):
    return json.loads(tailorbird("registry", "show", version, "--json").stdout)["events"]


def test_what_people_wrote_is_shown_as_they_wrote_it(tailorbird, pets):
    """Neither markup nor a terminal's codes; a closing tag once ended `history` for good."""
    odd = "[/b] [red]x :smile: \x1b[31m"
    assert tailorbird("registry", "promote", "pets:1", "--why", odd, "--who", odd).returncode == 0
    assert tailorbird("registry", "hold", "pets", "--why", odd).returncode == 0
    assert tailorbird("registry", "tag", "pets:1", f"note={odd}").returncode == 0
    for words in (["history", "pets"], ["list"], ["show", "pets"]):
        result = tailorbird("registry", *words, COLUMNS="300")
        assert (result.returncode, result.stderr) == (0, "") and "\x1b" not in result.stdout
        assert words == ["list"] or "[/b] [red]x :smile: " in result.stdout


def test_verify_names_the_damaged_file(tailorbird, pets, home):
    assert tailorbird("registry", "verify", "--all").stdout == "pets:2: verified\npets:1: verified\n"
    with Registry(home) as registry:
        version = versions.resolve(registry, "pets:1")
        digest = packages.manifest(registry.blobs, version.manifest).files["baseline.json"].sha256
        stores.damage(registry.blobs, digest, "flipped")
    result = tailorbird("registry", "verify", "--all")
    assert result.returncode == 1
    assert "pets:1: baseline.json" in result.stdout and "pets:2: verified" in result.stdout
    assert result.stderr == "error: 1 of 2 versions do not verify: pets:1\n"
    found = json.loads(tailorbird("registry", "verify", "--all", "--json").stdout)
    assert [(one["version"], len(one["problems"])) for one in found] == [("pets:2", 0), ("pets:1", 1)]
    assert tailorbird("registry", "verify", "pets:2").returncode == 0
    exported = tailorbird("registry", "export", "pets:1", "out")
    assert exported.returncode == 1 and "baseline.json" in exported.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["show", "nothing"], "error: model: there is no model 'nothing'; the registry is empty"),
        (["show", "../x"], "error: model: '../x' is not a name; accepted: 1 to 64 of a-z"),
        (["show", "pets:0"], "error: version: '0' is not a version number"),
        (["list", "pets"], "error: model: there is no model 'pets'"),
        (["list", "--before", "pets:1"], "error: model: there is no model 'pets'"),
        (["history", "pets"], "error: model: there is no model 'pets'"),
        (["verify"], "error: NAME:N: give one version, or --all"),
        (["verify", "pets:1", "--all"], "error: NAME:N: give one version, or --all"),
    ],
)
def test_wrong_input_is_one_sentence(tailorbird, words, sentence):
    result = tailorbird("registry", *words)
    assert result.returncode == 2
    assert result.stderr.startswith(sentence)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("limit", ["0", "-1", "1000001", "1" + 30 * "0", "x"])
def test_a_limit_is_a_small_number(tailorbird, pets, limit):
    for words in (["list"], ["history", "pets"]):
        result = tailorbird("registry", *words, "--limit", limit)
        assert result.returncode == 2 and "Traceback" not in result.stderr and "--limit" in result.stderr
