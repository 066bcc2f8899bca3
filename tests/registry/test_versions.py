import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from registry import aliases, packages, schema, versions
from registry.core import Registry
from registry.names import Reference
from tailorbird.errors import Corrupt, InvalidInput, NotFound, Unavailable

PARITY = {"agreement": 1.0, "max_difference": 3e-7, "samples": 100}


def numbers(registry, model="fashion"):
    return [version.number for version in versions.list_all(registry, model)]


def rows(registry):
    with registry.reading() as connection:
        tables = (schema.models, schema.versions, schema.aliases, schema.moves)
        return [connection.execute(sa.select(table)).all() for table in tables]


def blob(registry, version, name):
    if name == packages.MANIFEST:
        return registry.blobs.path(version.manifest)
    return registry.blobs.path(packages.manifest(registry.blobs, version.manifest)["files"][name]["sha256"])


# --- registering


def test_a_version_says_what_was_measured_and_where_it_came_from(registry, package_files):
    lineage = {"sweep": "fashion-1", "trial": 3}
    version = versions.register(registry, "fashion", package_files(0.875), PARITY, lineage, who="ada")
    assert str(version) == "fashion:1" and (version.who, version.lineage, version.aliases) == ("ada", lineage, ())
    assert version.evidence == {
        "accuracy": 0.875, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8}, "parity": PARITY,
    }  # fmt: skip
    assert versions.resolve(registry, "fashion:1") == version
    assert json.loads(json.dumps(version.record(), allow_nan=False)) == version.record()
    assert versions.signature(registry, version)["classes"] == ["cat", "dog"]


def test_numbers_count_up_for_each_model(registry, register):
    for model, number in [("fashion", 1), ("fashion", 2), ("letters", 1), ("fashion", 3), ("letters", 2)]:
        assert register(registry, model).number == number
    assert numbers(registry) == [3, 2, 1]
    assert [str(version) for version in versions.list_all(registry)] == [
        "fashion:3", "fashion:2", "fashion:1", "letters:2", "letters:1",
    ]  # fmt: skip


def test_a_number_is_not_used_again_after_its_row_is_gone(registry, register):
    register(registry)
    register(registry)
    with registry.atomic() as connection:
        connection.execute(schema.versions.delete().filter_by(number=2))
    assert register(registry).number == 3


def test_the_row_in_the_database_is_what_the_manifest_says(registry, register):
    version = register(registry)
    manifest = packages.manifest(registry.blobs, version.manifest)
    for key in ("model", "created", "evidence", "lineage"):
        assert manifest[key] == getattr(version, key)
    assert "champion" not in json.dumps(manifest)


def test_a_lineage_is_stored_as_json_gives_it_back(registry, package_files):
    lineage = {"shape": (28, 28), 1: "one", "loss": float("nan")}
    version = versions.register(registry, "fashion", package_files(), PARITY, lineage, who="ada")
    assert version.lineage == {"shape": [28, 28], "1": "one", "loss": None}
    assert versions.resolve(registry, "fashion:1") == version
    assert versions.verify(registry, version) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_parity_that_is_no_number_is_registered_as_none(registry, register, value):
    version = register(registry, max_difference=value)
    assert version.evidence["parity"]["max_difference"] is None
    assert versions.verify(registry, versions.resolve(registry, "fashion:1")) == []


@pytest.mark.parametrize(
    "baseline",
    [b"", b"poem", b"\xff", b"[]", b"3", b"{}", b'{"accuracy": null}', b'{"accuracy": "0.9"}', b'{"accuracy": NaN}',
     b'{"accuracy": 90.1}', b'{"accuracy": -0.1}'],
)  # fmt: skip
def test_a_package_without_a_sound_baseline_is_refused(registry, package_files, baseline):
    files = package_files(**{"baseline.json": baseline})
    with pytest.raises(InvalidInput, match=r"baseline\.json must hold an accuracy from 0 to 1"):
        versions.register(registry, "fashion", files, PARITY, {}, who="ada")
    assert rows(registry) == [[], [], [], []]


