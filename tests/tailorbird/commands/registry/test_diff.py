import json
import re

import pytest
import yaml

from registry.core import Registry
from tailorbird.package.measurements import Export
from tailorbird.settings import Settings
from tests import packages

BETTER = ((19, 1, 0), (1, 19, 0), (0, 1, 19))


@pytest.fixture
def registered(tmp_path):
    """pets:1; pets:2, which is better; pets:3 without labels and latency; birds:1 of classes with evil names."""
    with Registry(Settings(home=tmp_path / "home", _env_file=None)) as registry:
        packages.register(registry)
        config = yaml.safe_dump({**packages.CONFIG, "optimizer": {"lr": 0.02}, "seed": 1}).encode()
        packages.register(registry, confusion=BETTER, config_yaml=config)
        packages.register(registry, export=Export(parity=packages.PARITY), first=100)
        evil = ("[/red]", "[bold]crow", "owl")
        packages.register(registry, "birds", classes=evil, first=100)


def told(tailorbird, *words):
    result = tailorbird("registry", "diff", *words)
    assert (result.returncode, result.stderr) == (0, "")
    return re.sub(r"[ \n]+", " ", result.stdout)


def test_tables_show_what_differs(tailorbird, registered):
    text = told(tailorbird, "pets:1", "pets:2")
    assert "config pets:1 pets:2" in text and "optimizer.lr 0.01 0.02 seed - 1" in text
    assert "data: the same in both" in text and "environment: the same in both" in text
    assert "held-out accuracy 83.33% 95.00% +11.67 points" in text
    assert "held-out images 60 60 0" in text
    assert "export: largest difference 3.0e-07 3.0e-07 0" in text
    assert "latency, median 0.500 ms 0.500 ms 0" in text
    assert re.search(r"config.yaml \d\d \d\d \+8 ", text)
    assert "recall by class pets:1 pets:2 difference" in text and "owl 65.00% 95.00% +30.00 points" in text
    assert "dog 76.00% 90.48% +14.48 points" in text
    assert "Of 60 shared held-out images (of 60), 50 are right in both, 0 only in pets:1" in text
    assert "7 only in pets:2, and 3 in neither. Difference in accuracy: +11.67 points, one-sided 95% bounds +" in text
    assert "exact one-sided McNemar test: p = 0.0078" in text
    assert "classes" not in text


def test_what_one_does_not_have_is_a_dash(tailorbird, registered):
    text = told(tailorbird, "pets:1", "pets:3")
    assert "latency, median 0.500 ms - -" in text
    assert "held-out images: they were judged on different images" in text


def test_names_of_others_do_not_command_the_terminal(tailorbird, registered):
    text = told(tailorbird, "pets:1", "birds:1")
    assert "pets:1 alone has the classes cat, dog; birds:1 alone has the classes [/red], [bold]crow" in text
    assert "[/red] - 90.00% -" in text


def test_json_has_every_part(tailorbird, registered):
    result = json.loads(tailorbird("registry", "diff", "pets:1", "pets:2", "--json").stdout)
    assert result.keys() == {
        "a", "b", "config", "environment", "data", "classes", "metrics", "by_class", "sizes", "images",
    }  # fmt: skip
    assert result["config"]["optimizer.lr"] == {"a": 0.01, "b": 0.02, "difference": 0.01}
    assert result["images"]["only_b"] == 7


def test_an_unknown_version_is_one_sentence(tailorbird, registered):
    result = tailorbird("registry", "diff", "pets:1", "pets:8")
    assert result.returncode == 2
    assert result.stderr.startswith("error: version: there is no pets:8") and result.stderr.count("\n") == 1
