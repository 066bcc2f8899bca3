import csv
import io
from functools import partial

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from tailorbird.errors import InvalidInput, NotFound
from training import datasets
from training.config import DataConfig
from training.datasets import own, rows

FLOWERS = "length,width,kind\n1.5,2,rose\n2.5,-3e1,tulip\n3.5,4,rose\n4,5,lily\n5,6,tulip\n6,7,lily\n"


@pytest.fixture
def load(tmp_path):
    def read(text, name="t.csv", **keys):
        """A table of this text, or of these columns as Parquet."""
        path = tmp_path / name
        if isinstance(text, dict):
            parquet.write_table(pyarrow.table(text), path)
        else:
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return datasets.load(DataConfig(name="table", path=str(path), **keys), tmp_path, tmp_path)

    return read


def column(name, values):
    """A table with this label; each row has a number besides, not in order."""
    return "x," + name + "\n" + "".join(f"{number ^ 1},{value}\n" for number, value in enumerate(values))


def test_columns_of_numbers_and_a_label_of_text(load):
    dataset = load(FLOWERS, label="kind")
    assert (dataset.name, dataset.kind, dataset.columns) == ("t", "multiclass", ("length", "width"))
    assert dataset.inputs.dtype == np.float64 and dataset.inputs.tolist()[:2] == [[1.5, 2], [2.5, -30]]
    assert dataset.classes == ("lily", "rose", "tulip") and dataset.targets.tolist() == [1, 2, 1, 0, 2, 0]
    assert dataset.test is None and list(own.problems(dataset)) == []


def test_columns_may_be_chosen_and_ordered(load):
    dataset = load(FLOWERS, label="kind", columns=["width"])
    assert dataset.columns == ("width",) and dataset.inputs[:, 0].tolist() == [2, -30, 4, 5, 6, 7]
    assert load(FLOWERS, label="kind", columns=["width", "length"]).inputs[0].tolist() == [2, 1.5]


def test_the_label_may_stand_anywhere(load):
    dataset = load("k,x\na,1\nb,2\na,3\nb,4\n", label="k")
    assert dataset.columns == ("x",) and dataset.targets.tolist() == [0, 1, 0, 1] and dataset.kind == "binary"


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        ("10 9 10 9", "binary", ("9", "10")),
        ("2.0 1.0 2.0 3.0 1.0 3.0", "multiclass", ("1", "2", "3")),
        ("-1 1 -1 1", "binary", ("-1", "1")),
        ("yes no yes no", "binary", ("no", "yes")),
        ("b 2 10 b 2 10", "multiclass", ("2", "10", "b")),
        ("0.5 1.5 2 3", "regression", ("y",)),
        (" ".join(map(str, range(21))), "regression", ("y",)),
        (" ".join(map(str, [*range(20)] * 2)), "multiclass", tuple(map(str, range(20)))),
    ],
)
def test_the_kind_is_told_by_the_values(load, values, kind, classes):
    dataset = load(column("y", values.split()), label="y")
    assert (dataset.kind, dataset.classes) == (kind, classes)
    if kind == "regression":
        assert dataset.targets.tolist() == [float(value) for value in values.split()]
    else:
        wanted = [value.removesuffix(".0") for value in values.split()]
        assert [dataset.classes[index] for index in dataset.targets] == wanted
    assert list(own.problems(dataset)) == []


def test_the_kind_may_be_said(load):
    numbers = column("y", [1, 2, 1, 2])
    assert load(numbers, label="y", kind="regression").targets.tolist() == [1, 2, 1, 2]
    assert load(numbers, label="y", kind="multiclass").kind == "multiclass"
    many = column("y", [*range(25)] * 2)
    assert len(load(many, label="y", kind="multiclass").classes) == 25


def test_several_labels_are_multilabel(load):
    dataset = load("x,a,b\n1,1,no\n2,0,Yes\n3,true,FALSE\n", label=["b", "a"])
    assert (dataset.kind, dataset.classes, dataset.columns) == ("multilabel", ("b", "a"), ("x",))
    assert dataset.targets.dtype == np.float32 and dataset.targets.tolist() == [[0, 1], [1, 0], [0, 1]]
    assert dataset.targets.flags["C_CONTIGUOUS"] and list(own.problems(dataset)) == []


