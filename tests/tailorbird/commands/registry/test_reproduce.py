import json

import pytest
import yaml

from registry import versions
from registry.core import Registry
from tailorbird.package.lineage import Lineage
from tailorbird.settings import PREFIX, Settings
from training import candidate, checkpoint, datasets, splits
from training.config import RunConfig
from training.loop import Run

RUN = {
    "data": {"name": "digits", "validation": 0.2, "holdout": 0.2},
    "model": {"family": "mlp", "depth": 1, "width": 16},
    "optimizer": {"lr": 5e-3},
    "epochs": 3,
    "device": "cpu",
}
SPEC = {
    "name": "tiny",
    "data": RUN["data"],
    "run": {"model": {"family": "mlp", "width": 16, "dropout": 0.2}, "epochs": 4},
    "space": {"optimizer.lr": {"choice": [0.01, 0.001]}},
    "search": "grid",
    "promote": {"model": "tiny"},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The second of three epochs as a candidate, with its lineage."""
    folder = tmp_path_factory.mktemp("digits")
    config = RunConfig.model_validate(RUN)
    dataset = datasets.load(config.data, folder, folder)
    dealt = splits.split(dataset, config.data)
    run = Run(config, dealt.without_verdicts())
    run.step(), run.step()
    package = candidate.make(config, dealt, checkpoint.encode(run.network.state_dict()), run.epochs, 2)
    data = {**config.data.model_dump(mode="json"), "sha256": dataset.digest()}
    return package, {"sweep": "tiny-1", "trial": 1, "epoch": 2, "data": data}


@pytest.fixture
def registered(tmp_path, trained):
    """tiny:1 of the second of three epochs, and tiny:2 which says that it had another seed."""
    package, lineage = trained
    other = yaml.safe_dump({**RunConfig.model_validate(RUN).model_dump(mode="json"), "seed": 1}).encode()
    with Registry(Settings(home=tmp_path / "home", _env_file=None)) as registry:
        for files in (package.files, {**package.files, "config.yaml": other, "environment.txt": b"torch==\x1b[31m0\n"}):
            versions.register(registry, "tiny", files, package.export, Lineage(**lineage), "ada")


def test_a_version_is_trained_again_and_compared(tailorbird, registered):
    result = tailorbird("registry", "reproduce", "tiny:1")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["epoch", "1/3"], ["epoch", "2/3"]]
    assert lines[2:] == [
        "weights of epoch 2: the same bit for bit",
        "model.onnx: the same byte for byte",
        "probabilities of 359 held-out images: differ by 0 on average, 0 at most; 100.00% get the same label",
        lines[5],
        "environment: the same",
        "tiny:1 is reproduced bit for bit",
    ]


def test_what_is_not_reproduced_says_by_how_much(tailorbird, registered):
    result = tailorbird("registry", "reproduce", "tiny:2")
    assert result.returncode == 1
    assert result.stderr.startswith("error: tiny:2 was not reproduced: probabilities differ by 0.")
    assert result.stderr.count("\n") == 1
    assert "weights of epoch 2: differ by up to " in result.stdout
    assert "environment: -torch==" in result.stdout and "\x1b" not in result.stdout
    assert "is reproduced" not in result.stdout
    result = tailorbird("registry", "reproduce", "tiny:2", "--json")
    assert (result.returncode, json.loads(result.stdout)["reproduced"]) == (1, "no")


@pytest.mark.parametrize(
    ("version", "sentence"),
    [("tiny:9", "error: version: there is no tiny:9"), ("../x", "error: model: '../x' is not a name")],
)
def test_wrong_input_is_one_sentence(tailorbird, registered, version, sentence):
    result = tailorbird("registry", "reproduce", version)
    assert result.returncode == 2
    assert result.stderr.startswith(sentence) and result.stderr.count("\n") == 1


@pytest.mark.long
def test_the_best_of_a_sweep_is_reproduced_where_it_was_carried_to(tailorbird_process, tmp_path):
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    elsewhere = {PREFIX + "HOME": str(tmp_path / "elsewhere")}
    for words, home in (
        (["sweep", "spec.yaml"], {}),
        (["registry", "export", "tiny:1", "tiny.tgz", "--archive"], {}),
        (["registry", "import", "tiny.tgz", "--model", "small"], elsewhere),
    ):
        result = tailorbird_process(*words, **home)
        assert result.returncode == 0, result.stderr
    for version, home in (("tiny:1", {}), ("small:1", elsewhere)):
        result = tailorbird_process("registry", "reproduce", version, "--json", **home)
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout)["reproduced"] == "bit for bit"
