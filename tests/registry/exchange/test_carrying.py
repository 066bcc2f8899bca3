import errno
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given
from hypothesis import settings as configure
from hypothesis import strategies as st

from registry import packages, verification, versions
from registry.core import Registry
from registry.exchange import carrying
from registry.version import Version
from tailorbird.errors import Corrupt, InvalidInput, Unavailable
from tailorbird.package.lineage import Lineage
from tailorbird.package.manifest import MANIFEST, About, Manifest
from tailorbird.package.measurements import Export
from tailorbird.package.record import encode
from tests import stores
from tests.carried import FORMS, contents, describe, packages_json, write_archive, write_folder, write_layout

LATENCY = {"p50_ms": 0.5, "p99_ms": 1.25, "runs": 100, "threads": 1}
PARITY = {"agreement": 1.0, "max_difference": 3e-7, "samples": 1000}
LINEAGE = {"sweep": "fashion-1", "trial": 3, "epoch": 2, "data": {"name": "pets"}, "champion": 7}


@pytest.fixture
def shared_storage(request):
    return stores.storage("s3", request)


@pytest.fixture
def add(package_files):
    def register(registry, model="fashion", **more):
        export = Export.of({"parity": PARITY, "latency": LATENCY}, "export")
        return versions.register(registry, model, package_files(**more), export, Lineage(**LINEAGE), who="ada")

    return register


@pytest.fixture
def local(embedded, register):
    """A registry that is not empty, into which nothing wrong must come."""
    with Registry(embedded) as opened:
        register(opened, "mine")
        yield opened


@pytest.fixture
def files(package_files):
    return package_files()


@pytest.fixture
def manifest(files):
    """The manifest of these files, as an export has it."""
    baseline = json.loads(files["baseline.json"])
    evidence = {key: baseline[key] for key in ("accuracy", "standard_error", "samples", "test", "calibration_error")}
    about = {"model": "fashion", "created": "2026-01-02T03:04:05.000000Z", "lineage": LINEAGE}
    return describe(files, {**about, "evidence": {**evidence, "parity": PARITY}})


@pytest.fixture
def refused(local):
    """Imports what must not be, and gives the sentence; nothing is other than before in store and database."""

    def attempt(path):
        before = contents(local.settings.home)
        with pytest.raises(InvalidInput) as caught:
            carrying.import_version(local, path, "eve")
        assert contents(local.settings.home) == before
        assert caught.value.field == str(path)
        assert caught.value.problem.isprintable() and len(caught.value.problem) < 400
        return caught.value.problem

    return attempt


def read(registry, version):
    names = packages.manifest(registry.blobs, version.manifest).files
    return {name: packages.file(registry.blobs, version.manifest, name) for name in names}


def blobs(registry):
    return {blob.digest for blob in registry.blobs.listing()}


# --- there and back


@pytest.mark.parametrize("form", FORMS)
def test_a_version_goes_to_another_registry_and_is_the_same(make_settings, add, form, tmp_path):
    with Registry(make_settings("from")) as source, Registry(make_settings("to")) as target:
        version = add(source)
        path = carrying.export(source, version, tmp_path / "deep" / "er" / FORMS[form], form)
        assert [path.name for path in path.parent.iterdir()] == [path.name]
        made = carrying.import_version(target, path, "bob")
        assert (str(made), made.who, made.aliases) == ("fashion:1", "bob", ())
        assert versions.resolve(target, "fashion:1") == made
        assert verification.verify(target, made) == []
        assert read(target, made) == read(source, version)
        assert made.evidence == version.evidence
        origin = {"model": "fashion", "manifest": version.manifest, "created": version.created}
        origin |= {"number": 1 if form == "oci" else None, "origin": None}
        assert made.lineage.record() == {**version.lineage.record(), "origin": origin}
        once = blobs(target)
        again = carrying.import_version(target, path, "bob")
        assert again.number == 2 and verification.verify(target, again) == []
        assert blobs(target) - once == {again.manifest}


def test_the_optional_files_are_carried_too(local, add, tmp_path):
    version = add(local, **{"model.int8.onnx": b"small"})
    for form, name in FORMS.items():
        made = carrying.import_version(local, carrying.export(local, version, tmp_path / name, form), "bob")
        assert packages.file(local.blobs, made.manifest, "model.int8.onnx") == b"small"