DIALECTS = {
    "semicolons": FLOWERS.replace(",", ";"),
    "tabs": FLOWERS.replace(",", "\t"),
    "byte order mark": "\ufeff" + FLOWERS,
    "carriage returns": FLOWERS.replace("\n", "\r\n"),
    "quotes": FLOWERS.replace("rose", '"rose"'),
    "UTF-16": FLOWERS.encode("utf-16"),
    "spaces": FLOWERS.replace("1.5", " 1.5 ").replace(",kind", ", kind"),
    "empty lines": FLOWERS + "\n\n",
    "delimiter named": "sep=|\r\n" + FLOWERS.replace(",", "|"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialects_that_spreadsheets_write(load, dialect):
    assert load(DIALECTS[dialect], label="kind").digest() == load(FLOWERS, label="kind").digest()


def test_parquet_is_the_same_table(load):
    kinds = ["rose", "tulip", "rose", "lily", "tulip", "lily"]
    columns = {"length": [1.5, 2.5, 3.5, 4, 5, 6], "width": [2, -30, 4, 5, 6, 7], "kind": kinds}
    assert load(columns, "t.parquet", label="kind").digest() == load(FLOWERS, label="kind").digest()


def test_columns_of_one_name_do_no_harm_where_they_are_not_asked_for(load, tmp_path):
    columns = [pyarrow.array([1.5, 2.5, 3.5, 4.5]), *[pyarrow.array(["s"] * 4)] * 2, pyarrow.array(list("abab"))]
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table(columns, names=["x", "s", "s", "y"]), path)
    read = partial(datasets.load, folder=tmp_path, cache=tmp_path)
    config = DataConfig(name="table", path=str(path), label="y", columns=["x"])
    assert read(config).inputs.tolist() == [[1.5], [2.5], [3.5], [4.5]]
    with pytest.raises(InvalidInput, match="the table has several columns 's'; name each differently"):
        read(config.model_copy(update={"columns": None}))


def test_a_delimiter_at_the_end_of_each_line_is_no_column(load):
    dataset = load("x,y,\n1,a,\n2,b,\n3,a,\n4,b,\n", label="y")
    assert dataset.columns == ("x",)
    assert dataset.notes == ("columns that are empty, or number or name the rows, are not looked at: without a name",)


def test_a_quantity_that_is_the_same_in_all_rows_is_refused(load):
    with pytest.raises(InvalidInput, match=r"has one number only, 5\.5, in column 'y'; accepted: two or more"):
        load(column("y", [5.5] * 8), label="y")


def test_labels_that_were_written_as_python_prints_them_are_noted(load):
    dataset = load("x,y\n1,b'no'\n2,b'yes'\n3,b'no'\n4,b'yes'\n", label="y")
    assert dataset.notes == ("""classes called as Python prints an object, or nothing: "b'no'", "b'yes'\"""",)


def test_booleans_of_parquet(load):
    dataset = load({"x": [1.0, 2.0, 3.0], "y": [True, False, True]}, "t.parquet", label="y")
    assert (dataset.kind, dataset.classes, dataset.targets.tolist()) == ("binary", ("False", "True"), [1, 0, 1])
    of_parquet = load({"x": [True, False, True], "y": list("aba")}, "t.parquet", label="y")
    of_csv = load("x,y\nTrue,a\nfalse,b\nTRUE,a\n", label="y")
    assert of_parquet.inputs[:, 0].tolist() == of_csv.inputs[:, 0].tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("text", "keys", "problem"),
    [
        (FLOWERS.replace("3.5", "three"), {}, r"t.csv: line 4 has 'three' in column 'length', which is not a number"),
        (FLOWERS.replace("3.5", "inf"), {}, r"t.csv: line 4 has 'inf' in column 'length', which is beyond 3.4e\+38"),
        (FLOWERS.replace("3.5", "1e39"), {}, r"t.csv: line 4 has '1e39' in column 'length'"),
        (FLOWERS.replace("3.5", ""), {}, r"t.csv: line 4 has no value in column 'length'"),
        (FLOWERS.replace("3.5", "NaN"), {}, r"t.csv: line 4 has no value in column 'length'"),
        (FLOWERS.replace("lily", " "), {}, r"t.csv: line 5 has no value in column 'kind'"),
        (FLOWERS.replace("3.5,", ""), {}, r"t.csv: line 4 has 2 values for 3 columns"),
        (FLOWERS + 'x,"', {}, r"t.csv: is not CSV"),
        (FLOWERS, {"label": "sort"}, r"data.label: there is no column 'sort'; the columns are length, width, kind"),
        (FLOWERS, {"columns": ["depth"]}, r"data.columns: there is no column 'depth'; the columns are length, wid"),
        (FLOWERS, {"columns": ["width", "kind"]}, r"data.columns: names 'kind', which is the label"),
        (FLOWERS, {"columns": ["width", "width"]}, r"data.columns: names 'width' more than once"),
        (FLOWERS, {"kind": "binary"}, r"data.kind: is binary, but column 'kind' has 3 classes"),
        (FLOWERS, {"kind": "regression"}, r"t.csv: line 2 has 'rose' in column 'kind', which is not a number"),
        (FLOWERS, {"kind": "multilabel"}, r"data.label: must be a list of columns"),
        (FLOWERS, {"label": ["kind"]}, r"t.csv: line 2 has 'rose' in column 'kind'; accepted of several labels"),
        (FLOWERS, {"label": ["kind"], "kind": "binary"}, r"data.kind: must be multilabel for a list of labels"),
        ("kind\na\nb\n", {}, r"data.label: leaves no input columns"),
        ("x,kind\n", {}, r"t.csv: has no rows below its header"),
        ("", {}, r"t.csv: must begin with a line of names"),
        ("x,x,kind\n1,2,a\n", {}, r"data.columns: the table has several columns 'x'; name each differently"),
        ("x,kind\n1,a\ntrue,b\n", {}, r"t.csv: line 3 has 'true' in column 'x', which holds numbers and true or"),
        ("x,kind\n1,a\n2,NA\n", {}, r"t.csv: line 3 has no value in column 'kind' \('NA', a missing value in CSV"),
        ('x,kind\n1,"a\nb"\n2,c\n', {}, r"t.csv: line 3 has 'a\\nb' in column 'kind', which is not a valid class name"),
        ("x,kind\n1,a\u202e\n2,c\n", {}, r"which is not a valid class name: it holds a bidirectional control"),
        (column("kind", "aaaa"), {}, r"t.csv: has only one class, 'a', in column 'kind'"),
        (column("kind", "abcdefgh"), {}, r"data.label: 'kind' has 8 different values in 8 rows, too many for classes"),
        (column("kind", [*range(30), "12a"]), {}, r"t.csv: line 32 has '12a' in column 'kind', which is not a number"),
        (FLOWERS.encode("utf-16")[:-1], {}, r"t.csv: is not complete UTF-16 text"),
        (FLOWERS.replace("rose", "rosé").encode("latin-1"), {}, r"t.csv: line 2 has bytes in column 'kind'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_where_it_stands(load, text, keys, problem):
    with pytest.raises(InvalidInput, match=problem) as refused:
        load(text, **{"label": "kind", **keys})
    assert "\n" not in str(refused.value)


def test_what_is_wrong_in_parquet(load, tmp_path):
    with pytest.raises(InvalidInput, match="row 2 has 'two' in column 'x', which is not a number"):
        load({"x": ["1", "two"], "y": ["a", "b"]}, "t.parquet", label="y")
    with pytest.raises(InvalidInput, match="row 1 has no value in column 'x'"):
        load({"x": [None, 1.0], "y": ["a", "b"]}, "t.parquet", label="y")
    with pytest.raises(InvalidInput, match="row 2 has no value in column 'x'"):
        load({"x": [1.0, float("nan")], "y": ["a", "b"]}, "t.parquet", label="y")
    with pytest.raises(InvalidInput, match=r"t.parquet: is not a complete Parquet file"):
        load(b"PAR1 and no more", "t.parquet", label="y")
    whole = (tmp_path / "t.parquet").write_bytes
    load({"x": [1.0, 2.0], "y": ["a", "b"]}, "t.parquet", label="y")
    whole((tmp_path / "t.parquet").read_bytes()[:-9])
    with pytest.raises(InvalidInput, match="is not a complete Parquet file"):
        datasets.load(DataConfig(name="table", path="t.parquet", label="y"), tmp_path, tmp_path)


def test_where_there_is_no_table(load, tmp_path):
    with pytest.raises(NotFound, match="there is no such file"):
        datasets.load(DataConfig(name="table", path="no.csv", label="y"), tmp_path, tmp_path)
    with pytest.raises(InvalidInput, match=r"must be a table whose name ends in \.csv, .*, or a folder of its parts"):
        load(FLOWERS, "t.xlsx", label="kind")


NUMBERS = st.floats(-1e38, 1e38, allow_nan=False)


@given(rows=st.lists(st.tuples(NUMBERS, st.integers(-(2**20), 2**20), st.sampled_from("abc")), min_size=8, max_size=40))
def test_what_is_written_is_read(rows, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    rows += [(0, 0, "a"), (0, 0, "b")]
    text = io.StringIO()
    csv.writer(text).writerows([("f", "i", "y"), *rows])
    (folder / "h.csv").write_text(text.getvalue())
    made = datasets.load(DataConfig(name="table", path="h.csv", label="y"), folder, folder)
    assert (made.inputs == np.array([row[:2] for row in rows])).all()
    assert [made.classes[target] for target in made.targets] == [row[2] for row in rows]


def test_the_index_that_pandas_writes_is_no_column_unless_it_is_asked_for(tmp_path, load):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1.0, 2, 3, 4], "kind": list("abab")}).sample(frac=1, random_state=0)
    frame.to_parquet(tmp_path / "frame.parquet")
    data = (tmp_path / "frame.parquet").read_bytes()
    assert load(data, "t.parquet", label="kind").columns == ("x",)
    assert load(data, "t.parquet", label="kind", columns=["__index_level_0__"]).inputs.shape == (4, 1)


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["02139", "2139", "00501", "501"], ("501", "2139", "00501", "02139")),
        (["1_0", "10", "1_1", "11"], ("10", "11", "1_0", "1_1")),
        (["1E2", "100", "a", "b"], ("100", "1E2", "a", "b")),
        (["1.0", "2.00", "-3.0", "b"], ("-3", "1", "2", "b")),
        (["05.25", "12.50"], ("05.25", "12.50")),
        (["1234567890123456789", "1234567890123456790"], ("1234567890123456789", "1234567890123456790")),
    ],
    ids=str,
)
def test_labels_are_named_as_they_are_written(load, values, classes):
    dataset = load(column("code", 3 * values), label="code", kind="multiclass")
    assert dataset.classes == classes
    named = [dataset.classes[target] for target in dataset.targets[: len(values)]]
    assert [float(name) if name[-1].isdigit() else name for name in named] == [
        float(value) if value[-1].isdigit() else value for value in values
    ]


