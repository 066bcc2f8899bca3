import json

from PIL import Image


def test_a_data_set_is_described_with_a_contact_sheet(tailorbird, tmp_path):
    told = tailorbird("data", "digits", "--json", "--out", tmp_path / "sheet.png")
    assert told.returncode == 0, told.stderr
    record = json.loads(told.stdout)
    assert record["shape"] == [8, 8]
    assert record["train"] == 1797 == sum(one["train"] for one in record["counts"].values())
    assert len(record["sha256"]) == 64
    assert Image.open(tmp_path / "sheet.png").width > 300


def test_an_unknown_data_set_is_refused_with_those_that_are_known(tailorbird):
    told = tailorbird("data", "imagenet")
    assert told.returncode == 2
    assert told.stderr == "error: name: must be 'digits', 'fashion_mnist' or 'mnist', not 'imagenet'\n"


def test_a_download_that_cannot_be_had_is_told(tailorbird, tmp_path):
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    told = tailorbird("data", "mnist", **nowhere)
    assert told.returncode == 1
    assert "cannot be downloaded" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_truncated_file_is_named(tailorbird, tmp_path):
    folder = tmp_path / "home" / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte").write_bytes(b"\x00\x00\x08\x03\x00\x00")
    told = tailorbird("data", "mnist")
    assert told.returncode == 2
    assert "train-images-idx3-ubyte: is no whole IDX file" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_sheet_that_cannot_be_written_is_told(tailorbird):
    told = tailorbird("data", "digits", "--out", "/proc/sheet.png")
    assert told.returncode == 2
    assert told.stderr.startswith("error: --out: /proc/sheet.png cannot be written")