def test_another_model_can_take_it_in(local, add, tmp_path):
    path = carrying.export(local, add(local), tmp_path / "out")
    version = carrying.import_version(local, path, "bob", model="mine")
    assert str(version) == "mine:2"
    assert version.lineage.origin.model == "fashion"
    with pytest.raises(InvalidInput, match=r"^model: '\.\.' is not a name"):
        carrying.import_version(local, path, "bob", model="..")


def test_what_was_carried_twice_knows_both_origins(local, add, tmp_path):
    first = add(local)
    second = carrying.import_version(local, carrying.export(local, first, tmp_path / "1"), "bob")
    third = carrying.import_version(local, carrying.export(local, second, tmp_path / "2"), "bob")
    assert third.lineage.origin.manifest == second.manifest
    assert third.lineage.origin.origin == second.lineage.origin
    assert second.lineage.origin.manifest == first.manifest


@pytest.mark.parametrize("name", ["out", "out.tar", "out.tar.gz", "out.tgz", "layout"])
def test_equal_versions_have_equal_exports(local, add, name, tmp_path):
    form = "archive" if "." in name else "oci" if name == "layout" else "folder"
    version = add(local)
    for folder in ("a", "b"):
        carrying.export(local, version, tmp_path / folder / name, form)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("name", ["out.tar", "out.tar.gz", "out.tgz"])
def test_an_archive_is_one_for_other_tools_too(local, add, name, tmp_path):
    version = add(local)
    path = carrying.export(local, version, tmp_path / name, "archive")
    with tarfile.open(path) as archive:
        entries = archive.getmembers()
    assert [entry.name for entry in entries] == [MANIFEST, *sorted(packages.REQUIRED)]
    assert {
        (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname, entry.mode, entry.isreg()) for entry in entries
    } == {(0, 0, 0, "", "", 0o644, True)}
    (tmp_path / "unpacked").mkdir()
    subprocess.run(["tar", "-xf", path, "-C", tmp_path / "unpacked"], check=True)
    assert verification.verify(local, carrying.import_version(local, tmp_path / "unpacked", "bob")) == []
    names = [MANIFEST, *sorted(packages.REQUIRED)]
    subprocess.run(["tar", "-C", tmp_path / "unpacked", "-czf", tmp_path / "theirs", *names], check=True)
    assert verification.verify(local, carrying.import_version(local, tmp_path / "theirs", "bob")) == []


def test_gzip_makes_it_smaller(local, add, tmp_path):
    version = add(local)
    sizes = [
        carrying.export(local, version, tmp_path / f"x{end}", "archive").stat().st_size for end in (".tar", ".tgz")
    ]
    assert sizes[1] < sizes[0] / 2


def test_an_import_is_signed_by_who_imports(local, add, tmp_path):
    key = Ed25519PrivateKey.generate()
    (tmp_path / "private.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (tmp_path / "public.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    path = carrying.export(local, add(local), tmp_path / "out")
    signing_home = local.settings.model_copy(update={"signing_key": tmp_path / "private.pem"})
    with Registry(signing_home) as registry:
        verification.check_signature(tmp_path / "public.pem", carrying.import_version(registry, path, "bob"))
    assert carrying.import_version(local, path, "bob").signature is None


# --- exports that cannot be


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("taken", ["folder", "file", "link"])
def test_an_export_replaces_nothing(local, add, form, taken, tmp_path):
    path = tmp_path / FORMS[form]
    make = {"folder": path.mkdir, "file": path.touch, "link": lambda: path.symlink_to("nowhere")}
    make[taken]()
    with pytest.raises(InvalidInput, match=r"^path: .*/\S+ already exists; accepted: a new path$"):
        carrying.export(local, add(local), path, form)
    assert os.path.lexists(path) and (path.is_symlink(), path.is_dir()) == (taken == "link", taken == "folder")
    assert not path.is_dir() or not any(path.iterdir())


def test_an_export_to_a_relative_path_is_made_here(local, add, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for form, name in FORMS.items():
        assert carrying.export(local, add(local), Path(name), form) == tmp_path / name
        assert (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["out", "out.zip", "out.gz", "tar", "out.tar.bz2", "out.tar.xz"])
def test_an_archive_says_by_its_name_what_it_is(local, add, name, tmp_path):
    with pytest.raises(InvalidInput, match=rf"^path: .*/{name} must end in \.tar, \.tar\.gz or \.tgz$"):
        carrying.export(local, add(local), tmp_path / name, "archive")
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["model.onnx", "heldout.npy", MANIFEST])
@pytest.mark.parametrize("how", ["flipped", "deleted"])
def test_of_a_damaged_version_there_is_no_export(local, add, form, name, how, tmp_path):
    version = add(local)
    sums = packages.manifest(local.blobs, version.manifest).files
    stores.damage(local.blobs, version.manifest if name == MANIFEST else sums[name].sha256, how)
    (tmp_path / "to").mkdir()
    with pytest.raises(Corrupt, match=f"^{name}: ") as caught:
        carrying.export(local, version, tmp_path / "to" / FORMS[form], form)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "to").iterdir()) == []


