import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from registry import evidence, gates, packages, verification
from registry.policy import Policy
from registry.storage.opening import open_store
from registry.version import Version
from tailorbird import shares
from tailorbird.package.measurements import Latency, Measurements
from tests.packages import ABOUT, COLUMNS, PARITY, records, saved

BINS = {"cat": {"0.999": {"count": 30, "correct": 30}}, "dog": {"0.999": {"count": 10, "correct": 0}}}
SCORES = {
    "accuracy": 0.75,
    "standard_error": shares.standard_error(0.75, 40),
    "samples": 40,
    "test": {"accuracy": 0.8, "samples": 90},
}
BASELINE = {**SCORES, "confusion": [[30, 10], [0, 0]], "bins": BINS}
SIGNATURE = {
    "kind": "image", "shape": [2, 2], "dtype": "uint8", "classes": ["cat", "dog"], "objective": "binary",
    "temperature": 1.0,
}  # fmt: skip
FIGURES = Measurements.of({**SCORES, "parity": PARITY.record()}, "evidence")


def changed(file, **keys):
    return json.dumps({**file, **keys}).encode()


@pytest.fixture
def store(tmp_path):
    """Stores a package and returns the store with the version that a row would tell of."""

    def put(figures=FIGURES, **files):
        contents = dict.fromkeys(packages.REQUIRED, b"-") | {
            "model.onnx": b"12345",
            "signature.json": changed(SIGNATURE),
            "baseline.json": changed(BASELINE),
            "heldout.npy": saved(records()),
            **files,
        }
        opened = open_store(str(tmp_path / "storage"))
        about = ABOUT.model_copy(update={"evidence": figures})
        digest = packages.put(opened, contents, about)
        return opened, Version("fashion", 3, digest, COLUMNS | {"evidence": figures.record()}, "ada", about.created)

    return put


def read(opened, version):
    return verification.read(SimpleNamespace(blobs=opened), version)


def test_evidence_is_read_from_the_row_and_the_package(store):
    latency = Latency(p50_ms=0.5, p99_ms=0.9, runs=200, threads=1)
    figures = FIGURES.model_copy(update={"calibration_error": 0.25, "latency": latency})
    content = read(*store(figures))
    assert (str(content), content.model, content.number, content.problems) == ("fashion:3", "fashion", 3, ())
    assert (content.figures, content.size, content.classes) == (figures, 5, ("cat", "dog"))
    assert content.baseline.confusion == ((30, 10), (0, 0))
    assert len(content.heldout) == 40 and content.heldout.ids.shape == (40, 16)
    assert content.heldout.ids[:, 0].tolist() == list(range(40))
    assert content.heldout.probabilities.shape == (40, 2) and content.heldout.labels.tolist() == [0] * 40


@pytest.mark.parametrize(
    ("file", "data", "problem"),
    [
        ("signature.json", b"", "is not a JSON object"),
        ("signature.json", changed(SIGNATURE, classes=["a", "a"]), "classes: names a class twice"),
        ("baseline.json", b"poem", "is not a JSON object"),
        ("baseline.json", changed(BASELINE, confusion=[[1, 2, 3]]), "must be 2 rows of 2 counts"),
        ("heldout.npy", b"-", "is not an array without objects"),
        ("heldout.npy", saved(records(classes=3)), r"must have records of id (u1[16]), label (<i4)"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_a_problem_of_its_version(store, file, data, problem):
    content = read(*store(**{file: data}))
    assert len(content.problems) == 1 and content.problems[0].startswith(f"{file}: ") and problem in content.problems[0]
    assert (content.heldout, content.classes, content.baseline, content.size) == (None, (), None, None)
    assert content.figures == FIGURES
    assert gates.judge(content, None, Policy()).reasons == [f"fashion:3 does not verify: {content.problems[0]}"]


@pytest.mark.parametrize("name", ["signature.json", "baseline.json", "heldout.npy", packages.MANIFEST])
def test_a_blob_that_is_damaged_or_gone_is_a_problem_that_names_its_file(store, name):
    opened, version = store()
    digest = version.manifest
    if name != packages.MANIFEST:
        digest = packages.manifest(opened, digest).files[name].sha256
    (path,) = opened.folder.rglob(digest)
    path.chmod(0o600)
    path.write_bytes(b"something else")
    assert [problem[: len(name) + 1] for problem in read(opened, version).problems] == [f"{name}:"]
    path.unlink()
    assert [problem[: len(name) + 1] for problem in read(opened, version).problems] == [f"{name}:"]


@pytest.mark.parametrize("missing", ["signature.json", "baseline.json", "heldout.npy", "model.onnx"])
def test_a_manifest_that_leaves_a_file_out_is_a_problem(store, missing):
    opened, version = store()
    manifest = packages.manifest(opened, version.manifest).record()
    del manifest["files"][missing]
    forged = replace(version, manifest=opened.put(json.dumps(manifest).encode()))
    (problem,) = read(opened, forged).problems
    assert missing in problem


def test_a_row_that_does_not_say_what_its_manifest_says_is_a_problem(store):
    opened, version = store()
    other = replace(version, columns=COLUMNS | {"evidence": {**FIGURES.record(), "accuracy": 0.99}})
    assert read(opened, other).problems == (
        "fashion:3: manifest.json: its evidence differs from that of the version's row",
    )


def test_of_a_version_that_does_not_verify_no_file_is_read(store):
    _, version = store()
    result = evidence.unreadable(version, ["model.onnx: is missing"])
    assert result.problems == ("model.onnx: is missing",) and result.heldout is None and result.figures == FIGURES