def test_whole_numbers_that_no_float_tells_apart_are_classes_of_their_own(load):
    numbers = [1234567890123456789, 1234567890123456790]
    dataset = load({"x": [1.0, 2.0, 3.0, 4.0], "id": 2 * numbers}, "t.parquet", label="id")
    assert dataset.classes == tuple(map(str, numbers))


def test_what_python_alone_takes_for_a_number_is_none(load):
    with pytest.raises(InvalidInput, match="line 3 has '1_000' in column 'x', which is not a number"):
        load("x,kind\n1,a\n1_000,b\n", label="kind")


def test_spaces_behind_commas_are_no_part_of_a_name(load):
    assert load('x, kind\n1, "a"\n2, a\n3, b\n4, "b"\n', label="kind").classes == ("a", "b")


def test_no_number_is_below_nothing(load):
    dataset = load(column("code", ["-0.0", "0.0", "1.0", "0"] * 2), label="code")
    assert (dataset.classes, dataset.kind) == (("0", "1"), "binary")


def test_numbers_with_a_zero_before_them_are_a_quantity(load):
    assert load(column("price", [f"{one:05.2f}" for one in range(5, 65)]), label="price").kind == "regression"


def test_a_slip_among_numbers_is_named_where_codes_are_too(load):
    with pytest.raises(InvalidInput, match="line 123 has 'abc' in column 'code'"):
        load(column("code", ["02139", *range(120), "abc"]), label="code")