def test_an_archive_whose_manifest_promises_another_size_is_not_written(local, add, manifest, files, tmp_path):
    version = add(local)
    manifest["files"]["model.onnx"]["size"] += 1
    local.blobs.put_all([*files.values()])
    lying = local.blobs.put(encode(manifest))
    with pytest.raises(Corrupt, match=r"^model\.onnx: has 20 bytes, but manifest\.json lists 21$"):
        carrying.export(local, _with_manifest(version, lying, manifest), tmp_path / "to" / "out.tar", "archive")
    assert list((tmp_path / "to").iterdir()) == []


def _with_manifest(version, digest, manifest):
    about = Manifest.of(manifest).record()
    return Version.of({**version.record(), **{key: about[key] for key in About.model_fields}, "manifest": digest})


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_at_any_write_names_the_path_and_leaves_nothing(local, add, form, tmp_path, monkeypatch):
    version, path = add(local), tmp_path / "to" / FORMS[form]
    path.parent.mkdir()
    flush, left, named = os.fsync, 0, 0

    def full(descriptor):
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    for before in range(100):
        left = before
        try:
            carrying.export(local, version, path, form)
            break
        except Unavailable as error:
            assert str(error) == f"{path} cannot be written: No space left on device"
            left = 100
            if path.exists():
                named += 1  # only its name could not be flushed
                carrying.import_version(local, path, "bob")
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            assert list(path.parent.iterdir()) == []
    assert named == 1
    assert before >= (2 if form == "archive" else 12)


@pytest.mark.parametrize("form", FORMS)
def test_an_export_to_where_nothing_can_be_made_is_one_sentence(local, add, form):
    with pytest.raises(Unavailable, match=r"^/proc/nowhere/\S+ cannot be written: No such file or directory$"):
        carrying.export(local, add(local), Path("/proc/nowhere") / FORMS[form], form)


# --- what is no package


def test_what_is_no_package_is_told_so(refused, tmp_path):
    assert refused(tmp_path / "nothing") == "there is no such file or folder"
    (tmp_path / "empty").touch()
    (tmp_path / "picture").write_bytes(b"\x89PNG" * 500)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.onnx").touch()
    for name in ("empty", "picture", "folder"):
        assert refused(tmp_path / name).startswith("is not a package; accepted: a folder, archive or OCI layout that ")
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == "pipe is not a plain file"
    (tmp_path / "link").symlink_to("nowhere")
    assert refused(tmp_path / "link") == "there is no such file or folder"
    assert refused(tmp_path / ("x" * 300)) == "cannot be read: File name too long"


def test_a_link_that_the_user_names_is_followed(local, add, tmp_path):
    carrying.export(local, add(local), tmp_path / "out.tar", "archive")
    carrying.export(local, add(local), tmp_path / "out")
    for name in ("out.tar", "out"):
        (tmp_path / f"link-{name}").symlink_to(name)
        carrying.import_version(local, tmp_path / f"link-{name}", "bob")


# --- measurements


EVIDENCE = {
    "accuracy": (0.99, r"manifest.json says accuracy 0.99, and baseline.json 0.9"),
    "standard_error": (0.001, r"says standard_error 0.001, and baseline.json 0.0095"),
    "samples": (10_000, r"says samples 10000, and baseline.json 1000"),
    "calibration_error": (0.0, r"says calibration_error 0.0, and baseline.json 0.02"),
    "test": ({"accuracy": 1.0, "samples": 50}, r"says test accuracy=1.0 samples=50, and "),
    "parity": ({"agreement": 1.0}, "manifest.json: evidence.parity.max_difference: is missing"),
    "latency": ({"p50_ms": -1, "p99_ms": 1, "runs": 1, "threads": 1}, "evidence.latency.p50_ms: must be greater than"),
}


