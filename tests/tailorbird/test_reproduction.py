import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml

from registry import packages, versions
from registry.core import Registry
from tailorbird import reproduction
from tailorbird.errors import Corrupt, InvalidInput
from tailorbird.package.lineage import Lineage
from tailorbird.settings import Settings
from tests import photos
from training import candidate, checkpoint, datasets, precision, splits
from training.config import RunConfig
from training.loop import Run

CONFIG = RunConfig.model_validate(
    {
        "data": {"name": "digits", "validation": 0.2, "holdout": 0.2},
        "model": {"family": "mlp", "depth": 1, "width": 32, "dropout": 0.1},
        "optimizer": {"lr": 5e-3},
        "schedule": {"name": "one_cycle"},
        "epochs": 6,
        "device": "cpu",
    }
)


@pytest.fixture(scope="module")
def digits():
    return datasets.load(CONFIG.data, None, None)


@pytest.fixture(scope="module")
def trained(digits):
    """A candidate of epoch 4 of 6, as a sweep makes it, and its lineage."""
    dealt = splits.split(digits, CONFIG.data)
    run = Run(CONFIG, dealt.without_verdicts())
    for _ in range(4):
        run.step()
    made = candidate.make(CONFIG, dealt, checkpoint.encode(run.network.state_dict()), run.epochs, 4)
    data = {**CONFIG.data.model_dump(mode="json"), "sha256": digits.digest()}
    return made, {"sweep": "tiny-1", "trial": 1, "epoch": 4, "data": data, "champion": None, "code": "0.1.0"}


@pytest.fixture
def registry(tmp_path):
    with Registry(Settings(home=tmp_path / "home", _env_file=None)) as opened:
        yield opened


@pytest.fixture
def register(registry, trained):
    """Registers the candidate, with other files or lineage where they are given."""

    def add(lineage=None, **files):
        made, known = trained
        changed = {**made.files, **{name.replace("_", "."): data for name, data in files.items()}}
        told = Lineage(**known | (lineage or {}))
        return versions.register(registry, "tiny", changed, made.export, told, "ada")

    return add


def reproduce(registry, version):
    plan = reproduction.plan(registry, version, registry.settings)
    run = Run(plan.config, plan.splits)
    while len(run.epochs) < plan.epoch:
        run.step()
    return reproduction.compare(registry, plan, checkpoint.encode(run.state.kept.state_dict()))


def config(**changed):
    return yaml.safe_dump({**CONFIG.model_dump(mode="json"), **changed}).encode()


def test_on_the_same_machine_it_is_the_same_bit_for_bit(registry, register, trained):
    result = reproduce(registry, register())
    assert result.weights_equal and result.weights_difference == 0
    assert result.export_equal
    assert (result.mean_difference, result.max_difference, result.agreement) == (0, 0, 1)
    assert (
        result.registered_accuracy == result.served_accuracy == result.retrained_accuracy == trained[0].holdout.accuracy
    )
    assert result.standard_error == trained[0].holdout.standard_error
    assert (result.version, result.epoch, result.samples, result.environment) == ("tiny:1", 4, 359, ())
    assert result.problems == []
    record = json.loads(json.dumps(result.record()))
    assert record["reproduced"] == "bit for bit"
    assert record["bounds"] == {"mean_difference": 0.025, "standard_errors": 2}


@pytest.mark.parametrize("lie", [{"seed": 1}, {"optimizer": {"name": "sgd", "lr": 5e-3}}, {"epochs": 4}])
def test_another_configuration_is_told_by_how_much_it_differs(registry, register, lie):
    result = reproduce(registry, register(config_yaml=config(**lie)))
    assert not result.weights_equal and result.weights_difference > 0.01
    assert not result.export_equal
    assert result.mean_difference > reproduction.MEAN_DIFFERENCE
    [first, *_] = result.problems
    assert first.startswith(
        f"probabilities differ by {result.mean_difference:.4f} on average over 359 held-out images "
    )
    assert first.endswith("accepted: at most 0.025")
    assert result.record()["reproduced"] == "no"


def test_another_epoch_is_not_the_same(registry, register):
    result = reproduce(registry, register({"epoch": 1}))
    assert not result.weights_equal and result.problems


