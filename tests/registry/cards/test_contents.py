import pytest

from registry.cards import contents
from registry.cards.contents import Bin
from tailorbird.errors import Corrupt
from tests import packages


def read(registry, **made):
    return contents.read(registry, packages.register(registry, **made))


@pytest.fixture
def settings(embedded):
    return embedded


def test_results_by_class_are_those_of_the_confusion(registry):
    cat, dog, owl = read(registry, confusion=((18, 2, 0), (1, 19, 0), (3, 4, 13))).by_class
    assert (cat.name, cat.support, cat.right, cat.predicted, cat.mistaken) == ("cat", 20, 18, 22, ("dog", 2))
    assert (cat.recall, cat.precision) == (18 / 20, 18 / 22)
    assert dog.mistaken == ("cat", 1)
    assert (owl.mistaken, owl.recall, owl.precision) == (("dog", 4), 13 / 20, 1.0)


def test_a_class_without_images_or_answers_has_no_figures(registry):
    cat, dog, owl = read(registry, confusion=((5, 0, 0), (0, 0, 0), (2, 0, 0))).by_class
    assert (dog.recall, dog.precision, dog.mistaken, cat.mistaken) == (None, None, None, None)
    assert (owl.recall, owl.precision) == (0, None)


def test_confidence_bins_are_summed_over_classes_in_order(registry):
    counted = {
        "dog": {"0.999": {"count": 3, "correct": 3}, "0": {"count": 2, "correct": 1}},
        "cat": {"0.999": {"count": 4, "correct": 2}},
    }
    confusion = ((2, 1, 0), (2, 4, 0), (0, 0, 0))
    assert read(registry, confusion=confusion, bins=counted).bins == (Bin(0.0, 0.4, 2, 1), Bin(0.999, 1.0, 7, 5))


def test_what_files_say(registry):
    content = read(registry)
    assert (content.classes, content.baseline.calibration_error, content.config) == (
        packages.CLASSES,
        0.02,
        packages.CONFIG,
    )
    assert content.config_text.startswith("model:\n  family: mlp\n")
    assert content.environment[0] == "python==3.11.7"
    assert (
        content.sizes["model.onnx"] == 1 and content.sizes["environment.txt"] == len("\n".join(content.environment)) + 1
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("config.yaml", b"just words"),
        ("config.yaml", b"a: &a [*a]"),
        ("config.yaml", b"a: &a {b: 1}\nc: *a"),
        ("config.yaml", b"a: [1"),
        ("config.yaml", b"\xff"),
        ("environment.txt", b"\xff\xfe"),
        ("heldout.npy", b"no array"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named(registry, name, data):
    version = packages.register_unread(registry, **{name.replace(".", "_"): data})
    with pytest.raises(Corrupt, match=f"^{version} has a damaged package: {name}: "):
        contents.read(registry, version)


def test_a_config_runs_nothing(registry, tmp_path):
    version = packages.register_unread(
        registry, config_yaml=f"a: !!python/object/apply:os.mkdir [{tmp_path}/ran]".encode()
    )
    with pytest.raises(Corrupt, match=r"config\.yaml"):
        contents.read(registry, version)
    assert not (tmp_path / "ran").exists()


def test_nested_keys_are_flattened():
    nested = {"a": {"b": 1, "c": {"d": [1, 2]}}, "e": {}, "f": None}
    assert dict(contents.flatten(nested)) == {"a.b": 1, "a.c.d": [1, 2], "e": {}, "f": None}
