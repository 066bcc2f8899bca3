import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from tailorbird.errors import InvalidInput, NotFound
from tailorbird.package.signature import Signature
from tailorbird.prediction import inputs
from tests.packages import IMAGES, ROWS

PICTURES = Signature.of(IMAGES | {"shape": (4, 4)})
CELLS = Signature.of(ROWS | {"columns": ("a", "b")})


def read(files, signature):
    return [reader() for reader in inputs.readers(files, signature, 1_000_000)]


def test_folders_give_their_visible_files_of_the_models_kind(tmp_path):
    for name in ("b.PNG", "a.jpe", "deep/c.webp", "deep/.d.png", ".deep/f.png", "__MACOSX/g.png", "notes.txt", "e.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    selection = inputs.select([tmp_path], PICTURES)
    assert [path.name for path in selection.files] == ["a.jpe", "b.PNG", "c.webp"] and selection.others == 2
    assert [path.name for path in inputs.select([tmp_path], CELLS).files] == ["e.csv", "notes.txt"]


def test_a_file_that_is_named_is_read_whatever_its_name(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "picture.bin", "PNG")
    selection = inputs.select([tmp_path / "picture.bin"], PICTURES)
    assert len(read(selection.files, PICTURES)[0].files) == 1


def test_what_is_not_there_and_folders_without_images_are_refused(tmp_path):
    with pytest.raises(NotFound, match="there is no such file or folder"):
        inputs.select([tmp_path / "nothing"], PICTURES)
    with pytest.raises(InvalidInput, match=r"holds no file whose name ends in \.png"):
        inputs.select([tmp_path], PICTURES)


def test_images_come_in_their_order_and_what_cannot_be_read_with_its_reason(tmp_path):
    for index in range(inputs.IMAGES_AT_ONCE + 3):
        Image.new("L", (9, 5), index).save(tmp_path / f"{index:02}.png")
    (tmp_path / "01.png").write_bytes(b"poem")
    (tmp_path / "02.png").unlink()
    (tmp_path / "02.png").symlink_to("nowhere")
    files = sorted(tmp_path.iterdir())
    first, second = read(files, PICTURES)
    assert first.inputs.shape == (inputs.IMAGES_AT_ONCE - 2, 4, 4) and second.inputs.shape == (3, 4, 4)
    assert first.inputs[:, 0, 0].tolist() == [0, *range(3, inputs.IMAGES_AT_ONCE)]
    assert [failure.source for failure in first.failures] == [str(files[1]), str(files[2])]
    assert first.failures[0].problem == "is not a PNG, JPEG or WebP image"
    assert first.failures[1].problem == "cannot be read: No such file or directory"
    assert inputs.count(files, PICTURES) == first.size + second.size


def test_columns_are_taken_by_name_and_rows_that_are_no_numbers_are_left_out(tmp_path):
    (tmp_path / "t.csv").write_text("b,name,a\n1,x,2\noops,y,3\n5,z,inf\n7,w,8\n")
    (batch,) = read([tmp_path / "t.csv"], CELLS)
    assert batch.inputs.tolist() == [[2, 1], [8, 7]] and batch.rows == ["line 2", "line 5"]
    assert [(failure.source.split(", ")[1], failure.problem) for failure in batch.failures] == [
        ("line 3", "b: is 'oops', which is not a finite number"),
        ("line 4", "a: is 'inf', which is not a finite number"),
    ]


def test_parquet_is_read_too(tmp_path):
    columns = {"a": [1.5, None], "b": [2**53 + 1, 3]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    (batch,) = read([tmp_path / "t.parquet"], CELLS)
    assert batch.inputs.tolist() == [[1.5, float(2**53 + 1)]] and len(batch.failures) == 1
    assert inputs.count([tmp_path / "t.parquet"], CELLS) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,c\n1,2\n", "have no 'b'; they are a, c"),
        ("", "must begin with a line of names, one for each column"),
        ("a,b\n1,2\n3\n", "line 3 has 1 values for 2 columns"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_failure(tmp_path, text, problem):
    (tmp_path / "t.csv").write_text(text)
    failures = [failure for batch in read([tmp_path / "t.csv"], CELLS) for failure in batch.failures]
    assert [failure.problem for failure in failures] == [problem]


def test_without_names_all_columns_are_taken_where_they_are_as_many(tmp_path):
    unnamed = Signature.of(ROWS)
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    assert read([tmp_path / "t.csv"], unnamed)[0].inputs.tolist() == [[1, 2]]
    (tmp_path / "t.csv").write_text("x,y,z\n1,2,3\n")
    (failure,) = read([tmp_path / "t.csv"], unnamed)[0].failures
    assert failure.problem == "are 3; accepted: 2, as the model was trained on"


def test_many_rows_come_in_several_batches(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * (inputs.ROWS_AT_ONCE + 1))
    batches = read([tmp_path / "t.csv"], CELLS)
    assert [len(batch.files) for batch in batches] == [inputs.ROWS_AT_ONCE, 1]
    assert np.unique(np.concatenate([batch.inputs for batch in batches]), axis=0).tolist() == [[1, 2]]