def test_forms_of_one_name_are_one_class_and_one_column(load):
    dataset = load(
        column("größe".replace("ö", "o\u0308"), ["Äpfel", "A\u0308pfel", "Birne", "Birne\u00a0"]), label="größe"
    )
    assert (dataset.classes, dataset.targets.tolist()) == (("Birne", "Äpfel"), [1, 1, 0, 0])
    assert load({"x": [1, 2, 3, 4], "y": ["cat", "cat ", " dog", "dog"]}, "t.parquet", label="y").kind == "binary"


def test_names_that_differ_by_case_are_two_classes_and_noted(load):
    dataset = load(column("y", ["TRUE", "True", "no", "no"] * 2), label="y")
    assert dataset.classes == ("TRUE", "True", "no")
    assert dataset.notes == ("different classes whose names look alike: 'TRUE' and 'True'",)


def test_bytes_of_parquet_are_the_text_that_they_are(load):
    columns = {"x": [1, 2], "y": [b"no", b"yes"], "raw": [b"\xff", b"a"]}
    dataset = load(columns, "t.parquet", label="y", columns=["x"])
    assert dataset.classes == ("no", "yes")
    with pytest.raises(InvalidInput, match="column 'raw' holds bytes that are not UTF-8 text"):
        load(columns, "t.parquet", label="raw", columns=["x"])
    coded = pyarrow.array(["b", "a", "b"]).dictionary_encode()
    assert load({"x": [1, 2, 3], "y": coded}, "t.parquet", label="y").classes == ("a", "b")


