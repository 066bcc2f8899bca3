import csv

import numpy as np
import pytest
from PIL import Image

from registry import feedback, inputs, schema, versions
from registry.core import Registry
from registry.feedback import Feedback
from registry.inputs import Input
from tailorbird import kept
from tailorbird.commands.data import data
from tailorbird.errors import InvalidInput, NotFound
from tailorbird.package.lineage import Lineage
from tailorbird.package.measurements import Export, Parity
from tailorbird.settings import Settings
from tests.serving.conftest import Toy


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry with a model of images of 2x3 pixels, `demo`, and one of two columns, `table`."""
    monkeypatch.setenv("TAILORBIRD_HOME", str(tmp_path / "home"))
    export = Export(parity=Parity(agreement=1.0, max_difference=1e-7, samples=800))
    with Registry(Settings(_env_file=None, home=tmp_path / "home")) as registry:
        for name, shape in (("demo", (2, 3)), ("table", (2,))):
            files = Toy.make(shape, ("a", "b", "c")).files()
            versions.register(registry, name, files, export, Lineage(), "tester")
        yield registry


def keep(registry, model, examples, labels):
    rows = [Input(f"{index:032}", model, 1, example.tobytes()) for index, example in enumerate(examples)]
    inputs.keep(registry, rows, most=100, days=1)
    feedback.record(
        registry,
        [
            Feedback(f"{index:032}", model, 1, "a", "0.9", label, schema.now())
            for index, label in enumerate(labels)
            if label
        ],
    )


def test_images_by_class(registry, tmp_path):
    images = np.arange(18, dtype=np.uint8).reshape(3, 2, 3)
    keep(registry, "demo", images, ["a", None, "b"])
    assert kept.write(registry, "demo", tmp_path / "out") == {"a": 1, "b": 1}
    result = {path.parent.name: np.asarray(Image.open(path)) for path in (tmp_path / "out").rglob("*.png")}
    assert sorted(result) == ["a", "b"]
    assert np.array_equal(result["a"], images[0])
    assert np.array_equal(result["b"], images[2])


def test_rows_of_a_table(registry, tmp_path):
    keep(registry, "table", np.array([[0.1, 2], [3, 4]]), ["c", "a"])
    kept.write(registry, "table", tmp_path / "out")
    with (tmp_path / "out" / "rows.csv").open() as file:
        assert list(csv.reader(file)) == [["column 0", "column 1", "label"], ["0.1", "2.0", "c"], ["3.0", "4.0", "a"]]


def test_nothing_is_written_over(registry, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=r"^--out: .* already exists"):
        kept.write(registry, "demo", tmp_path)
    with pytest.raises(NotFound, match="no labelled inputs of demo are stored"):
        kept.write(registry, "demo", tmp_path / "out")


def test_the_command(registry, tmp_path, capsys):
    options = {"label": None, "size": None, "colour": None, "skip_broken": False, "as_json": False}
    keep(registry, "demo", np.zeros((2, 2, 3), np.uint8), ["a", "a"])
    data("feedback:demo", out=tmp_path / "out", forget=False, **options)
    assert capsys.readouterr().out.startswith("a: 2\ndata set: ")
    data("feedback:demo", out=None, forget=True, **options)
    assert capsys.readouterr().out == "deleted: 2\n"
    with pytest.raises(InvalidInput, match="requires --out DIR"):
        data("feedback:demo", out=None, forget=False, **options)