@pytest.mark.parametrize("key", EVIDENCE)
def test_evidence_is_what_the_files_say(refused, files, manifest, tmp_path, key):
    value, sentence = EVIDENCE[key]
    manifest["evidence"][key] = value
    assert sentence in refused(write_folder(tmp_path / "out", files, manifest))


@pytest.mark.parametrize(
    ("key", "value"),
    [("test", None), ("test", {}), ("test", [1]), ("samples", "many"), ("samples", True), ("standard_error", None),
     ("samples", 10**400), ("accuracy", 2), ("accuracy", "0.9"), ("test", {"accuracy": "\x1b[2J", "samples": 1})],
)  # fmt: skip
def test_a_baseline_without_its_figures_is_refused(refused, files, manifest, tmp_path, key, value):
    baseline = {**json.loads(files["baseline.json"]), key: value}
    files["baseline.json"] = json.dumps(baseline).encode()
    manifest["evidence"][key] = value
    assert refused(write_folder(tmp_path / "out", files, describe(files, manifest)))


def test_evidence_without_parity_is_refused(refused, files, manifest, tmp_path):
    del manifest["evidence"]["parity"]
    assert "evidence.parity: is missing" in refused(write_folder(tmp_path / "out", files, manifest))


def test_what_is_not_understood_is_not_repeated_in_full(refused, files, manifest, tmp_path):
    manifest["evidence"]["latency"] = {"x" * 5000: 1}
    assert "evidence.latency.p50_ms: is missing" in refused(write_folder(tmp_path / "out", files, manifest))


@pytest.mark.parametrize("value", [-1.0, "1", 10**400])
def test_figures_that_are_no_figures_are_refused(refused, files, manifest, tmp_path, value):
    manifest["evidence"]["parity"] = {**PARITY, "max_difference": value}
    assert refused(write_folder(tmp_path / "out", files, json.dumps(manifest).encode()))


# --- hostile folders


@pytest.fixture
def folder(files, manifest, tmp_path):
    return write_folder(tmp_path / "out", files, manifest)


@pytest.mark.parametrize("name", ["evil.py", ".hidden", "Model.onnx", "model.onnx ", "mоdel.onnx", "%2e%2e", "x" * 255])
def test_a_file_more_is_named(refused, folder, name):
    (folder / name).touch()
    assert refused(folder).endswith("is not in its manifest.json")


def test_a_name_that_is_no_text_is_refused(refused, folder):
    (folder / os.fsdecode(b"\xff\xfe\x1b")).touch()
    assert refused(folder) == r"'\udcff\udcfe\x1b' is not in its manifest.json"


@pytest.mark.parametrize("name", sorted(packages.REQUIRED))
def test_a_file_less_is_named(refused, folder, name):
    (folder / name).unlink()
    assert refused(folder) == f"{name} is missing"


def test_links_pipes_folders_and_devices_are_refused(refused, folder, files):
    path = folder / "model.onnx"
    outside = folder.parent / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    assert refused(folder) == "model.onnx is a link"
    path.unlink()
    os.mkfifo(path)
    assert refused(folder) == "model.onnx is not a plain file"
    path.unlink()
    path.mkdir()
    assert refused(folder) == "model.onnx is not a plain file"


def test_a_manifest_that_is_a_link_is_refused(refused, folder):
    (folder / MANIFEST).rename(folder.parent / MANIFEST)
    (folder / MANIFEST).symlink_to(folder.parent / MANIFEST)
    assert refused(folder) == "manifest.json is a link"


@pytest.mark.parametrize("name", ["model.onnx", "baseline.json", "curves.png"])
def test_a_changed_file_is_named(refused, folder, flip, name):
    flip(folder / name)
    assert refused(folder) == f"{name} does not match its SHA-256 sum"


def test_a_file_of_another_size_is_not_read(refused, folder):
    with (folder / "model.onnx").open("ab") as file:
        file.truncate(2**40)
    assert refused(folder) == f"model.onnx has {2**40:,} bytes, but manifest.json lists 20"
    (folder / "model.onnx").write_bytes(b"short")
    assert refused(folder) == "model.onnx has 5 bytes, but manifest.json lists 20"


def test_the_manifest_of_another_package_is_told(refused, folder, package_files, manifest):
    other = describe(package_files(weights=b"WEIGHTS"), manifest)
    (folder / MANIFEST).write_bytes(packages_json(other))
    assert refused(folder).endswith(" does not match its SHA-256 sum")