LATER = pyarrow.array([2**60] * 2, pyarrow.timestamp("us"))  # beyond the year 9999
TYPES = {
    "list<element: string>": [["a", "b"], ["c"]],
    "struct<a: int64>": [{"a": 1}, {"a": 2}],
    r"timestamp\[us\]": LATER,
    r"date32\[day\]": pyarrow.array([1, 2], pyarrow.date32()),
}


@pytest.mark.parametrize("kind", TYPES)
def test_types_that_are_neither_numbers_nor_text_are_refused_where_they_are_asked_for(load, kind):
    columns = {"x": [1, 2], "when": TYPES[kind], "y": ["a", "b"]}
    for keys in ({"label": "when", "columns": ["x"]}, {"label": "y"}):
        with pytest.raises(InvalidInput, match=f"t.parquet: column 'when' is of type {kind}; accepted: numbers, text"):
            load(columns, "t.parquet", **keys)
    assert load(columns, "t.parquet", label="y", columns=["x"]).inputs.tolist() == [[1], [2]]


def test_columns_that_are_not_asked_for_do_no_harm(load):
    long = "x" * 200_000
    text = f"x,caf\xe9,note,note,y\n1,\xe9,{long},,a\n2,\xe9,NA,,b\n".encode("latin-1")
    assert load(text, label="y", columns=["x"]).inputs.tolist() == [[1], [2]]
    with pytest.raises(InvalidInput, match=r"t.csv: has a column 'caf\\udce9', whose name is not UTF-8; save it as"):
        load(text, label="y", columns=["x", "caf\udce9"])
    with pytest.raises(InvalidInput, match=r"the columns are x, caf\\udce9, note, note, y$"):
        load(text, label="kind")
    nested = {"x": [1, 2], "x.y": [3, 4], "y": ["a", "b"], "bad": [[1], [2]]}
    assert load(nested, "t.parquet", label="y", columns=["x"]).inputs.tolist() == [[1], [2]]


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_the_index_that_pandas_writes_into_csv_is_no_column_unless_it_is_asked_for(load, name):
    text = f"{name},x,y\n0,5,a\n1,6,b\n"
    dataset = load(text, label="y")
    assert dataset.columns == ("x",) and dataset.inputs[:, 0].tolist() == [5, 6]
    assert dataset.notes == (
        f"columns that are empty, or number or name the rows, are not looked at: {name or 'without a name'}",
    )
    if name:
        assert load(text, label="y", columns=[name]).inputs[:, 0].tolist() == [0, 1]