def test_a_package_that_misses_a_file_is_refused_and_uses_no_number(registry, register, package_files):
    files = package_files()
    del files["heldout.npy"]
    with pytest.raises(InvalidInput, match=r"heldout\.npy"):
        versions.register(registry, "fashion", files, PARITY, {}, who="ada")
    assert rows(registry) == [[], [], [], []]
    assert register(registry).number == 1


@pytest.mark.parametrize("model", ["", "..", "a/b", "Fashion", "fashion:1", "fashion@champion"])
def test_a_model_has_a_name(registry, register, model):
    with pytest.raises(InvalidInput, match="is not a name"):
        register(registry, model)


def test_the_row_appears_after_every_blob(registry, register, monkeypatch):
    put, stored = registry.blobs.put, []

    def watched(data):
        assert rows(registry) == [[], [], [], []]
        stored.append(put(data))
        return stored[-1]

    monkeypatch.setattr(registry.blobs, "put", watched)
    version = register(registry)
    assert stored[-1] == version.manifest
    assert {entry["sha256"] for entry in packages.manifest(registry.blobs, version.manifest)["files"].values()} == {
        *stored[:-1]
    }


def test_blobs_that_cannot_be_stored_leave_the_registry_as_it_was(registry, register, monkeypatch):
    register(registry)
    before = rows(registry)
    (registry.blobs.folder / "full").touch()
    monkeypatch.setattr(registry.blobs, "folder", registry.blobs.folder / "full")
    with pytest.raises(Unavailable, match=r"blobs/full/.* cannot be written"):
        register(registry)
    assert rows(registry) == before


def test_threads_may_register_at_once(registry, register):
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: register(registry, weights=b"%d" % n), range(8)))
    assert sorted(version.number for version in made) == [*range(1, 9)]
    for n, version in enumerate(made):
        assert packages.file(registry.blobs, version.manifest, "checkpoint.safetensors") == b"%d" % n
        assert versions.resolve(registry, str(version)) == version


def test_processes_may_register_at_once(settings, register, race):
    def add(n):
        with Registry(settings) as registry:
            return [register(registry, weights=b"%d %d" % (n, k)).number for k in range(3)]

    came = race(add, 4)
    assert sorted(number for numbers in came for number in numbers) == [*range(1, 13)]
    with Registry(settings) as registry:
        assert numbers(registry) == [*range(12, 0, -1)]
        assert all(versions.verify(registry, version) == [] for version in versions.list_all(registry))


def test_a_register_that_dies_at_any_point_leaves_whole_versions_alone(settings, register, deaths):
    """Promise 1: killed at every step, every visible version verifies, and the numbers go on without a gap."""
    Registry(settings).close()

    def add(step):
        with Registry(settings) as registry:
            return register(registry, weights=b"%d" % step)

    seen = []

    def whole(acknowledged):
        with Registry(settings) as registry:
            visible = [v.number for v in versions.list_all(registry)]
            assert visible == [*range(len(visible), 0, -1)] and len(visible) - len(seen) in (0, 1)
            if acknowledged is not None:
                assert visible[0] == acknowledged.number == len(seen) + 1
            seen[:] = visible
            for version in versions.list_all(registry):
                assert versions.verify(registry, version) == []

    assert deaths(add, whole) > 25
    with Registry(settings) as registry:
        assert register(registry).number == len(seen) + 1


# --- resolving and listing


def test_a_version_is_found_by_its_number_its_alias_and_its_reference(registry, register):
    register(registry)
    register(registry)
    aliases.promote(registry, "fashion", 1, why="first", who="ada")
    aliases.promote(registry, "fashion", 1, why="to compare", who="ada", alias="challenger")
    for reference in ("fashion", "fashion@champion", "fashion@challenger", "fashion:1", Reference("fashion", 1)):
        version = versions.resolve(registry, reference)
        assert version.number == 1 and version.aliases == ("challenger", "champion")
    assert versions.resolve(registry, "fashion:2").aliases == ()
    assert [version.aliases for version in versions.list_all(registry)] == [(), ("challenger", "champion")]


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("letters", "there is no model 'letters'; registered are: fashion"),
        ("letters:1", "there is no model 'letters'; registered are: fashion"),
        ("fashion:9", "there is no fashion:9; fashion has the aliases champion and the versions 2, 1"),
        ("fashion@other", "there is no fashion@other; fashion has the aliases champion and the versions 2, 1"),
    ],
)
def test_what_is_not_there_is_not_found_and_what_is_there_is_told(registry, register, reference, told):
    register(registry)
    register(registry)
    aliases.promote(registry, "fashion", 1, why="first", who="ada")
    with pytest.raises(NotFound) as missing:
        versions.resolve(registry, reference)
    assert missing.value.problem == told