@pytest.fixture
def shaken(digits, trained):
    """Weights that differ as those of another processor do."""

    def make(by):
        network = Run(CONFIG, splits.split(digits, CONFIG.data)).network
        checkpoint.restore(network, trained[0].files["checkpoint.safetensors"])
        for parameter in network.parameters():
            parameter.data.mul_(1 + by)
        return checkpoint.encode(network.state_dict())

    return make


def test_what_differs_a_little_is_within_bounds(registry, register, shaken):
    plan = reproduction.plan(registry, register(), registry.settings)
    result = reproduction.compare(registry, plan, shaken(1e-6))
    assert not result.weights_equal and 0 < result.weights_difference < 1e-4
    assert 0 < result.mean_difference < result.max_difference < 1e-4
    assert result.problems == []
    assert result.record()["reproduced"] == "within bounds"


def test_a_model_that_is_not_of_the_weights_is_found_out(registry, register, digits, shaken):
    """Whoever puts another model into a package cannot hide behind honest weights."""
    _, other = candidate.exported(CONFIG, splits.split(digits, CONFIG.data), shaken(-0.9))
    result = reproduce(registry, register(model_onnx=other))
    assert result.weights_equal and not result.export_equal
    assert result.problems
    assert result.record()["reproduced"] == "no"


def test_an_accuracy_that_was_not_measured_is_found_out(registry, register, trained):
    plan = reproduction.plan(registry, register(), registry.settings)
    evidence = plan.version.evidence.model_copy(update={"accuracy": 0.999}).record()
    lying = replace(plan.version, columns={**plan.version.columns, "evidence": evidence})
    weights = trained[0].files["checkpoint.safetensors"]
    result = reproduction.compare(registry, replace(plan, version=lying), weights)
    assert result.weights_equal and result.export_equal and result.mean_difference == 0
    assert [problem.split("'s")[0] for problem in result.problems] == ["the retrained model", "the stored model"]
    assert (
        f"points from the registered 99.90%; accepted: at most {200 * result.standard_error:.2f}" in result.problems[0]
    )


@pytest.mark.parametrize("taken", ["bf16", "fp32"])
def test_it_is_trained_in_the_precision_that_was_taken(registry, register, monkeypatch, taken):
    monkeypatch.setattr(precision, "instructions", lambda: [] if taken == "bf16" else ["avx512_bf16"])
    plan = reproduction.plan(registry, register(config_yaml=config(precision=taken)), registry.settings)
    assert Run(plan.config, plan.splits).config.precision == taken


def test_a_model_that_cannot_be_run_is_one_sentence(registry, register):
    with pytest.raises(Corrupt, match=r"^tiny:1 has a damaged package: model\.onnx: cannot be run: ") as caught:
        reproduce(registry, register(model_onnx=b"poem"))
    assert str(caught.value).isprintable()


def test_where_the_environment_differs_is_told(registry, register, trained, monkeypatch):
    flags = "cpu flags: amx_bf16 amx_fp16"
    lines = trained[0].files["environment.txt"].decode().splitlines()
    lines = [line for line in lines if not line.startswith("cpu flags")]  # as of before they were written down
    monkeypatch.setattr(precision, "instructions", lambda: flags.split()[2:])
    result = reproduce(registry, register(environment_txt="\n".join(["torch==1.0", *lines[:-1]]).encode()))
    assert result.environment == ("-torch==1.0", f"+{flags}", f"+{lines[-1]}")


# --- what cannot be reproduced


@pytest.mark.parametrize("lost", ["epoch", "data"])
def test_lineage_must_say_what_was_trained(registry, register, lost):
    with pytest.raises(InvalidInput, match=r"^tiny:1: its lineage has no epoch and data digest"):
        reproduction.plan(registry, register({lost: None}), registry.settings)


@pytest.mark.parametrize("epoch", [0, 7])
def test_the_epoch_must_be_one_of_the_run(registry, register, epoch):
    with pytest.raises(InvalidInput, match=rf"^tiny:1: its lineage names epoch {epoch}, and its run has 6$"):
        reproduction.plan(registry, register({"epoch": epoch}), registry.settings)


def test_the_data_must_be_the_same(registry, register, trained):
    data = {**trained[1]["data"], "sha256": "ab" * 32}
    with pytest.raises(InvalidInput, match=r"^data: the data set digits here .* tiny:1 was trained on abababababab…"):
        reproduction.plan(registry, register({"data": data}), registry.settings)


