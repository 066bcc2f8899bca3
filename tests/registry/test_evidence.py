import json
import math
from dataclasses import replace

import pytest

from registry import evidence, gates, packages
from registry.policy import Policy
from registry.storage import blobs
from registry.versions import Version
from tailorbird.errors import InvalidInput
from tests.packages import records, saved

PARITY = {"agreement": 1.0, "max_difference": 3e-7, "samples": 40}
LATENCY = {"p50_ms": 0.5, "p99_ms": 0.9, "runs": 200, "threads": 1}
BASELINE = {"accuracy": 0.75, "standard_error": 0.07, "samples": 40, "test": {"accuracy": 0.8, "samples": 90}}
CONFUSION = [[30, 10], [0, 0]]
SIGNATURE = json.dumps({"kind": "image", "classes": ["cat", "dog"]}).encode()


@pytest.fixture
def store(tmp_path):
    """Stores a package and returns the store with the version that a row would tell of."""

    def put(kept=None, **files):
        contents = dict.fromkeys(packages.REQUIRED, b"-") | {
            "model.onnx": b"12345",
            "signature.json": SIGNATURE,
            "baseline.json": json.dumps({**BASELINE, "confusion": CONFUSION}).encode(),
            "heldout.npy": saved(records()),
            **files,
        }
        opened = blobs.open_store(str(tmp_path / "storage"))
        digest = packages.put(opened, contents, {})
        row = {**BASELINE, "parity": PARITY} if kept is None else kept
        return opened, Version("fashion", 3, digest, row, {}, "ada", "2026-01-01T00:00:00.000000Z")

    return put


# --- what is kept of a version when it is registered


def gathered(measured=None, **baseline):
    told = json.dumps({**BASELINE, "confusion": CONFUSION, "bins": {}, **baseline}).encode()
    files = {"baseline.json": told, "signature.json": SIGNATURE}
    return evidence.gathered(files, {"parity": PARITY} if measured is None else measured)


def test_a_row_keeps_what_the_held_out_images_said():
    assert gathered() == {**BASELINE, "parity": PARITY}
    assert gathered({"parity": PARITY, "latency": LATENCY}, calibration_error=0.02) == {
        **BASELINE,
        "calibration_error": 0.02,
        "parity": PARITY,
        "latency": LATENCY,
    }
    assert gathered({"parity": PARITY, "latency": None}, calibration_error=None) == gathered()


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_figure_that_is_not_finite_is_kept_as_none(value):
    kept = gathered({"parity": {**PARITY, "max_difference": value}, "latency": {**LATENCY, "p99_ms": value}})
    assert kept["parity"] == {**PARITY, "max_difference": None} and kept["latency"] == {**LATENCY, "p99_ms": None}
    json.dumps(kept, allow_nan=False)


@pytest.mark.parametrize(
    "baseline",
    [None, b"", b"poem", b"\xff", b"[]", b"3", b"{}", b"[" * 9000, b'{"accuracy": null}', b'{"accuracy": "0.9"}',
     b'{"accuracy": NaN}', b'{"accuracy": 90.1}', b'{"accuracy": -0.1}',
     json.dumps({**BASELINE, "test": None}).encode(), json.dumps({**BASELINE, "test": {"accuracy": 2}}).encode(),
     json.dumps({**BASELINE, "standard_error": None}).encode(), json.dumps({**BASELINE, "samples": "40"}).encode(),
     json.dumps({**BASELINE, "samples": 10**400}).encode(), json.dumps({**BASELINE, "test": {"accuracy": 1}}).encode()],
)  # fmt: skip
def test_a_package_without_a_sound_baseline_is_refused(baseline):
    files = {} if baseline is None else {"baseline.json": baseline}
    with pytest.raises(InvalidInput, match=r"package: baseline\.json must hold an accuracy from 0 to 1"):
        evidence.gathered(files, {"parity": PARITY})


@pytest.mark.parametrize("name", ["", "a" * 257, "two\nlines", "evil\u202etac", "A\u0308pfel", "cat ", 3])
def test_a_class_has_a_name_that_can_be_shown_and_kept(name):
    def register(name):
        signature = json.dumps({"classes": [name, "dog"]}).encode()
        files = {"baseline.json": json.dumps(BASELINE).encode(), "signature.json": signature}
        evidence.gathered(files, {"parity": PARITY})

    for fine in ("a" * 256, "T-shirt/top", "دانه\u200cها"):
        register(fine)
    with pytest.raises(InvalidInput, match=r"^package: signature\.json: "):
        register(name)


@pytest.mark.parametrize("error", [math.nan, -0.1, 1.1, "0.1", True, []])
def test_a_calibration_error_lies_from_0_to_1(error):
    with pytest.raises(InvalidInput, match="must hold a calibration_error from 0 to 1"):
        gathered(calibration_error=error)


