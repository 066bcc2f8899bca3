"""How the files of a set are brought to pixels, decided once for all of them, and what is noted of its folders."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tailorbird import images as pixels
from tailorbird.errors import InvalidInput
from training import candidate, datasets, splits
from training.config import DataConfig
from training.datasets import trees

RANDOM = np.random.default_rng(0)


def png(values, **keys):
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG", **keys)
    return buffer.getvalue()


def noise(low=0, high=256, kind=np.uint8, size=(6, 6)):
    return RANDOM.integers(low, high, size).astype(kind)


def ink(grey):
    """A stroke of this grey on nothing."""
    image = np.zeros((6, 6, 4), np.uint8)
    image[RANDOM.integers(0, 4) :, 2:4] = grey, grey, grey, 255
    return image


@pytest.fixture
def load(tmp_path):
    def read(content, suffix="", **keys):
        path = tmp_path / f"set{suffix}"
        if suffix:
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in content.items():
                    archive.writestr(name, data or b"")
        else:
            for name, data in content.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                if data is None:
                    (path / name).mkdir()
                else:
                    (path / name).write_bytes(data)
        return datasets.load(DataConfig(**{"name": "images", "path": str(path), **keys}), tmp_path, tmp_path / "cache")

    return read


def classes(*pictures):
    """Pictures in turn of two classes."""
    return {f"{'ab'[number % 2]}/{number}.png": picture for number, picture in enumerate(pictures)}


@pytest.mark.parametrize(("most", "depth"), [(250, 8), (1023, 10), (4095, 12), (65535, 16)])
def test_the_depth_is_that_of_the_largest_value_of_all(load, most, depth):
    darker = [noise(0, most // 2, np.uint16) for _ in range(5)]
    whole = noise(0, most, np.uint16)
    whole[0, 0] = most
    dataset = load(classes(*map(png, [*darker, whole])))
    assert (dataset.depth, dataset.ground) == (depth, 0)
    assert dataset.inputs.max() == most >> (depth - 8)
    assert (dataset.inputs[0] == darker[0] >> (depth - 8)).all()


def test_values_that_a_file_declares_as_scaled_are_of_all_bits(load):
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"sBIT", b"\x0c")
    raw = [noise(0, 4096, np.uint16) for _ in range(4)]
    dataset = load(classes(*(png(values << 4 | values >> 8, pnginfo=chunks) for values in raw)))
    assert (dataset.inputs == [values >> 4 for values in raw[::2] + raw[1::2]]).all()
    assert dataset.depth == 16 and not any("sBIT" in note for note in dataset.notes)
    dataset = load(classes(*(png(values, pnginfo=chunks) for values in raw)))
    assert any("with an sBIT chunk, use the lower 12, and the upper 8 are read" in note for note in dataset.notes)


def wide(values, kind):
    """A PNG of 16 bits in several channels, which Pillow does not write."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)), (b"IDAT", zlib.compress(rows))]
    sealed = (struct.pack(">I", len(of)) + name + of + struct.pack(">I", zlib.crc32(name + of)) for name, of in chunks)
    return pixels.PNG + b"".join(sealed) + b"\0\0\0\0IEND\xaeB`\x82"


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_of_several_deep_channels_it_is_noted_what_is_lost(load, kind, channels):
    opaque = np.full((6, 6, channels), 65535)
    for most, values in ((1000, 4), (65535, None)):
        opaque[..., : channels - (kind != 2)] = RANDOM.integers(0, most, (6, 6, channels - (kind != 2)))
        opaque[0, 0, 0] = most
        dataset = load(classes(*[wide(np.roll(opaque, turn, 0), kind) for turn in range(4)]))
        notes = [note for note in dataset.notes if "channels" in note]
        assert notes == (
            ["4 images of 16 bits, in several channels or with an sBIT chunk, use the lower 10, and the upper 8 are "
             f"read, so that {values} of 256 values are left of each: save them in 8 bits"] if values else []
        )  # fmt: skip


@pytest.mark.parametrize(("grey", "ground"), [(0, 255), (90, 255), (200, 0), (255, 0)])
def test_the_ground_is_light_under_dark_ink(load, grey, ground):
    dataset = load(classes(*(png(ink(grey)) for _ in range(6)), png(noise())))
    assert (dataset.ground, dataset.inputs[0, 0, 0].tolist()) == (ground, [ground] * 3)
    assert any("transparency over " + ("white" if ground else "black") in note for note in dataset.notes)


def test_the_signature_says_how_and_serving_does_the_same(load):
    files = classes(*(png(noise(0, 4096, np.uint16)) for _ in range(20)), png(ink(0)))
    dataset = load(files)
    signature = candidate.signature(splits.split(dataset, DataConfig(name="images", path="x")), 1.0)
    assert (signature.depth, signature.ground) == (12, 255)
    served = [
        pixels.to_signature(pixels.decode(files[name], 100), signature.shape, signature.depth, signature.ground)
        for name in sorted(files)
    ]
    assert (dataset.inputs == served).all()