@pytest.mark.parametrize("name", ["id", "index"])
def test_a_column_that_numbers_the_rows_is_noted_unless_it_is_asked_for(load, name):
    text = f"{name},x,y\n" + "".join(f"{row + 7},{row * row},{'ba'[row < 15]}\n" for row in range(30))
    note = f"column '{name}' numbers the rows; if it is an index, list the other columns in data.columns"
    assert load(text, label="y").notes == (note,)
    assert load(text, label="y", columns=[name, "x"]).notes == load(text, label="y", columns=["x"]).notes == ()
    assert load(text.replace("36,", "99,"), label="y").notes == ()


def test_what_is_no_text_is_told(load):
    with pytest.raises(InvalidInput, match=r"t\.csv: is no text in UTF-8; save it as CSV in UTF-8, or name it by what"):
        load(b"PK\x03\x04\x14\x00\x00\x00\x08\x00xl/workbook.xml\n", label="y")


def test_a_header_may_hold_other_delimiters_in_quotes(load):
    dataset = load('"price; in €; all","a\nb",y\n1,2,c\n3,4,d\n', label="y", columns=["price; in €; all"])
    assert dataset.inputs[:, 0].tolist() == [1, 3]


def test_what_csv_writes_for_none_is_a_class_of_parquet(load):
    dataset = load({"x": range(8), "y": ["NA", "null", "nan", "n/a"] * 2}, "t.parquet", label="y")
    assert dataset.classes == ("NA", "n/a", "nan", "null")
    with pytest.raises(InvalidInput, match="row 2 has no value in column 'y'"):
        load({"x": [1, 2, 3], "y": ["a", None, "b"]}, "t.parquet", label="y")


def test_many_whole_numbers_may_be_classes_and_that_is_noted(load):
    text = column("sign", [*range(43)] * 3)
    dataset = load(text, label="sign")
    assert (dataset.kind, len(dataset.notes)) == ("regression", 1)
    assert dataset.notes[0].endswith("treated as a quantity; if each is a class, set data.kind: multiclass")
    assert load(text, label="sign", kind="multiclass").classes == tuple(map(str, range(43)))
    assert load(column("price", range(43)), label="price").notes == ()


