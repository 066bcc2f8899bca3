import json
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from training.config import Published


def test_a_data_set_is_described_with_a_contact_sheet(tailorbird, tmp_path):
    result = tailorbird("data", "digits", "--json", "--out", tmp_path / "sheet.png")
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert record["shape"] == [8, 8]
    assert record["train"] == 1797 == sum(one["train"] for one in record["counts"].values())
    assert len(record["sha256"]) == 64
    assert Image.open(tmp_path / "sheet.png").width > 300


def test_an_unknown_data_set_is_refused_with_those_that_are_known(tailorbird):
    result = tailorbird("data", "imagenet")
    assert result.returncode == 2
    assert result.stderr.startswith(
        "error: NAME|PATH: 'imagenet' is neither a data set nor a file or folder, here or in "
    )
    assert result.stderr.endswith("; data sets: " + ", ".join(get_args(Published)) + "\n")


def test_a_path_where_nothing_is_is_told(tailorbird, tmp_path):
    result = tailorbird("data", "my/pets")
    assert result.returncode == 2
    assert f"'my/pets' is neither a data set nor a file or folder, here or in {tmp_path}/home/data" in result.stderr


def pets(folder, mode="RGB"):
    for number, label in enumerate(("cat", "cat", "dog", "dog", "cow")):
        (folder / label).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(noise).convert(mode).save(folder / label / f"{number}.png")
    return folder


@pytest.mark.parametrize("where", ["", "home/data/"])
def test_a_folder_of_images_is_described_by_its_path(tailorbird, tmp_path, where):
    pets(tmp_path / where / "pets")
    result = tailorbird("data", "pets", "--json", "--out", tmp_path / "sheet.png")
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert (record["name"], record["shape"], record["classes"]) == ("pets", [6, 8, 3], ["cat", "cow", "dog"])
    assert Image.open(tmp_path / "sheet.png").width > 300
    assert [path.suffix for path in (tmp_path / "home" / "cache" / "datasets").iterdir()].count("") == 1


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (["--size", "4"], [4, 4, 3]),
        (["--size", "4x5"], [4, 5, 3]),
        (["--grey"], [6, 8]),
        (["--colour", "--size=2"], [2, 2, 3]),
    ],
)
def test_images_are_brought_to_what_is_asked_for(tailorbird, tmp_path, options, shape):
    pets(tmp_path / "pets")
    result = tailorbird("data", tmp_path / "pets", "--json", *options)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["shape"] == shape


@pytest.mark.parametrize("size", ["x", "4x", "-4", "4x5x6", "4.5", "", "100000", "0", "0x5", "5x0"])
def test_a_size_that_is_none_is_refused(tailorbird, tmp_path, size):
    result = tailorbird("data", pets(tmp_path / "pets"), f"--size={size}")
    assert result.returncode == 2
    accepted = "must be SIDE or HEIGHTxWIDTH from 1 to 99999, as in 32 or 48x64"
    assert result.stderr == f"error: --size: {accepted}, not {size!r}\n"


def test_images_that_cannot_be_read_are_left_out_where_that_is_asked_for(tailorbird, tmp_path):
    (pets(tmp_path / "pets") / "cat" / "bad.png").write_bytes(b"no picture")
    result = tailorbird("data", tmp_path / "pets")
    assert result.returncode == 2
    assert "1 of 6 images cannot be read: cat/bad.png (is not a PNG, JPEG or WebP image)" in result.stderr
    result = tailorbird("data", tmp_path / "pets", "--skip-broken")
    assert result.returncode == 0, result.stderr
    assert "1 of 6 images cannot be read and were skipped: cat/bad.png" in result.stdout


ROWS = "a,b,y,z\n" + "".join(f"{n},{n * n},{'no' if n % 3 else 'yes'},{n % 2}\n" for n in range(30))


@pytest.mark.parametrize(
    ("labels", "kind", "shown"),
    [(["y"], "binary", "yes"), (["a"], "regression", "mean"), (["y", "z"], "multilabel", "z")],
)
def test_a_table_is_described_by_its_label(tailorbird, tmp_path, labels, kind, shown):
    text = ROWS if kind == "multilabel" else ROWS.replace("no", "0").replace("yes", "1")
    (tmp_path / "t.csv").write_text(text)
    result = tailorbird("data", "t.csv", *(f"--label={label}" for label in labels), "--out", tmp_path / "scatter.png")
    assert result.returncode == 0, result.stderr
    assert f"float64, {kind}" in " ".join(result.stdout.split()) and "scatter matrix: " in result.stdout
    assert (shown if kind != "binary" else "1") in result.stdout and "columns: " in result.stdout
    assert Image.open(tmp_path / "scatter.png").width > 300


def test_a_table_without_a_label_is_asked_for_one(tailorbird, tmp_path):
    (tmp_path / "t.csv").write_text(ROWS)
    result = tailorbird("data", "t.csv")
    assert result.returncode == 2
    assert "data.label: is required: the column to predict (--label)" in result.stderr


def test_an_option_of_another_kind_of_data_is_refused(tailorbird):
    result = tailorbird("data", "digits", "--size", "4")
    assert result.returncode == 2
    assert result.stderr == "error: digits: size applies only to images, not to digits\n"


def test_a_download_that_cannot_be_had_is_told(tailorbird, tmp_path):
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    result = tailorbird("data", "mnist", **nowhere)
    assert result.returncode == 1
    assert "cannot be downloaded" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_truncated_file_is_named(tailorbird, tmp_path):
    folder = tmp_path / "home" / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte").write_bytes(b"\x00\x00\x08\x03\x00\x00")
    result = tailorbird("data", "mnist")
    assert result.returncode == 2
    assert "train-images-idx3-ubyte: is not a complete IDX file" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_sheet_that_cannot_be_written_is_told(tailorbird):
    result = tailorbird("data", "digits", "--out", "/proc/sheet.png")
    assert result.returncode == 1
    assert result.stderr.startswith("error: /proc/sheet.png cannot be written")


def test_names_of_classes_are_no_markup(tailorbird, tmp_path):
    rows = [f"{number},{'[/b]' if number % 2 else '[bold] cat'}" for number in range(40)]
    (tmp_path / "pets.csv").write_text("\n".join(["size,kind", *rows]))
    result = tailorbird("data", tmp_path / "pets.csv", "--label", "kind")
    assert result.returncode == 0, result.stderr
    assert "[/b]" in result.stdout and "[bold] cat" in result.stdout


def test_one_image_is_written_with_what_it_is_of(tailorbird, tmp_path):
    result = tailorbird("data", "digits", "--image", "3", "--out", tmp_path / "three.png")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "three.png") as image:
        assert (image.size, image.mode) == ((8, 8), "L")
    assert result.stdout == f"3: {tmp_path / 'three.png'}\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["digits", "--image", "1797", "--out", "x.png"], "--image: there is no image 1797; accepted: 0 to 1796"),
        (["digits", "--image", "0"], "--out: is required: the file to write the image to"),
        (["iris", "--image", "0", "--out", "x.png"], "--image: applies only to images; iris is a table"),
    ],
)
def test_an_image_that_there_is_not_is_refused(tailorbird, words, reason):
    refused = tailorbird("data", *words)
    assert refused.returncode == 2
    assert reason in refused.stderr
