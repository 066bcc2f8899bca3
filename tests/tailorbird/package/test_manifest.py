import json

import pytest

from tailorbird.errors import Corrupt
from tailorbird.package.manifest import OPTIONAL, REQUIRED, Entry, Manifest
from tests.packages import ABOUT

FILES = {name: Entry(sha256="ab" * 32, size=3) for name in REQUIRED}


def changed(**keys):
    return json.dumps({**Manifest(**dict(ABOUT), files=FILES).record(), **keys}).encode()


def test_what_is_written_is_read():
    manifest = Manifest(**dict(ABOUT), files=FILES)
    assert Manifest.parse(manifest.encode()) == manifest
    assert json.loads(manifest.encode())["lineage"] == {"sweep": "fashion-1"}


def test_its_bytes_do_not_depend_on_the_order_of_the_files():
    backwards = dict(reversed(FILES.items()))
    assert Manifest(**dict(ABOUT), files=FILES).encode() == Manifest(**dict(ABOUT), files=backwards).encode()


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_optional_files_may_be_named(name):
    files = {**FILES, name: Entry(sha256="ab" * 32, size=3)}
    assert Manifest.parse(Manifest(**dict(ABOUT), files=files).encode()).files == files


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "model.pkl", "", "x" * 10**6, "\x1b[2J"])
def test_a_file_that_no_package_has_is_refused(name):
    files = {**{known: entry.record() for known, entry in FILES.items()}, name: {"sha256": "ab" * 32, "size": 3}}
    with pytest.raises(
        Corrupt, match=r"^manifest\.json: files: names '.*', which is not a file of a package"
    ) as refused:
        Manifest.parse(changed(files=files))
    assert len(str(refused.value)) < 200 and str(refused.value).isprintable()


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_every_required_file_must_be_named(name):
    files = {known: entry.record() for known, entry in FILES.items() if known != name}
    with pytest.raises(Corrupt, match=rf"^manifest\.json: files: does not name {name}, which every package has$"):
        Manifest.parse(changed(files=files))


@pytest.mark.parametrize(
    "entry",
    [{}, None, {"sha256": "ab", "size": 3}, {"sha256": "AB" * 32, "size": 3}, {"sha256": "٣" * 64, "size": 3},
     {"sha256": "ab" * 32 + "\n", "size": 3}, {"sha256": "ab" * 32, "size": -1}, {"sha256": "ab" * 32, "size": True}],
)  # fmt: skip
def test_an_entry_is_a_sum_and_a_size(entry):
    files = {**{known: entry.record() for known, entry in FILES.items()}, "model.onnx": entry}
    with pytest.raises(Corrupt, match=r"^manifest\.json: files\.model\.onnx"):
        Manifest.parse(changed(files=files))