@pytest.mark.parametrize("change", [{"split_seed": 1}, {"holdout": 0.1}, {"name": "mnist"}, {"unknown": 1}])
def test_lineage_and_configuration_must_agree_on_the_split(registry, register, trained, change):
    [key] = change
    with pytest.raises(InvalidInput, match=rf"^tiny:1: its lineage and its config\.yaml differ in data\.{key}$"):
        reproduction.plan(registry, register({"data": {**trained[1]["data"], **change}}), registry.settings)


def test_a_configuration_of_another_release_is_one_sentence(registry, register):
    with pytest.raises(InvalidInput, match=r"^config\.yaml: model\.family: "):
        reproduction.plan(registry, register(config_yaml=config(model={"family": "magic"})), registry.settings)


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("model.function", {"model": {"family": "custom", "function": "own:net"}}),
        ("model.backbone", {"model": {"family": "pretrained", "backbone": "own:net", "weights": "own.pth"}}),
        ("data.name", {"data": {**CONFIG.data.model_dump(mode="json"), "name": "own:data"}}),
    ],
)
def test_code_that_a_version_names_is_never_imported(registry, register, tmp_path, monkeypatch, key, changed):
    (tmp_path / "own.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    lineage = {"data": {**changed["data"], "sha256": "ab" * 32}} if "data" in changed else None
    version = register(lineage, config_yaml=config(**changed))
    with pytest.raises(
        InvalidInput, match=rf"^config\.yaml: {key}: names code, own:.*code is imported only for your own"
    ):
        reproduction.plan(registry, version, registry.settings)
    assert "own" not in sys.modules


def test_other_weights_of_a_backbone_are_told(registry, register):
    photos.keep_random_weights(registry.settings.cache, "mobilenet_v3_small")
    known = {"backbone": "mobilenet_v3_small", "source": "https://example.org/net-0123.pth", "sha256": "ab" * 32}
    model = {"family": "pretrained", "backbone": "mobilenet_v3_small"}
    version = register({"backbone": known}, config_yaml=config(model=model))
    message = (
        r"^model\.backbone: the weights of mobilenet_v3_small here .* trained on abababababab…, of https://example.org"
    )
    with pytest.raises(InvalidInput, match=message):
        reproduction.plan(registry, version, registry.settings)


def test_what_an_older_release_wrote_is_still_read(registry, register, trained):
    """It knew fewer keys, and those that it lacks mean what was so then."""
    keys = {"data", "model", "optimizer", "schedule", "batch_size", "epochs", "seed", "device", "threads"}
    then = CONFIG.model_dump(mode="json", include=keys)
    then["data"] = {name: then["data"][name] for name in ("name", "validation", "holdout", "test", "split_seed")}
    then["model"] = {name: then["model"][name] for name in ("family", "depth", "width", "dropout")}
    then["optimizer"] = {name: then["optimizer"][name] for name in ("name", "lr", "weight_decay", "momentum")}
    then["schedule"] = {name: then["schedule"][name] for name in ("name", "warmup")}
    lineage = {"data": {**then["data"], "sha256": trained[1]["data"]["sha256"]}}
    result = reproduce(registry, register(lineage, config_yaml=yaml.safe_dump(then).encode()))
    assert result.weights_equal and result.problems == []


def test_a_damaged_version_is_not_trained(registry, register, flip_blob):
    version = register()
    flip_blob(registry, version, "heldout.npy")
    with pytest.raises(Corrupt, match=r"heldout\.npy"):
        reproduction.plan(registry, version, registry.settings)


@pytest.fixture
def flip_blob():
    def damage(registry, version, name):
        digest = packages.manifest(registry.blobs, version.manifest).files[name].sha256
        path = registry.blobs.path(digest)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    return damage


def test_bounds_are_of_the_mean_and_of_standard_errors():
    right = reproduction.Reproduction(
        version="tiny:1", epoch=1, weights_equal=False, weights_difference=0.1, export_equal=False,
        mean_difference=0.025, max_difference=1.0, agreement=0.9, registered_accuracy=0.5, served_accuracy=0.5,
        retrained_accuracy=0.5 + 2 / 64, standard_error=1 / 64, samples=100, environment=(),
    )  # fmt: skip
    assert right.problems == []
    assert len(replace(right, mean_difference=np.nextafter(0.025, 1)).problems) == 1
    assert len(replace(right, retrained_accuracy=0.5 - 2 / 64 - 1e-9).problems) == 1
    assert len(replace(right, served_accuracy=0.54).problems) == 1
