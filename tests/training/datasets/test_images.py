import io
import random
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailorbird import images as pixels
from tailorbird.errors import InvalidInput
from training import datasets
from training.config import DataConfig
from training.datasets import decoding, images, trees
from training.datasets.survey import Survey


def picture(seed, size=(8, 6), mode="RGB", form="PNG", **keys):
    """The bytes of a picture of noise; `size` is width and height."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise, "RGBA").convert(mode).save(buffer, form, **keys)
    return buffer.getvalue()


def tree(root, content):
    for name, data in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def packed(path, content):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, f"w:{path.suffix[1:].replace('tar', '')}") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def load(tmp_path):
    def read(path, **keys):
        config = DataConfig(name="images", path=str(path), **keys)
        return datasets.load(config, tmp_path, tmp_path / "cache")

    return read


def pets(around="", parts=("train/", "test/"), count=3):
    """Images of three classes, by name; in each part each differs."""
    return {
        f"{around}{part}{label}/{number}.png": picture(abs(hash((part, label, number))))
        for part in parts
        for label in ("cat", "dog", "cow")
        for number in range(count)
    }


def expected(content, part=""):
    """Inputs and targets as they should come: by class, then by name."""
    names = sorted(name for name in content if part in name)
    inputs = np.stack([np.asarray(Image.open(io.BytesIO(content[name]))) for name in names])
    classes = ("cat", "cow", "dog")
    return inputs, [classes.index(name.split("/")[-2]) for name in names]


@pytest.mark.parametrize("around", ["", "pets/", "a/b/"])
@pytest.mark.parametrize("suffix", ["", ".zip", ".tar", ".tar.gz", ".tar.xz"])
def test_a_tree_is_the_same_set_in_any_form_and_order(tmp_path, load, suffix, around):
    content = pets(around)
    names = list(content)
    random.Random(1).shuffle(names)
    shuffled = {name: content[name] for name in names}
    path = tmp_path / f"set{suffix}"
    dataset = load(packed(path, shuffled) if suffix else tree(path, shuffled))
    assert (dataset.name, dataset.classes, dataset.kind, dataset.notes) == (
        "set",
        ("cat", "cow", "dog"),
        "multiclass",
        (),
    )
    for (inputs, targets), part in (((dataset.inputs, dataset.targets), "train/"), (dataset.test, "test/")):
        pictures, indices = expected(content, part)
        assert (inputs == pictures).all() and targets.tolist() == indices and targets.dtype == np.int64


def test_without_parts_all_is_trained_on(tmp_path, load):
    content = pets(parts=("",))
    dataset = load(tree(tmp_path / "set", content))
    pictures, indices = expected(content)
    assert dataset.test is None and (dataset.inputs == pictures).all() and dataset.targets.tolist() == indices


@pytest.mark.parametrize("suffix", ["", ".tar.gz"])
def test_a_validation_split_may_lie_beside_train(tmp_path, load, suffix):
    content = pets(parts=("train/", "val/"))
    dataset = load(packed(tmp_path / "set.tar.gz", content) if suffix else tree(tmp_path / "set", content))
    pictures, indices = expected(content, "val/")
    assert (dataset.validation[0] == pictures).all() and dataset.validation[1].tolist() == indices
    assert len(dataset.inputs) == 9 and dataset.test is None


def test_a_path_may_lie_below_the_folder_of_data_sets(tmp_path, load):
    tree(tmp_path / "below" / "set", pets())
    assert len(load("below/set").inputs) == 9


def test_two_classes_are_binary_and_deeper_folders_belong_to_theirs(tmp_path, load):
    dataset = load(tree(tmp_path / "set", {"no/deep/er/1.png": picture(1), "yes/2.png": picture(2)}))
    assert (dataset.kind, dataset.classes, dataset.targets.tolist()) == ("binary", ("no", "yes"), [0, 1])


def test_what_is_no_picture_is_not_looked_at(tmp_path, load):
    content = pets() | {"README.md": b"words", "train/labels.csv": b"a,b", "train/cat/notes.txt": b"words"}
    assert len(load(tree(tmp_path / "set", content)).inputs) == 9


def test_they_are_decoded_once_and_again_when_a_file_changes(tmp_path, load, monkeypatch):
    root = tree(tmp_path / "set", pets())
    before = load(root)
    monkeypatch.setattr(images, "_make", lambda *_: pytest.fail("decodes what is decoded"))
    assert load(root).digest() == before.digest()
    monkeypatch.undo()
    (root / "train" / "cat" / "1.png").write_bytes(picture(99))
    after = load(root)
    assert (after.inputs != before.inputs).any((1, 2, 3)).tolist() == [False, True] + 7 * [False]
    assert load(root, size=4).shape == (4, 4, 3)
    assert load(root, colour=False).shape == (6, 8)


def test_sizes_and_modes_are_brought_to_the_commonest_by_the_rule_of_serving(tmp_path, load):
    content = {
        "a/1.png": picture(1),
        "a/2.jpg": picture(2, form="JPEG"),
        "a/3.png": picture(3, (16, 16)),
        "a/4.webp": picture(4, form="WEBP", lossless=True),
        "b/1.png": picture(5, mode="L"),
        "b/2.png": picture(6, mode="RGBA"),
        "b/3.png": picture(7, (3, 2), mode="P"),
    }
    dataset = load(tree(tmp_path / "set", content))
    assert dataset.shape == (6, 8, 3)
    for array, data in zip(dataset.inputs, content.values(), strict=True):
        assert (
            array == pixels.to_signature(pixels.decode(data, 10**6), (6, 8, 3), dataset.depth, dataset.ground)
        ).all()
    assert dataset.notes == (
        "2 of 7 images were resized to 6x8 pixels, ignoring their proportions",
        "3 of 7 images were converted to 8-bit colour, transparency over white",
    )


def test_grey_images_stay_grey(tmp_path, load):
    content = {f"{label}/{n}.png": picture(n, mode="L") for n, label in enumerate("aabb")}
    dataset = load(tree(tmp_path / "set", content))
    assert dataset.shape == (6, 8) and dataset.notes == ()


def test_one_image_of_colour_makes_a_set_of_colour(tmp_path, load):
    content = {f"{label}/{n}.png": picture(n, mode="RGB" if n == 1 else "L") for n, label in enumerate("aabb")}
    dataset = load(tree(tmp_path / "set", content))
    assert dataset.shape == (6, 8, 3) and dataset.notes[0].startswith("3 of 4 images were converted to 8-bit colour")


def test_grey_and_size_may_be_asked_for(tmp_path, load):
    dataset = load(tree(tmp_path / "set", pets()), size=(5, 4), colour=False)
    assert dataset.shape == (5, 4)
    assert [note.split(" images")[0] for note in dataset.notes] == ["18 of 18", "18 of 18"]


def test_an_image_that_lies_on_its_side_counts_as_it_stands(tmp_path, load):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = {f"{label}/{n}.jpg": picture(n, form="JPEG", exif=exif) for n, label in enumerate("aabb")}
    dataset = load(tree(tmp_path / "set", content))
    assert dataset.shape == (8, 6, 3) and dataset.notes == ()


BROKEN = {
    "train/cat/empty.png": (b"", "is not a PNG, JPEG or WebP image"),
    "train/cow/cut.jpg": (picture(1, (64, 64), form="JPEG")[:700], "cannot be decoded"),
    "test/dog/words.png": (b"no picture", "is not a PNG, JPEG or WebP image"),
    "train/cat/old.bmp": (picture(1, form="BMP"), "is not a PNG, JPEG or WebP image"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("suffix", ["", ".zip", ".tar"])
def test_what_cannot_be_read_is_named_or_left_out(tmp_path, load, suffix, name):
    data, problem = BROKEN[name]
    content = {name: data, **pets()}
    path = tmp_path / f"set{suffix}"
    root = packed(path, content) if suffix else tree(path, content)
    with pytest.raises(
        InvalidInput, match=f"1 of 19 images cannot be read: {name} .*{problem}.*skip_broken"
    ) as refused:
        load(root)
    assert refused.value.field == str(root) and "\n" not in str(refused.value)
    dataset = load(root, skip_broken=True)
    for (inputs, targets), part in (((dataset.inputs, dataset.targets), "train/"), (dataset.test, "test/")):
        pictures, indices = expected(pets(), part)
        assert (inputs == pictures).all() and targets.tolist() == indices
    assert dataset.notes[-1].startswith(f"1 of 19 images cannot be read and were skipped: {name} (")


def test_folders_without_an_image_are_noted(tmp_path, load):
    root = tree(tmp_path / "set", pets() | {"train/gnu/note.txt": b"none yet", "train/.cache/x.txt": b""})
    (root / "train" / "fox").mkdir()
    dataset = load(root)
    assert dataset.classes == load(tree(tmp_path / "other", pets())).classes
    assert dataset.notes[0] == "folders without images were ignored: 'train/fox', 'train/gnu'"


def test_many_are_counted_and_the_first_named(tmp_path, load):
    content = pets() | {f"train/cat/x{number}.png": b"" for number in range(1234)}
    with pytest.raises(InvalidInput, match="1,234 of 1,252 images") as refused:
        load(tree(tmp_path / "set", content))
    assert "x0.png" in str(refused.value) and " and 1,184 more; " in str(refused.value)
    assert str(refused.value).count(".png") == 50


def test_a_file_without_permission_is_named(tmp_path, load, monkeypatch):
    root = tree(tmp_path / "set", pets())
    read = trees.File.read

    def refuse(file):  # not by its mode: the tests may run as root, who may read every file
        if file.name == "train/cat/1.png":
            raise PermissionError(13, "Permission denied")
        return read(file)

    monkeypatch.setattr(trees.File, "read", refuse)
    with pytest.raises(InvalidInput, match=r"1\.png .Permission denied"):
        load(root)


def test_an_image_of_too_many_pixels_is_not_decoded(tmp_path, load, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_PIXELS", 100)
    content = pets() | {"train/cat/large.png": picture(1, (11, 10))}
    with pytest.raises(
        InvalidInput, match=r"1 of 19 images cannot be read: train/cat/large\.png .*over the limit of 100"
    ):
        load(tree(tmp_path / "set", content))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "contains no images and no other files"),
        ({".a/1.png": 1, "b/.c/1.png": 1}, r"contains no images, only hidden ones in '\.a', 'b/\.c'; accepted"),
        ({"train/cat/1.txt": b"", "a.csv": b"", "b.csv": b""}, r"contains no images, only 2 of \.csv, 1 of \.txt"),
        ({"cat/1.png": 1, "cat/2.png": 2}, "has only one class, 'cat'"),
        ({"cat/1.png": b"", "dog/1.png": b"x"}, r"none of them can be read: cat/1.png \(is not a PNG, JPEG"),
    ],
)
def test_a_tree_that_is_no_set_is_told_in_one_sentence(tmp_path, load, content, problem):
    (tmp_path / "set").mkdir()
    content = {name: picture(data) if isinstance(data, int) else data for name, data in content.items()}
    with pytest.raises(InvalidInput, match=problem) as refused:
        load(tree(tmp_path / "set", content))
    assert refused.value.field == str(tmp_path / "set") and "\n" not in str(refused.value)
    assert not [
        path
        for path in (tmp_path / "cache").rglob("*")
        if path.suffix not in (".lock", ".locked") and path.name != "datasets"
    ]


def test_a_class_that_is_left_with_nothing_is_told(tmp_path, load):
    content = {"cat/1.png": picture(1), "cow/1.png": picture(2), "dog/1.png": b"broken"}
    root = tree(tmp_path / "set", content)
    with pytest.raises(InvalidInput, match="has no readable images in 'train' of 'dog'"):
        load(root, skip_broken=True)


def test_a_name_that_comes_twice_is_refused(tmp_path, load):
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        for name in ("cat/1.png", "dog/1.png", "cat/1.png"):
            member = tarfile.TarInfo(name)
            member.size = len(picture(1))
            archive.addfile(member, io.BytesIO(picture(1)))
    with pytest.raises(InvalidInput, match=r"holds 'cat/1\.png' more than once"):
        load(tmp_path / "set.tar")


def test_a_tree_that_changes_under_way_is_told(tmp_path, load, monkeypatch):
    root = tree(tmp_path / "set", pets())
    surveyed = Survey.of

    def survey_and_lose(*given):
        survey = surveyed(*given)
        (root / "train" / "cow" / "1.png").unlink()
        return survey

    monkeypatch.setattr(Survey, "of", survey_and_lose)
    with pytest.raises(InvalidInput, match="was changed while it was read"):
        load(root)


def test_more_than_a_batch_keep_their_places(tmp_path, load, monkeypatch):
    monkeypatch.setattr(decoding, "BATCH_FILES", 2)
    monkeypatch.setattr(decoding, "BATCH_BYTES", 500)
    content = pets(count=20)
    dataset = load(packed(tmp_path / "set.zip", content))
    pictures, indices = expected(content, "train/")
    assert (dataset.inputs == pictures).all() and dataset.targets.tolist() == indices


def test_it_can_be_dealt_and_digested_like_what_lies_in_memory(tmp_path, load):
    from training import splits

    dataset = load(tree(tmp_path / "set", pets(count=10)))
    held = replace(dataset, inputs=np.array(dataset.inputs), test=tuple(map(np.array, dataset.test)))
    assert held.digest() == dataset.digest()
    config = DataConfig(name="digits", validation=5, holdout=5)
    one, other = splits.split(dataset, config), splits.split(held, config)
    assert (one.train.places == other.train.places).all() and (one.train.ids == other.train.ids).all()


def test_the_title_is_the_name_without_what_it_is_packed_in(tmp_path, load):
    assert load(packed(tmp_path / "my.pets.zip", pets())).name == "my.pets"
    assert images._title(Path("/a/cifar10.tar.xz")) == "cifar10"


def test_files_that_are_left_out_are_noted(tmp_path, load):
    root = tree(tmp_path / "set", pets() | {"train/cat/a": b"", "train/cat/b": b"", "readme.txt": b""})
    assert load(root).notes[-1] == (
        "files without a suffix of PNG, JPEG or WebP were skipped: 2 of no suffix, 1 of .txt"
    )


def test_a_link_that_leads_nowhere_is_a_file_that_cannot_be_read(tmp_path, load):
    root = tree(tmp_path / "set", pets())
    (root / "train" / "cat" / "gone.png").symlink_to(tmp_path / "elsewhere.png")
    (root / "train" / "cat" / "zeros.png").symlink_to("/dev/zero")
    with pytest.raises(InvalidInput, match=r"1 of 19 images .*train/cat/gone\.png .*No such file"):
        load(root)
    assert len(load(root, skip_broken=True).inputs) == len(load(tree(tmp_path / "whole", pets())).inputs)


@pytest.mark.parametrize("path", ["~nobody-of-that-name/a.zip", "x" * 300])
def test_a_path_that_cannot_be_is_told(load, path):
    with pytest.raises(InvalidInput, match=r"^data\.path: .* cannot be resolved: "):
        load(path)