# --- hostile names, in every form


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "/", "../model.onnx", "/etc/passwd", "a/../../x", "%2e%2e", "%2e%2e%2fx", "..\\x", "C:\\x", "x\0y",
     "model.onnx\n", "ｍodel.onnx", "model․onnx", "\u202exnno.ledom", "\x1b[2Jmodel.onnx", "m" * 10_000,
     "../" * 3_000 + "x", "model.onnx/", "./model.onnx", "\ud800"],
    ids=lambda name: ascii(name)[:20],
)  # fmt: skip
def test_a_hostile_name_in_a_manifest_is_refused(refused, files, manifest, tmp_path, name):
    hostile = {**manifest, "files": {**manifest["files"], name: manifest["files"]["model.onnx"]}}
    data = packages_json(hostile)
    folder = write_folder(tmp_path / "out", files, data)
    archive = write_archive(tmp_path / "x.tgz", [(MANIFEST, data), *files.items()])
    layout = write_layout(tmp_path / "layout", files, data)
    for path in (folder, archive, layout):
        assert refused(path).startswith("manifest.json: files: names ")


@configure(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=300))
def test_no_name_but_those_of_a_package_is_let_in(refused, files, manifest, tmp_path, name):
    if name in packages.REQUIRED | packages.OPTIONAL:
        return
    shutil.rmtree(tmp_path / "layout", ignore_errors=True)
    hostile = {**manifest, "files": {**manifest["files"], name: manifest["files"]["model.onnx"]}}
    layout = write_layout(tmp_path / "layout", {**files, name: b"evil"}, packages_json(hostile))
    assert refused(layout).startswith("manifest.json: files: names ")
    shutil.rmtree(layout)
    assert refused(write_layout(layout, {**files, name: b"evil"}, manifest)).endswith("is not in its manifest.json")


@pytest.mark.parametrize("model", ["..", "%2e%2e", "Fashion", "fаshion", "x" * 10_000, "a/b", "", None, 3, ["x"]])
def test_a_hostile_model_is_refused(refused, files, manifest, tmp_path, model):
    problem = refused(write_folder(tmp_path / "out", files, {**manifest, "model": model}))
    assert problem.startswith("manifest.json")


# --- deaths


@pytest.mark.parametrize("form", FORMS)
def test_an_export_that_is_killed_at_any_step_is_not_there_or_whole(embedded, add, deaths, form, tmp_path):
    with Registry(embedded) as registry:
        version = add(registry)
        before = contents(Path(embedded.storage))
        whole = carrying.export(registry, version, tmp_path / f"model-{FORMS[form]}", form)

    def export(step):
        with Registry(embedded) as registry:
            return carrying.export(registry, version, tmp_path / str(step) / FORMS[form], form)

    def check(made):
        names = list(tmp_path.glob(f"[0-9]*/{FORMS[form]}"))
        assert made is None or made in names
        for path in names:
            same = contents(path) == contents(whole) if path.is_dir() else path.read_bytes() == whole.read_bytes()
            assert same
        assert contents(Path(embedded.storage)) == before

    assert deaths(export, check) >= (5 if form == "archive" else 25)


@pytest.mark.parametrize("make_settings", ["embedded", pytest.param("cluster", marks=pytest.mark.long)], indirect=True)
def test_an_import_that_is_killed_at_any_step_is_not_there_or_whole(make_settings, add, deaths, tmp_path):
    with Registry(make_settings("from")) as source:
        version = add(source)
        files = read(source, version)
        path = carrying.export(source, version, tmp_path / "out.tgz", "archive")
    home = make_settings("to")
    with Registry(home) as target:
        add(target, "mine")
    acknowledged = set()

    def take(step):
        with Registry(home) as target:
            return carrying.import_version(target, path, "bob").number

    def check(number):
        if number is not None:
            acknowledged.add(number)
        with Registry(home) as target:
            visible = list(versions.every(target, "fashion")) if seen(target) else []
            assert acknowledged <= {one.number for one in visible}
            assert len({one.number for one in visible}) == len(visible)
            for one in visible:
                assert verification.verify(target, one) == []
                assert read(target, one) == files
            assert verification.verify(target, versions.resolve(target, "mine:1")) == []

    def seen(registry):
        return any(version.model == "fashion" for version in versions.page(registry))

    assert deaths(take, check) >= 10
    assert acknowledged
