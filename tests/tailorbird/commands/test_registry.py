import json

import pytest

from registry import packages, versions
from registry.core import Registry
from tailorbird.settings import Settings


@pytest.fixture
def home(tmp_path):
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture
def registered(home):
    """demo:1, then demo:2 which is worse."""
    with Registry(home) as registry:
        for accuracy in (0.9, 0.8):
            test = {"accuracy": 0.85, "samples": 20}
            baseline = {"accuracy": accuracy, "standard_error": 0.01, "samples": 10, "test": test}
            files = dict.fromkeys(packages.REQUIRED, b"x") | {"baseline.json": json.dumps(baseline).encode()}
            parity = {"agreement": 1.0, "max_difference": 1e-7, "samples": 10}
            versions.register(registry, "demo", files, parity, {"sweep": "demo-1"}, "ada")


def test_promotion_from_the_command_line_and_its_history(tailorbird, registered):
    told = tailorbird("registry", "promote", "demo:1", "--why", "first", "--who", "ada", "--expect", "0")
    assert (told.returncode, told.stdout) == (0, "demo@champion is version 1 now, was unset\n")
    refused = tailorbird("registry", "promote", "demo:2", "--why", "newer")
    assert refused.returncode == 1
    assert "10.00 points under the champion's 90.00%" in refused.stderr
    conflict = tailorbird("registry", "promote", "demo:2", "--why", "newer", "--expect", "2")
    assert conflict.returncode == 1
    assert "demo@champion is version 1, not version 2 as expected" in conflict.stderr
    forced = tailorbird("registry", "promote", "demo:2", "--why", "a try", "--force")
    assert "(forced: held-out accuracy 80.00%" in forced.stdout
    moves = json.loads(tailorbird("registry", "history", "demo", "--json").stdout)
    assert [(one["from_number"], one["to_number"], one["forced"]) for one in moves] == [(1, 2, True), (None, 1, False)]
    assert moves[1]["who"] == "ada"


def test_versions_are_listed_newest_first(tailorbird, registered):
    listed = json.loads(tailorbird("registry", "list", "demo", "--json").stdout)
    assert [(one["model"], one["number"]) for one in listed] == [("demo", 2), ("demo", 1)]
    assert "demo:2" in tailorbird("registry", "list").stdout
    shown = tailorbird("registry", "show", "demo:1")
    assert "90.00% ± 1.00% of 10 images" in shown.stdout
    assert "model.onnx" in json.loads(tailorbird("registry", "show", "demo:1", "--json").stdout)["files"]


def test_verify_names_the_damaged_file(tailorbird, registered, home):
    assert tailorbird("registry", "verify", "--all").stdout == "demo:2: verified\ndemo:1: verified\n"
    with Registry(home) as registry:
        version = versions.resolve(registry, "demo:1")
        digest = packages.manifest(registry.blobs, version.manifest)["files"]["baseline.json"]["sha256"]
        registry.blobs.path(digest).write_bytes(b"damaged")
    told = tailorbird("registry", "verify", "--all")
    assert told.returncode == 1
    assert "demo:1: baseline.json" in told.stdout
    assert "demo:2: verified" in told.stdout
    assert "1 of 2 versions do not verify: demo:1" in told.stderr
    exported = tailorbird("registry", "export", "demo:1", "out")
    assert exported.returncode == 1
    assert "baseline.json" in exported.stderr


def test_export_writes_a_package(tailorbird, registered, tmp_path):
    assert tailorbird("registry", "export", "demo:1", "out").returncode == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == packages.REQUIRED | {"manifest.json"}
    again = tailorbird("registry", "export", "demo:1", "out")
    assert again.returncode == 2
    assert "exists already" in again.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["show", "nothing"], "error: model: there is no model 'nothing'; the registry is empty"),
        (["show", "../x"], "error: model: '../x' is not a name; accepted: 1 to 64 of a-z"),
        (["show", "demo:0"], "error: version: '0' is not a version number"),
        (["promote", "demo", "--why", "x"], "error: NAME:N: 'demo' names no number"),
        (["promote", "demo:1", "--why", " "], "error: why: is empty"),
        (["history", "demo"], "error: model: there is no model 'demo'"),
        (["verify"], "error: NAME:N: give one version, or --all"),
    ],
)
def test_wrong_input_is_one_sentence(tailorbird, words, sentence):
    told = tailorbird("registry", *words)
    assert told.returncode == 2
    assert told.stderr.startswith(sentence)
    assert told.stderr.count("\n") == 1