def test_images_of_one_value_are_counted_by_class_and_refused_where_most_are(load, tmp_path):
    flat = [png(np.full((6, 6), grey, np.uint8)) for grey in (7, 8, 9)]
    dataset = load(classes(*flat, *(png(noise()) for _ in range(5))))
    assert dataset.notes == ("3 of 8 images have only one pixel value: 'a' 2, 'b' 1",)
    with pytest.raises(InvalidInput, match=r"4 of 5 images whose pixels are all equal, so nothing can be learnt"):
        load({**classes(*flat), "a/3.png": png(ink(0)), "a/4.png": png(ink(255) * 0)}, ".zip")
    assert load(classes(*flat, png(noise())), size=1).shape == (1, 1)


def test_one_image_of_two_classes_is_named(load):
    same = noise()
    dataset = load({"a/1.png": png(same), "b/2.png": png(same, compress_level=0), "b/3.png": png(noise())})
    assert dataset.notes == (
        "2 of 3 images are identical to one of another class, such as a/1.png ('a') and b/2.png ('b')",
    )


def test_folders_below_those_of_classes_are_named_with_counts(load):
    names = ("Village/blight/1", "Village/healthy/2", "Village/healthy/3", "healthy/4", "blight/5")
    dataset = load({f"{name}.png": png(noise()) for name in names})
    assert dataset.classes == ("Village", "blight", "healthy")
    assert dataset.notes[0].startswith("folders inside a class folder were ignored, and their images count for that ")
    assert "'Village' ('blight' 1, 'healthy' 2); if they are the classes, move them up" in dataset.notes[0]


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_what_is_left_out_is_noted_of_a_folder_and_of_an_archive_alike(load, suffix):
    names = ("a/1", "b/2", ".c/3", ".c/x/4", "a/.5", "a/._1", "__MACOSX/a/._1")
    content = {f"{name}.png": png(noise()) for name in names}
    dataset = load({**content, "d/" if suffix else "d": None, ".DS_Store": b"x"}, suffix)
    assert dataset.notes == (
        "folders without images were ignored: 'd'",
        "hidden images, whose path has a name that begins with a dot, were skipped: '.c' (2 of them), 'a/.5.png' (1 "
        "of them)",
    )


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_a_class_of_other_files_alone_is_named_in_a_folder_and_an_archive_alike(load, suffix):
    dataset = load({"a/1.png": png(noise()), "b/2.png": png(noise()), "c/notes.txt": b"x"}, suffix)
    assert dataset.notes[0] == "folders without images were ignored: 'c'"


@pytest.mark.parametrize("kind", ["PNG", "WebP"])
def test_of_animated_images_it_is_noted_that_the_first_picture_is_taken(load, kind):
    first, *others = (Image.fromarray(noise()) for _ in range(3))
    buffer = io.BytesIO()
    first.save(buffer, kind, save_all=True, append_images=others, lossless=True)
    dataset = load({**classes(*(png(noise()) for _ in range(3))), "b/moving.png": buffer.getvalue()})
    assert dataset.notes[0] == "of 1 animated images the first picture is taken: b/moving.png"


class Raw(zipfile.ZipInfo):
    """A member whose name stands in an archive as it is here, Latin-1, and without the flag of UTF-8."""

    def _encodeFilenameFlags(self):  # noqa: N802  # of zipfile
        return self.filename.encode("latin-1"), 0


def test_names_in_an_archive_that_do_not_tell_their_encoding_are_noted(load, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in ("Äpfel/1.png", "Äpfel/2.png", "b/é.png"):
            archive.writestr(Raw(name), png(noise()))
    dataset = load({}, path=str(tmp_path / "set.zip"))
    assert dataset.classes == ("b", "─pfel")
    assert dataset.notes == (
        "names of folders that are not in UTF-8 are read as cp437, as MS-DOS wrote them: '─pfel'; if that is wrong, "
        "pack them again with names in UTF-8",
    )


def test_forms_of_one_name_are_one_class_in_every_part(load):
    names = ("train/Äpfel/1", "train/A\u0308pfel/2", "train/b/1", "test/A\u0308pfel/1", "test/b /1")
    dataset = load({f"{name}.png": png(noise()) for name in names}, ".zip")
    assert (dataset.classes, dataset.targets.tolist(), dataset.test[1].tolist()) == (("b", "Äpfel"), [0, 1, 1], [0, 1])
    assert dataset.notes[0].startswith(
        "folders whose names differ only in form were merged into one class: 'Äpfel' of "
    )


def test_folders_are_sorted_like_the_classes_of_tables(load):
    dataset = load({f"{name}/1.png": png(noise()) for name in ("10", "b", "2", "0", "1")})
    assert dataset.classes == ("0", "1", "2", "10", "b")


def test_a_folder_whose_name_is_no_utf8_is_refused_by_name(load):
    content = {b"caf\xe9/1.png".decode(errors="surrogateescape"): png(noise()), "b/1.png": png(noise())}
    with pytest.raises(
        InvalidInput,
        match=r"has a folder 'caf\\udce9', which is not a valid class name: it holds "
        "bytes",
    ):
        load(content)


def test_of_sizes_that_all_differ_the_median_of_each_side_is_taken(load):
    sides = [(9, 7), (30, 40), (32, 48), (64, 36), (80, 80)]
    assert load(classes(*(png(noise(size=size)) for size in sides))).shape == (32, 40)
    usual = [(9, 7), *[(20, 30)] * 3]
    assert load(classes(*(png(noise(size=size)) for size in usual)), ".zip").shape == (20, 30)


def test_names_that_are_no_utf8_can_be_printed():
    assert trees.shown("caf\udce9 é") == r"caf\udce9 é"
