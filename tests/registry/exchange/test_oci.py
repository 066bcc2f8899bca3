import hashlib
import json

import pytest

from registry import packages
from registry.exchange import oci
from registry.exchange.carried import LARGEST_JSON
from registry.storage.folder import FolderStore
from tailorbird.errors import Corrupt
from tailorbird.package.manifest import MANIFEST
from tests.carried import describe, write_layout
from tests.packages import ABOUT


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "store")


@pytest.fixture
def files(package_files):
    return package_files()


@pytest.fixture
def digest(store, files):
    return packages.put(store, files, ABOUT)


@pytest.fixture
def layout(store, digest, tmp_path):
    folder = tmp_path / "layout"
    folder.mkdir()
    oci.write(store, digest, 7, folder)
    return folder


@pytest.fixture
def wrong(files, tmp_path):
    """Makes a layout, whole but for a change, and gives the sentence by which it is refused."""

    def attempt(change=lambda image, index: None, **about):
        return refusal(write_layout(tmp_path / "wrong", files, describe(files, {**ABOUT.record(), **about}), change))

    return attempt


def refusal(folder):
    with pytest.raises(Corrupt) as caught:
        oci.read(folder)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300
    return str(caught.value)


def blob(folder, descriptor):
    """What a descriptor describes, which must have the digest and size that it says."""
    algorithm, digest = descriptor["digest"].split(":")
    data = (folder / "blobs" / algorithm / digest).read_bytes()
    assert hashlib.sha256(data).hexdigest() == digest and len(data) == descriptor["size"]
    return data


def index(folder):
    return json.loads((folder / "index.json").read_bytes())


# --- what the format demands


