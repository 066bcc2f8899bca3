import hashlib
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import packages
from registry.exchange import carried
from registry.exchange.carried import LARGEST, LARGEST_JSON
from tailorbird.errors import Corrupt
from tailorbird.package.manifest import About, Entry
from tests.carried import describe
from tests.packages import ABOUT


@pytest.fixture
def manifest(package_files):
    return describe(package_files(), ABOUT.record())


def encoded(manifest):
    return json.dumps(manifest).encode()


def refusal(data):
    with pytest.raises(Corrupt) as caught:
        carried.parse(data)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300
    return str(caught.value)


# --- the manifest


def test_a_manifest_is_understood(manifest, package_files):
    data = encoded(manifest)
    digest, result = carried.parse(data)
    assert {name: getattr(result, name) for name in About.model_fields} == dict(ABOUT)
    assert digest == hashlib.sha256(data).hexdigest()
    assert result.files == {
        name: Entry(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        for name, content in package_files().items()
    }


def test_keys_of_a_later_release_are_passed_over(manifest):
    assert carried.parse(encoded({**manifest, "colour": "red"}))[1].model == "fashion"


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"poem", b"[]", b"3", b"null", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5_000, b'"\\ud800"'],
    ids=lambda data: ascii(data[:8]),
)
def test_what_is_no_object_is_told_so(data):
    assert refusal(data) == "manifest.json: is not a JSON object"


@pytest.mark.parametrize("key", ["model", "created", "evidence", "lineage", "files"])
@pytest.mark.parametrize("value", [None, 3, [], ["x"]])
def test_every_part_must_be_there_and_of_its_kind(manifest, key, value):
    assert refusal(encoded({**manifest, key: value})).startswith(f"manifest.json: {key}: must be ")
    del manifest[key]
    assert refusal(encoded(manifest)) == f"manifest.json: {key}: is missing"


@pytest.mark.parametrize("name", sorted(packages.REQUIRED))
def test_every_required_file_must_be_promised(manifest, name):
    del manifest["files"][name]
    assert refusal(encoded(manifest)) == f"manifest.json: files: does not name {name}, which every package has"


@pytest.mark.parametrize(
    ("key", "value"),
    [("sha256", None), ("sha256", "ab"), ("sha256", "AB" * 32), ("sha256", "../" * 21 + "x"), ("sha256", "٣" * 64),
     ("sha256", "ab" * 32 + "\n"), ("size", None), ("size", -1), ("size", True), ("size", 1.5), ("size", "9"),
     ("size", 10**300)],
)  # fmt: skip
def test_a_promise_that_is_none_is_refused(manifest, key, value):
    manifest["files"]["model.onnx"][key] = value
    assert refusal(encoded(manifest)).startswith(f"manifest.json: files.model.onnx.{key}: ")


def test_a_promise_must_be_an_object(manifest):
    manifest["files"]["model.onnx"] = "ab" * 32
    assert refusal(encoded(manifest)).startswith("manifest.json: files.model.onnx: must be keys with values")


def test_the_files_together_are_bounded(manifest):
    others = sum(one["size"] for name, one in manifest["files"].items() if name != "model.onnx")
    manifest["files"]["model.onnx"]["size"] = LARGEST - others
    carried.parse(encoded(manifest))
    manifest["files"]["model.onnx"]["size"] += 1
    assert refusal(encoded(manifest)) == (f"its files have {LARGEST + 1:,} bytes in all; accepted: at most {LARGEST:,}")


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "a\0b", "\ud800", "\u202egnp.exe", "a\u2028b"])
@pytest.mark.parametrize("key", ["created", "lineage", "evidence"])
def test_a_text_that_cannot_be_printed_is_refused(manifest, key, text):
    for value in ({"x": text}, {text: 1}, {"x": [{"y": [text]}]}):
        hostile = {**manifest, key: text if key == "created" else value}
        assert refusal(encoded(hostile)).startswith("manifest.json holds a text that cannot be printed: ")


def test_nesting_is_bounded(manifest):
    def nested(depth):
        value = {}
        for _ in range(depth):
            value = {"note": value}
        return encoded({**manifest, "lineage": value})

    carried.parse(nested(carried.DEEPEST - 3))
    assert refusal(nested(carried.DEEPEST)) == f"manifest.json is nested more than {carried.DEEPEST} deep"
    assert refusal(nested(900)) == f"manifest.json is nested more than {carried.DEEPEST} deep"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["model", "created", "evidence", "lineage", "files", "x"]), JSON))
def test_no_manifest_raises_anything_but_corrupt(given_manifest):
    with pytest.raises(Corrupt):
        carried.parse(json.dumps(given_manifest).encode())


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_corrupt(data):
    with pytest.raises(Corrupt):
        carried.parse(data)


# --- files


def promise(data):
    return Entry(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


class Counting(io.BytesIO):
    """Gives out pieces of at most 7 bytes."""

    def read(self, size):
        return super().read(min(7, size))


@pytest.mark.parametrize("size", [0, 1, 7, 8, 1000])
def test_what_was_promised_is_taken_and_no_more(size):
    data = bytes(range(256)) * 4
    stream = Counting(data)
    assert carried.take(stream, "x", promise(data[:size])) == data[:size]
    assert stream.tell() == size


def test_what_ends_early_or_differs_is_told():
    with pytest.raises(Corrupt, match=r"^x ends after 3 of 4 bytes$"):
        carried.take(io.BytesIO(b"abc"), "x", promise(b"abcd"))
    with pytest.raises(Corrupt, match=r"^x does not match its SHA-256 sum$"):
        carried.take(io.BytesIO(b"abce"), "x", promise(b"abcd"))


def test_some_json_is_bounded(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b" " * LARGEST_JSON)
    assert len(carried.small_file(path, "x")) == LARGEST_JSON
    path.write_bytes(b" " * (LARGEST_JSON + 1))
    with pytest.raises(Corrupt, match=rf"^x has {LARGEST_JSON + 1:,} bytes; accepted: at most {LARGEST_JSON:,}$"):
        carried.small_file(path, "x")


def test_opening_does_not_leak_descriptors(tmp_path):
    (tmp_path / "x").touch()
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(3):
        with carried.opened(tmp_path / "x", "x"):
            pass
        for wrong in (tmp_path, tmp_path / "nothing"):
            with pytest.raises(Corrupt), carried.opened(wrong, "x"):
                pass
    assert len([*Path("/proc/self/fd").iterdir()]) == before