def test_rows_of_two_classes_are_noted(load):
    dataset = load("x,y\n1,a\n2,b\n1,b\n1,a\n3,a\n", label="y")
    assert dataset.notes == (
        "3 of 5 rows are identical to one of another class, such as line 2 ('a') and line 4 ('b')",
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_parts_of_a_table_in_a_folder_are_one(tmp_path, load, suffix):
    folder = tmp_path / "spark"
    for number, part in enumerate(([1, 2], [3, 4])):
        (folder / f"y=y{number}").mkdir(parents=True)
        path = folder / (f"y=y{number}/part-0{suffix}" if suffix == ".parquet" else f"part-{number}{suffix}")
        if suffix == ".csv":
            path.write_text("x,y\n" + "".join(f"{x},y{number}\n" for x in part))
        else:
            parquet.write_table(pyarrow.table({"x": part}), path)
        path.with_name(f".{path.name}.crc").write_bytes(b"sum")
    (folder / "_SUCCESS").touch()
    made = datasets.load(DataConfig(name="table", path=str(folder), label="y"), tmp_path, tmp_path)
    assert (made.name, made.columns, made.classes) == ("spark", ("x",), ("y0", "y1"))
    assert (made.inputs[:, 0].tolist(), made.targets.tolist()) == ([1, 2, 3, 4], [0, 0, 1, 1])
    (folder / "README.txt").write_text("what it is")
    assert rows.is_table(folder)
    noted = datasets.load(DataConfig(name="table", path=str(folder), label="y"), tmp_path, tmp_path)
    assert noted.digest() == made.digest()
    assert noted.notes == ("files that are not parts of the table were ignored: 'README.txt'",)
    (folder / "more.csv").write_text("other,names\n")
    problem = "holds CSV and Parquet; accepted" if suffix == ".parquet" else "has other columns than"
    with pytest.raises(InvalidInput, match=problem):
        datasets.load(DataConfig(name="table", path=str(folder), label="y"), tmp_path, tmp_path)


@pytest.mark.parametrize("names", [("train.csv", "test.csv"), ("Train/0.csv", "test/0.csv"), ("a.csv", "val.csv")])
def test_splits_of_a_table_do_not_become_one(tmp_path, names):
    for name in names:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text(FLOWERS)
    with pytest.raises(InvalidInput, match=r"is a split, not a part of a table; set data.path to one of them"):
        datasets.load(DataConfig(name="table", path=str(tmp_path / "set"), label="kind"), tmp_path, tmp_path)


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "age"])
def test_an_index_that_tells_something_is_looked_at_and_noted(load, name):
    if name:
        table = pyarrow.table({name: [0.5, 1.5, 2.5], "x": [1, 2, 3], "y": list("aba")})
        about = b'{"index_columns": ["age"], "columns": [], "column_indexes": []}'
        frame = io.BytesIO()
        parquet.write_table(table.replace_schema_metadata({"pandas": about}), frame)
        dataset = load(frame.getvalue(), "t.parquet", label="y")
    else:
        dataset = load(",x,y\n0.5,1,a\n1.5,2,b\n2.5,3,a\n", label="y")
    assert dataset.columns == (name, "x")
    assert dataset.notes[0].startswith(f"column {name!r} has pandas' name of an index and is used")


def test_an_index_of_shuffled_rows_numbers_them(load):
    assert load(",x,y\n3,5,a\n1,6,b\n2,6,b\n", label="y").columns == ("x",)


def test_an_index_of_names_or_dates_is_left_out(load):
    assert load(",x,y\np3,5,a\np1,6,b\np2,6,b\n", label="y").columns == ("x",)
    dates = {"__index_level_0__": pyarrow.array([1, 2], pyarrow.date32()), "x": [1, 2], "y": ["a", "b"]}
    dataset = load(dates, "t.parquet", label="y")
    assert dataset.notes == (
        "columns that are empty, or number or name the rows, are not looked at: __index_level_0__",
    )


def test_metadata_of_pandas_that_are_damaged_are_told(load):
    frame = io.BytesIO()
    parquet.write_table(pyarrow.table({"x": [1, 2], "y": ["a", "b"]}).replace_schema_metadata({"pandas": "{"}), frame)
    with pytest.raises(InvalidInput, match=r"t.parquet: has damaged metadata of pandas; write it again"):
        load(frame.getvalue(), "t.parquet", label="y")


def test_names_of_the_header_may_hold_other_delimiters(load):
    text = "width, outer, cm\theight, cm\tlabel\n1\t2\ta\n3\t4\tb\n"
    assert load(text, "t.tsv", label="label").columns == ("width, outer, cm", "height, cm")


def test_a_header_that_is_no_utf8_is_told(load):
    with pytest.raises(InvalidInput, match=r"t.csv: has a column .* whose name is not UTF-8; save it as UTF-8"):
        load("größe,y\n1,a\n2,b\n".encode("cp1252"), label="y")