def test_a_layout_is_one_by_the_specification(layout, store, digest, files):
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    top = index(layout)
    assert (top["schemaVersion"], top["mediaType"]) == (2, "application/vnd.oci.image.index.v1+json")
    [named] = top["manifests"]
    assert named["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert named["artifactType"] == "application/vnd.tailorbird.package.v1"
    assert named["annotations"] == {"org.opencontainers.image.ref.name": "7"}
    image = json.loads(blob(layout, named))
    assert (image["schemaVersion"], image["mediaType"]) == (2, named["mediaType"])
    assert image["artifactType"] == named["artifactType"]
    assert image["config"]["mediaType"] == "application/vnd.tailorbird.package.manifest.v1+json"
    assert blob(layout, image["config"]) == store.get(digest)
    assert {
        layer["annotations"]["org.opencontainers.image.title"]: blob(layout, layer) for layer in image["layers"]
    } == files
    assert image["annotations"] == {
        "org.opencontainers.image.title": "fashion",
        "org.opencontainers.image.version": "7",
        "org.opencontainers.image.created": ABOUT.created,
    }


def test_layers_say_what_they_are(layout):
    image = json.loads(blob(layout, index(layout)["manifests"][0]))
    types = {layer["annotations"][oci.TITLE]: layer["mediaType"] for layer in image["layers"]}
    assert types["curves.json"] == "application/json"
    assert types["curves.png"] == "image/png"
    assert types["config.yaml"] == "application/yaml"
    assert types["environment.txt"] == "text/plain"
    assert {types[name] for name in ("model.onnx", "heldout.npy", "checkpoint.safetensors")} == {oci.ANY_TYPE}


def test_there_is_nothing_else_in_it(layout, files, digest):
    image = index(layout)["manifests"][0]["digest"].removeprefix("sha256:")
    held = {hashlib.sha256(data).hexdigest() for data in files.values()} | {digest, image}
    assert {path.name for path in layout.iterdir()} == {"blobs", "index.json", "oci-layout"}
    assert [path.name for path in (layout / "blobs").iterdir()] == ["sha256"]
    assert {path.name for path in (layout / "blobs" / "sha256").iterdir()} == held


def test_every_file_is_on_the_disk(store, digest, tmp_path, steps):
    (tmp_path / "layout").mkdir()
    oci.write(store, digest, 7, tmp_path / "layout")
    flushed = [path for kind, path in (step[:2] for step in steps) if kind == "flush"]
    written = {str(path) for path in (tmp_path / "layout").rglob("*")} | {str(tmp_path / "layout")}
    assert written <= set(flushed)


# --- reading


def test_what_is_written_is_read(layout, files, digest):
    assert oci.is_layout(layout)
    package = oci.read(layout)
    assert (package.files, package.number, package.digest) == (files, 7, digest)


def test_a_layout_that_went_through_other_tools_is_read(layout, files):
    top = index(layout)
    del top["mediaType"], top["manifests"][0]["artifactType"]  # as skopeo does
    (layout / "index.json").write_text(json.dumps(top))
    (layout / "ingest").mkdir()  # as oras does
    (layout / "blobs" / "sha256" / ("0" * 64)).write_bytes(b"of another image")
    assert oci.read(layout).files == files


@pytest.mark.parametrize("number", [None, 3, "0", "-1", "3\n", "٣", "1" * 30, "latest", "../x"])
def test_a_number_that_is_none_is_not_known(files, tmp_path, number):
    def change(image, index):
        image["annotations"] = {oci.NUMBER: number}

    assert oci.read(write_layout(tmp_path / "x", files, describe(files, ABOUT.record()), change)).number is None


def test_without_annotations_the_number_is_not_known(files, tmp_path):
    assert oci.read(write_layout(tmp_path / "x", files, describe(files, ABOUT.record()))).number is None


@pytest.mark.parametrize("name", ["index.json", "oci-layout"])
def test_what_names_the_package_must_be_whole(layout, name):
    for data in (b"", b"poem", b"[]", b"{", b"[" * 100_000):
        (layout / name).write_bytes(data)
        assert refusal(layout) == f"{name}: is not a JSON object"
    (layout / name).write_bytes(b" " * (LARGEST_JSON + 1))
    assert refusal(layout).startswith(f"{name} has ")
    (layout / name).unlink()
    (layout / name).symlink_to("/etc/passwd")
    assert refusal(layout) == f"{name} is a link"


def test_a_layout_of_another_version_is_refused(layout):
    for version in ("2.0.0", None, 1):
        (layout / "oci-layout").write_text(json.dumps({"imageLayoutVersion": version}))
        assert refusal(layout) == "oci-layout is not of version 1.0.0"


def test_a_layout_of_several_packages_is_refused(layout):
    top = index(layout)
    for manifests, count in ((top["manifests"] * 2, "2"), ([], "0"), (None, "none"), ({}, "none")):
        (layout / "index.json").write_text(json.dumps({**top, "manifests": manifests}))
        assert refusal(layout) == f"index.json must name one package, not {count}"


def test_an_image_that_is_no_package_is_refused(wrong):
    def container(image, index):
        del image["artifactType"]

    assert wrong(container) == "index.json does not name a package of type application/vnd.tailorbird.package.v1"


@pytest.mark.parametrize("descriptor", [None, [], "x", {}, {"digest": 3}, {"digest": "sha256:../../x", "size": 1}])
def test_a_descriptor_that_is_none_is_refused(layout, wrong, descriptor):
    def config(image, index):
        image["config"] = descriptor

    def layer(image, index):
        image["layers"][0] = descriptor

    assert wrong(config).startswith(("manifest.json is not described", "manifest.json: "))
    (layout / "index.json").write_text(json.dumps({"manifests": [descriptor]}))
    assert refusal(layout).startswith(("the artifact's manifest is not described", "the artifact's manifest: "))


def test_a_layer_leads_nowhere_else(files, tmp_path):
    sums = ["sha512:" + "ab" * 64, "sha256:../../../etc/passwd", "sha256:" + "AB" * 32, "ab" * 32, None]
    for number, digest in enumerate(sums):

        def change(image, index, digest=digest):
            image["layers"][0]["digest"] = digest

        folder = write_layout(tmp_path / str(number), files, describe(files, ABOUT.record()), change)
        assert ": sha256: " in refusal(folder)


@pytest.mark.parametrize("layers", [None, {}, "x"])
def test_there_must_be_layers(wrong, layers):
    assert wrong(lambda image, index: image.update(layers=layers)) == "the artifact's manifest has no layers"


@pytest.mark.parametrize("annotations", [None, [], {}, {oci.TITLE: 3}, "x"])
def test_a_layer_must_have_a_name(wrong, annotations):
    problem = wrong(lambda image, index: image["layers"][0].update(annotations=annotations))
    assert problem == "the artifact's manifest has a layer without a name"


def test_a_layer_twice_one_less_one_more_are_named(files, tmp_path):
    def twice(image, index):
        image["layers"].append(image["layers"][0])

    def less(image, index):
        image["layers"] = [layer for layer in image["layers"] if layer["annotations"][oci.TITLE] != "model.onnx"]

    def more(image, index):
        image["layers"].append({**image["layers"][0], "annotations": {oci.TITLE: "../evil"}})

    text = [
        refusal(write_layout(tmp_path / change.__name__, files, describe(files, ABOUT.record()), change))
        for change in (twice, less, more)
    ]
    first = next(iter(files))
    assert text == [
        f"'{first}' is in it more than once",
        "model.onnx is missing",
        "'../evil' is not in its manifest.json",
    ]


def test_a_layer_that_is_another_file_is_named(wrong):
    def swapped(image, index):
        by_name = {layer["annotations"][oci.TITLE]: layer for layer in image["layers"]}
        by_name["model.onnx"]["digest"] = by_name["checkpoint.safetensors"]["digest"]
        by_name["model.onnx"]["size"] = by_name["checkpoint.safetensors"]["size"]

    assert wrong(swapped) == "model.onnx is another file in the artifact's manifest than in manifest.json"


@pytest.mark.parametrize("part", ["manifest", "config"])
def test_what_is_too_large_is_not_read(layout, wrong, part):
    def config(image, index):
        image["config"]["size"] = LARGEST_JSON + 1

    if part == "config":
        assert wrong(config) == f"manifest.json has {LARGEST_JSON + 1:,} bytes; accepted: at most {LARGEST_JSON:,}"
        return
    top = index(layout)
    top["manifests"][0]["size"] = LARGEST_JSON + 1
    (layout / "index.json").write_text(json.dumps(top))
    assert refusal(layout).endswith(f"has {LARGEST_JSON + 1:,} bytes; accepted: at most {LARGEST_JSON:,}")


@pytest.mark.parametrize("name", ["model.onnx", "heldout.npy", MANIFEST])
@pytest.mark.parametrize("how", ["flipped", "cut", "longer", "missing", "link"])
def test_damage_is_named(layout, files, digest, flip, name, how):
    path = layout / "blobs" / "sha256" / (digest if name == MANIFEST else hashlib.sha256(files[name]).hexdigest())
    data = path.read_bytes()
    if how == "flipped":
        flip(path)
    else:
        path.unlink()
    if how == "cut":
        path.write_bytes(data[:-1])
    elif how == "longer":
        path.write_bytes(data + b"x")
    elif how == "link":
        (layout / "elsewhere").write_bytes(data)
        path.symlink_to(layout / "elsewhere")
    sentences = {
        "flipped": "does not match its SHA-256 sum", "missing": "is missing", "link": "is a link",
        "cut": f"has {len(data) - 1:,} bytes, but manifest.json lists {len(data):,}",
        "longer": f"has {len(data) + 1:,} bytes, but manifest.json lists {len(data):,}",
    }  # fmt: skip
    assert refusal(layout) == f"{name} {sentences[how]}"


@pytest.mark.parametrize("part", ["blobs", "blobs/sha256"])
def test_a_folder_that_is_a_link_is_not_followed(layout, part):
    (layout / part).rename(layout.parent / "elsewhere")
    (layout / part).symlink_to(layout.parent / "elsewhere")
    assert refusal(layout) == f"{part} is a link"
