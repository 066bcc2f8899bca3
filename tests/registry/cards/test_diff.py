import json

import pytest
import yaml

from registry.cards import diff
from registry.cards.diff import Images, Pair
from registry.core import Registry
from tailorbird.errors import Corrupt
from tailorbird.package.measurements import Export, Latency, Parity
from tailorbird.shares import standard_error
from tests import packages

BETTER = ((19, 1, 0), (1, 19, 0), (0, 1, 19))


@pytest.fixture
def registry(embedded):
    with Registry(embedded) as opened:
        yield opened


def test_two_versions_that_are_the_same_differ_in_nothing(registry):
    difference = diff.between(registry, packages.register(registry), packages.register(registry))
    assert (difference.a, difference.b) == ("pets:1", "pets:2")
    assert (difference.config, difference.environment, difference.data) == ({}, {}, {})
    assert difference.classes.a == difference.classes.b == ["cat", "dog", "owl"]
    assert all(pair.difference == 0 for pair in difference.metrics.values())
    assert all(pair.difference == 0 for pairs in difference.by_class.values() for pair in pairs.values())
    assert all(pair.difference == 0 for pair in difference.sizes.values())
    assert difference.images == Images(60, 60, 50, 0, 0, 10, 0.0, difference.images.interval, 1.0)


def test_what_they_were_made_of(registry):
    config = {**packages.CONFIG, "optimizer": {"lr": 0.02}, "model": {"family": "cnn"}, "seed": 1}
    second = packages.register(
        registry,
        config_yaml=yaml.safe_dump(config).encode(),
        environment_txt=b"python==3.12.0\nmachine: Linux-7\nray==2.60.0\n",
        lineage={"data": {**packages.DATA, "split_seed": 1}},
    )
    difference = diff.between(registry, packages.register(registry), second)
    assert difference.config == {
        "model.family": Pair("mlp", "cnn"), "model.depth": Pair(2, None), "optimizer.lr": Pair(0.01, 0.02),
        "seed": Pair(None, 1),
    }  # fmt: skip
    assert difference.environment == {
        "python": Pair("3.11.7", "3.12.0"), "machine": Pair("Linux-6", "Linux-7"), "torch": Pair("2.13.0", None),
        "ray": Pair(None, "2.60.0"),
    }  # fmt: skip
    assert difference.data == {"split_seed": Pair(0, 1)}


def test_what_was_measured_of_both(registry):
    export = Export(
        parity=Parity(agreement=0.9995, max_difference=1e-4, samples=60),
        latency=Latency(p50_ms=0.75, p99_ms=2.25, runs=100, threads=1),
    )
    second = packages.register(registry, confusion=BETTER, export=export, model_onnx=b"larger")
    difference = diff.between(registry, packages.register(registry), second)
    differences = {name: pair.difference for name, pair in difference.metrics.items()}
    assert differences == pytest.approx({
        "held_out_accuracy": 7 / 60,
        "held_out_standard_error": standard_error(57 / 60, 60) - standard_error(50 / 60, 60),
            "held_out_samples": 0, "test_accuracy": 7 / 60,
        "test_samples": 0, "calibration_error": 0, "parity_agreement": -0.0005, "parity_max_difference": 1e-4 - 3e-7,
        "latency_p50_ms": 0.25, "latency_p99_ms": 1.0,
    })  # fmt: skip
    assert difference.metrics["held_out_accuracy"] == Pair(50 / 60, 57 / 60)
    assert difference.by_class["owl"] == {"recall": Pair(13 / 20, 19 / 20), "precision": Pair(1.0, 1.0)}
    assert difference.by_class["dog"]["precision"] == Pair(19 / 25, 19 / 21)
    assert difference.sizes["model.onnx"] == Pair(1, 6)


def test_images_that_only_one_gets_right(registry):
    # of the 60 images a gets 18, 19, 20 and 40 to 46 wrong, b gets 19, 39 and 40 wrong
    first, second = (
        packages.register(registry),
        packages.register(registry, confusion=((19, 0, 1), (0, 19, 1), (1, 0, 19))),
    )
    images, back = diff.between(registry, first, second).images, diff.between(registry, second, first).images
    assert images == Images(60, 60, 49, 1, 8, 2, pytest.approx(7 / 60), images.interval, pytest.approx(10 / 2**9))
    low, high = images.interval
    assert low < 7 / 60 < high
    assert back == Images(60, 60, 49, 8, 1, 2, -images.difference, pytest.approx((-high, -low)), images.p)


def test_images_that_both_have_are_compared(registry):
    shifted = packages.register(registry, first=45)
    difference = diff.between(registry, packages.register(registry), shifted)
    # the ids 45 to 59 are of owls in one and of cats in the other: that is not the same image
    assert difference.images == "they were judged on different images"


def test_what_was_not_measured_has_no_difference(registry):
    baseline = json.loads(packages.files()["baseline.json"])
    del baseline["calibration_error"]
    older = packages.register(
        registry,
        export=Export(parity=Parity(agreement=1.0, max_difference=None, samples=60)),
        baseline_json=json.dumps(baseline).encode(),
        lineage={"data": None},
    )
    difference = diff.between(registry, older, packages.register(registry))
    for name in ("calibration_error", "latency_p50_ms", "parity_max_difference"):
        assert difference.metrics[name].a is None and difference.metrics[name].b is not None
        assert difference.metrics[name].difference is None
    assert difference.data["sha256"] == Pair(None, packages.DATA["sha256"])


def test_models_of_different_classes(registry):
    other = packages.register(registry, "birds", classes=("owl", "crow"), confusion=((5, 1), (2, 4)))
    difference = diff.between(registry, packages.register(registry), other)
    assert (difference.a, difference.b) == ("pets:1", "birds:1")
    assert difference.classes == Pair(["cat", "dog", "owl"], ["owl", "crow"])
    assert list(difference.by_class) == ["cat", "dog", "owl", "crow"]
    assert difference.by_class["crow"]["recall"] == Pair(None, 4 / 6)
    assert difference.by_class["owl"]["recall"] == Pair(13 / 20, 5 / 6)


def test_the_record_is_json_without_what_is_not_known(registry):
    older = packages.register(registry, export=Export(parity=packages.PARITY))
    difference = diff.between(registry, older, packages.register(registry, confusion=BETTER))
    record = difference.record()
    again = json.loads(json.dumps(record, allow_nan=False))
    assert again["images"].pop("interval") == list(record["images"].pop("interval"))
    assert again == record
    assert record["metrics"]["latency_p50_ms"] == {"a": None, "b": 0.5}
    assert record["metrics"]["held_out_samples"] == {"a": 60, "b": 60, "difference": 0}
    assert record["by_class"]["owl"]["recall"]["difference"] == pytest.approx(0.3)
    assert record["images"]["only_b"] == difference.images.only_b
    assert record["classes"] == {"a": ["cat", "dog", "owl"], "b": ["cat", "dog", "owl"]}
    apart = diff.between(registry, older, packages.register(registry, first=1000)).record()
    assert apart["images"] == {"problem": "they were judged on different images"}


def test_a_damaged_package_is_named(registry):
    with pytest.raises(Corrupt, match=r"pets:1 has a damaged package: config\.yaml"):
        diff.between(registry, packages.register_unread(registry, config_yaml=b"words"), packages.register(registry))