@pytest.mark.parametrize(
    ("measured", "problem"),
    [
        ({}, "its parity must have agreement, max_difference, samples, not None"),
        (PARITY, "was measured by agreement, max_difference, samples; known are parity and latency"),
        ({"parity": {"agreement": 1.0}}, "its parity must have agreement, max_difference, samples"),
        ({"parity": 1.0}, "its parity must have"),
        ({"parity": {**PARITY, "agreement": "1"}}, "its parity has '1' for agreement, not a number from 0"),
        ({"parity": {**PARITY, "samples": True}}, "its parity has True for samples"),
        ({"parity": {**PARITY, "max_difference": -1e-9}}, "its parity has -1e-09 for max_difference"),
        ({"parity": PARITY, "latency": {}}, "its latency must have p50_ms, p99_ms, runs, threads"),
        ({"parity": PARITY, "latency": {**LATENCY, "p50_ms": -1}}, "its latency has -1 for p50_ms"),
        ({"parity": PARITY, "size": 3}, "was measured by size"),
    ],
)
def test_measurements_of_another_form_are_refused(measured, problem):
    with pytest.raises(InvalidInput) as refused:
        gathered(measured)
    assert refused.value.field == "package" and problem in refused.value.problem


# --- what gates look at


def test_evidence_is_read_from_the_row_and_the_package(store):
    found = evidence.of(*store({**BASELINE, "calibration_error": 0.25, "parity": PARITY, "latency": LATENCY}), [])
    assert (str(found), found.model, found.number, found.problems) == ("fashion:3", "fashion", 3, ())
    assert (found.accuracy, found.samples, found.calibration_error) == (0.75, 40, 0.25)
    assert (found.parity, found.latency, found.size) == (PARITY, LATENCY, 5)
    assert (found.classes, found.confusion) == (("cat", "dog"), CONFUSION)
    assert len(found.heldout) == 40 and found.heldout.ids.shape == (40, 16)
    assert found.heldout.ids[:, 0].tolist() == list(range(40))
    assert found.heldout.probabilities.shape == (40, 2) and found.heldout.labels.tolist() == [0] * 40


def test_latency_calibration_error_and_confusion_may_be_unknown(store):
    found = evidence.of(*store(**{"baseline.json": json.dumps(BASELINE).encode()}), [])
    assert found.problems == () and len(found.heldout) == 40
    assert found.latency is found.calibration_error is found.confusion is None


@pytest.mark.parametrize(
    ("file", "data", "problem"),
    [
        ("signature.json", b"", "is not a JSON object"),
        ("signature.json", b"[]", "is not a JSON object"),
        ("signature.json", b"[" * 9000, "is not a JSON object"),
        ("signature.json", b"{}", "must hold the names of two classes or more"),
        ("signature.json", b'{"classes": "ab"}', "must hold the names of two classes or more"),
        ("signature.json", b'{"classes": ["a"]}', "must hold the names of two classes or more"),
        ("signature.json", b'{"classes": ["a", 2]}', "must hold the names of two classes or more"),
        ("signature.json", b'{"classes": ["a", "a"]}', "names a class twice"),
        ("baseline.json", b"poem", "is not a JSON object"),
        ("baseline.json", b'{"confusion": 3}', "must be 2 rows of 2 counts"),
        ("baseline.json", b'{"confusion": [[1, 2]]}', "must be 2 rows of 2 counts"),
        ("baseline.json", b'{"confusion": [[1, 2], [3]]}', "must be 2 rows of 2 counts"),
        ("baseline.json", b'{"confusion": [[1, 2], 3]}', "must be 2 rows of 2 counts"),
        ("baseline.json", b'{"confusion": [[1, 2], [3, -1]]}', "must be 2 rows of 2 counts"),
        ("baseline.json", b'{"confusion": [[1, 2], [3, 0.5]]}', "must be 2 rows of 2 counts"),
        ("heldout.npy", b"-", "is not an array without objects"),
        ("heldout.npy", saved(records(classes=3)), r"must have records of id (u1[16]), label (<i4)"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_a_problem_of_its_version(store, file, data, problem):
    found = evidence.of(*store(**{file: data}), [])
    assert len(found.problems) == 1 and found.problems[0].startswith(f"{file}: ") and problem in found.problems[0]
    assert (found.heldout, found.classes, found.confusion, found.size) == (None, (), None, None)
    assert found.accuracy == 0.75
    assert gates.judge(found, None, Policy()).reasons == [f"fashion:3 does not verify: {found.problems[0]}"]


@pytest.mark.parametrize("name", ["signature.json", "baseline.json", "heldout.npy", packages.MANIFEST])
def test_a_blob_that_is_damaged_or_gone_is_a_problem_that_names_its_file(store, name):
    opened, version = store()
    digest = version.manifest
    if name != packages.MANIFEST:
        digest = packages.manifest(opened, digest)["files"][name]["sha256"]
    (path,) = opened.folder.rglob(digest)
    path.chmod(0o600)
    path.write_bytes(b"something else")
    assert [one[: len(name) + 1] for one in evidence.of(opened, version, []).problems] == [f"{name}:"]
    path.unlink()
    assert [one[: len(name) + 1] for one in evidence.of(opened, version, []).problems] == [f"{name}:"]


@pytest.mark.parametrize("missing", ["signature.json", "baseline.json", "heldout.npy", "model.onnx"])
def test_a_manifest_that_leaves_a_file_out_is_a_problem(store, missing):
    opened, version = store()
    files = packages.manifest(opened, version.manifest)["files"]
    del files[missing]
    forged = replace(version, manifest=opened.put(packages.encode({"files": files})))
    (problem,) = evidence.of(opened, forged, []).problems
    assert missing in problem


def test_of_a_version_that_does_not_verify_no_file_is_read(store):
    opened, version = store()
    found = evidence.of(opened, replace(version, manifest="0" * 64), ["model.onnx: is missing"])
    assert found.problems == ("model.onnx: is missing",) and found.heldout is None and found.accuracy == 0.75