def test_an_empty_registry_says_how_to_fill_it(registry):
    assert versions.list_all(registry) == []
    with pytest.raises(NotFound, match="the registry is empty; `tailorbird demo` fills it"):
        versions.resolve(registry, "fashion")
    with pytest.raises(NotFound, match="there is no model 'fashion'"):
        versions.list_all(registry, "fashion")


def test_a_list_of_one_model_holds_that_model_alone(registry, register):
    register(registry, "fashion")
    register(registry, "letters")
    assert [str(version) for version in versions.list_all(registry, "letters")] == ["letters:1"]


# --- verifying


@pytest.mark.parametrize("name", ["model.onnx", "checkpoint.safetensors", packages.MANIFEST])
def test_one_flipped_bit_is_told_by_the_name_of_its_file(registry, register, flip, name):
    version = register(registry)
    other = register(registry, weights=b"other")
    assert versions.verify(registry, version) == []
    flip(blob(registry, version, name))
    [problem] = versions.verify(registry, version)
    assert problem.startswith(f"{name}: ") and str(registry.blobs.folder) in problem
    assert versions.verify(registry, other) == []


@pytest.mark.parametrize(
    ("key", "value"), [("evidence", {"accuracy": 1.0}), ("lineage", {}), ("created", "2020"), ("model", "letters")]
)
def test_a_row_that_does_not_say_what_the_manifest_says_is_told(registry, register, key, value):
    version = register(registry)
    told = versions.verify(registry, replace(version, **{key: value}))
    assert told == [f"manifest.json: its {key} is not that of the version's row"]


def test_a_row_that_names_the_package_of_another_version_is_told(registry, register):
    version = register(registry)
    other = register(registry, weights=b"other")
    with registry.atomic() as connection:
        connection.execute(schema.versions.update().filter_by(number=1).values(manifest=other.manifest))
    told = versions.verify(registry, versions.resolve(registry, "fashion:1"))
    assert told == ["manifest.json: its created is not that of the version's row"]
    assert version.created != other.created


def test_a_row_that_names_another_blob_is_told(registry, register):
    version = register(registry)
    swapped = replace(version, manifest=blob(registry, version, "model.onnx").name)
    [problem] = versions.verify(registry, swapped)
    assert problem.startswith("manifest.json: ") and problem.endswith("is not the manifest of a package")


# --- exporting


def test_an_export_is_the_package(registry, register, package_files, tmp_path):
    version = register(registry)
    folder = versions.export(registry, version, tmp_path / "out" / "fashion-1")
    assert {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != packages.MANIFEST
    } == package_files()
    assert packages.read(folder, version.manifest)["model"] == "fashion"


def test_an_export_to_a_relative_path_is_made_here(registry, register, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    version = register(registry)
    assert versions.export(registry, version, tmp_path.relative_to(tmp_path) / "out") == tmp_path / "out"


def test_an_export_replaces_nothing(registry, register, tmp_path):
    version = register(registry)
    for taken in (tmp_path / "folder", tmp_path / "file"):
        taken.mkdir() if taken.name == "folder" else taken.write_text("mine")
        with pytest.raises(InvalidInput, match="exists already; accepted: a folder that is to be made"):
            versions.export(registry, version, taken)
    assert list((tmp_path / "folder").iterdir()) == [] and (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["model.onnx", "curves.png", packages.MANIFEST])
def test_an_export_of_a_damaged_version_leaves_no_folder(registry, register, flip, tmp_path, name):
    version = register(registry)
    flip(blob(registry, version, name))
    with pytest.raises(Corrupt, match=r"^\S+: .* does not match its SHA-256 sum"):
        versions.export(registry, version, tmp_path / "out" / "fashion-1")
    assert not (tmp_path / "out").exists()
