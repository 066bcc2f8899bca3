import pytest

from tailorbird import yaml_files
from tailorbird.errors import InvalidInput, NotFound


def test_a_file_is_read(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("data: {name: digits}\nmodel: {family: mlp}\noptimizer: {lr: 3e-4}\n")
    assert yaml_files.read(file, "epochs: 5")["optimizer"] == {"lr": 3e-4}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"epochs: [1, 2", "is not YAML: while parsing a flow sequence"),
        (b"epochs: 5\n\tseed: 1", "is not YAML"),
        (b"!!python/object/apply:os.system [true]", "is not YAML: could not determine a constructor"),
        (b"\xff\xfe\x00\x01epochs: 5", "is not YAML"),
        (b"\x80epochs: 5", "is not YAML"),
        (b"day: 2026-13-01", "is not YAML: month must be in 1..12"),
        (b"[" * 10_000, "is not YAML"),
        (b"- epochs", "must be a mapping, as in `epochs: 5`"),
        (b"epochs", "must be a mapping"),
        (b"", "must be a mapping"),
    ],
    ids=range(10),
)
def test_a_file_that_is_no_yaml_mapping_is_refused_by_name_in_one_line(tmp_path, content, problem):
    file = tmp_path / "run.yaml"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=problem) as refused:
        yaml_files.read(file, "epochs: 5")
    assert refused.value.field == str(file)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_is_a_folder_is_refused_by_name(tmp_path):
    with pytest.raises(NotFound, match=f"{tmp_path}/run.yaml: there is no such file"):
        yaml_files.read(tmp_path / "run.yaml", "epochs: 5")
    with pytest.raises(InvalidInput, match=f"{tmp_path}: cannot be read: Is a directory"):
        yaml_files.read(tmp_path, "epochs: 5")


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("epochs: 5\noptimizer: {name: sgd}\noptimizer: {lr: 0.1}\n")
    with pytest.raises(InvalidInput, match=r"is not YAML: 'optimizer' is given twice"):
        yaml_files.read(path, "epochs: 5")
    path.write_text("base: &base {lr: 0.1}\noptimizer: {<<: *base, lr: 0.2}\n")
    assert yaml_files.read(path, "epochs: 5")["optimizer"] == {"lr": 0.2}
    path.write_text("a: {b: &b {<<: {lr: 0.1}, lr: 0.2}}\noptimizer: {<<: *b, momentum: 0.9}\n")
    assert yaml_files.read(path, "epochs: 5")["optimizer"] == {"lr": 0.2, "momentum": 0.9}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10), ("-3", -3), ("+3", 3), ("0", 0), ("1e-3", 1e-3), ("1.5e3", 1500.0), ("1.", 1.0), (".5", 0.5),
        ("-2.50", -2.5), (".inf", float("inf")), ("-.inf", float("-inf")), ("010", "010"), ("1_000", "1_000"),
        ("1:30", "1:30"), ("0x1F", "0x1F"), ("0b11", "0b11"), ("1:30.5", "1:30.5"), ("1e", "1e"), (".", "."),
    ],
)  # fmt: skip
def test_numbers_are_as_everyone_reads_them(text, value):
    assert (yaml_files.value(text), type(yaml_files.value(text))) == (value, type(value))
