"""Frozen backbones: their features, and heads that are trained on these, to a package that is whole."""

import pickle
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

from tailorbird.errors import Corrupt, InvalidInput
from training import candidate, checkpoint, features, splits, stack
from training.config import Objective, RunConfig
from training.datasets import Dataset
from training.lanes import Lanes
from training.loop import Run
from training.network import fresh, restored
from tuning import groups

NET = """
from torch import nn

def small():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
    )
"""


@pytest.fixture
def backbone(tmp_path, monkeypatch):
    """The keys of a model with a backbone of the user's own, whose weights are in a file."""
    monkeypatch.setenv("TAILORBIRD_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "nets_of_ours.py").write_text(NET)
    monkeypatch.delitem(sys.modules, "nets_of_ours", raising=False)
    from nets_of_ours import small

    torch.manual_seed(0)
    safetensors.torch.save_file(small().state_dict(), tmp_path / "weights.safetensors")
    return {"family": "pretrained", "backbone": "nets_of_ours:small", "weights": str(tmp_path / "weights.safetensors")}


@pytest.fixture
def dealt():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 400)
    images = random.integers(0, 120, (400, 32, 32, 3)).astype(np.uint8)
    images[np.arange(400), :, :, labels] += 90
    dataset = Dataset("colours", ("red", "green", "blue"), images, labels.astype(np.int64))
    return splits.split(dataset, config({"family": "linear"}).data)


def config(model, **keys):
    return RunConfig.model_validate(
        {
            "data": {"name": "digits", "validation": 60, "holdout": 60},
            "model": model,
            "epochs": 3,
            "batch_size": 32,
            "optimizer": {"name": "adamw", "lr": 0.01},
            **keys,
        }
    )


def trained(chosen, dealt):
    run = Run(chosen, dealt)
    list(run)
    return run


@pytest.mark.parametrize("tune", ["head", "last", "all"])
def test_a_run_ends_as_a_package_that_is_whole(tune, backbone, dealt, tmp_path):
    chosen = config({**backbone, "tune": tune, "depth": 1, "width": 16})
    run = trained(chosen, dealt)
    weights = checkpoint.encode(run.best_state)
    package = candidate.make(chosen, dealt, weights, run.epochs, run.best.epoch)
    assert package.holdout.accuracy > 0.95
    assert package.export.parity.agreement == 1
    (tmp_path / "weights.safetensors").unlink()  # the package asks for nothing that is not in it
    network = restored(chosen, dealt, package.files["checkpoint.safetensors"])
    assert len(network.state_dict()) == len(checkpoint.decode(package.files["checkpoint.safetensors"]))


def test_features_are_computed_once(backbone, dealt, tmp_path):
    chosen = config(backbone)
    first = features.prepared(chosen, dealt)
    (kept,) = (tmp_path / "home" / "cache" / "features").glob("*.npy")
    before = kept.stat()
    again = features.prepared(chosen, dealt.without_verdicts())
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert np.array_equal(first.train.at(slice(0, 9)), again.train.at(slice(0, 9)))
    assert {part.shape for part in (first.train, first.validation, first.holdout, first.test)} == {(128,)}


def test_features_are_those_of_the_backbone_in_pytorch(backbone, dealt):
    chosen = config(backbone, augment={"flip": True})
    kept = features.prepared(chosen, dealt).train
    network = fresh(chosen, dealt)[:2].eval()
    images = torch.from_numpy(dealt.train.at(slice(0, 40)))  # more than a batch
    with torch.inference_mode():
        expected = [network(seen).numpy() for seen in (images, images.flip(2))]
    for start, rows in zip((0, len(dealt.train)), expected, strict=True):
        assert np.allclose(kept.at(slice(start, start + 40)), rows, atol=1e-4)


def test_other_weights_have_other_features(backbone, dealt, tmp_path):
    before = features.prepared(config(backbone), dealt).train.at(slice(0, 5))
    weights = safetensors.torch.load_file(tmp_path / "weights.safetensors")
    safetensors.torch.save_file({name: 2 * value for name, value in weights.items()}, tmp_path / "weights.safetensors")
    after = features.prepared(config(backbone), dealt).train.at(slice(0, 5))
    assert not np.allclose(before, after)


def test_other_code_has_other_features_by_the_same_weights(backbone, dealt, tmp_path, monkeypatch):
    before = features.prepared(config(backbone), dealt).train.at(slice(0, 5))
    (tmp_path / "nets_of_ours.py").write_text(NET.replace("nn.ReLU(), nn.Adaptive", "nn.Sigmoid(), nn.Adaptive"))
    sys.path_importer_cache.clear()
    monkeypatch.delitem(sys.modules, "nets_of_ours")
    after = features.prepared(config(backbone), dealt).train.at(slice(0, 5))
    assert not np.allclose(before, after)


def test_flip_adds_the_mirrored_images(backbone, dealt):
    plain = features.prepared(config(backbone), dealt)
    both = features.prepared(config(backbone, augment={"flip": True}), dealt)
    assert len(both.train) == 2 * len(plain.train)
    assert np.array_equal(both.train.at(slice(0, len(plain.train))), plain.train.at(slice(None)))
    assert np.array_equal(both.train.targets, np.tile(plain.train.targets, 2))
    assert not np.allclose(both.train.at(slice(0, 5)), both.train.at(slice(len(plain.train), len(plain.train) + 5)))


@pytest.mark.parametrize("flips", [(False, True), (True, False)])
def test_what_is_kept_with_mirrored_images_or_without_is_not_computed_again(flips, backbone, dealt, monkeypatch):
    computed, rows = [], features._Kept._rows

    def counted(kept, inputs, *, mirrored):
        computed.append(mirrored)
        return rows(kept, inputs, mirrored=mirrored)

    monkeypatch.setattr(features._Kept, "_rows", counted)
    first, second = (features.prepared(config(backbone, augment={"flip": flip}), dealt) for flip in flips)
    assert computed == [False, True]
    assert np.array_equal(first.validation.at(slice(None)), second.validation.at(slice(None)))


def test_views_are_prepared_once_and_sent_to_others_by_their_files(backbone, dealt, tmp_path, monkeypatch):
    views, chosen = features.Views(dealt), config(backbone, augment={"flip": True})
    data = views.data(chosen)
    assert views.data(config({**backbone, "depth": 1}, augment={"flip": True})) is data
    sent = pickle.dumps(views)
    assert len(sent) < len(pickle.dumps(dealt)) + 100_000
    monkeypatch.setattr(features, "prepared", None)  # nothing is left to prepare
    received = pickle.loads(sent).data(chosen)
    assert np.array_equal(received.splits.train.at(slice(None)), data.splits.train.at(slice(None)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("depth", [0, 2])
def test_heads_of_one_shape_are_stacked_on_shared_features(depth, precision, backbone, dealt):
    shared = {"augment": {"flip": True}, "precision": precision}
    configs = [
        config({**backbone, "depth": depth, "width": 16, "dropout": rate}, optimizer={"lr": lr}, **shared)
        for lr, rate in ((0.001, 0.0), (0.002, 0.5), (0.004, 0.2))
    ]
    assert len(set(groups.grouped([config.model_dump(mode="json") for config in configs], 8, 1))) == 1
    lanes = Lanes(configs, dealt, Objective())
    assert len({stack.key(run) for run in lanes._runs.values()} - {None}) == 1
    assert len({id(run.data) for run in lanes._runs.values()}) == 1
    while lanes.active:
        lanes.step()
    assert lanes.failures == {}
    for lane, chosen in enumerate(configs):
        alone = trained(chosen, dealt)
        losses = [(epoch.train_loss, epoch.val_loss) for epoch in lanes.progress(lane).epochs]
        expected = [(epoch.train_loss, epoch.val_loss) for epoch in alone.epochs]
        assert np.allclose(losses, expected, atol=2e-3 if precision == "fp32" else 2e-2)


def test_a_frozen_run_goes_on_where_it_was(backbone, dealt):
    chosen = config(backbone)
    run = Run(chosen, dealt)
    run.step()
    snapshot = run.snapshot().pack()
    list(run)
    resumed = Run(chosen, dealt, snapshot=snapshot)
    list(resumed)
    assert checkpoint.encode(resumed.best_state) == checkpoint.encode(run.best_state)


@pytest.mark.parametrize("augment", [{"crop": 2}, {"erase": 4, "flip": True}])
def test_what_a_frozen_backbone_cannot_see_anew_is_refused(augment, backbone, dealt):
    with pytest.raises(InvalidInput, match=r"^augment: a frozen backbone sees each image once; accepted: flip alone"):
        Run(config(backbone, augment=augment), dealt)


def test_a_checkpoint_that_is_none_is_corrupt():
    with pytest.raises(Corrupt, match="cannot be read"):
        checkpoint.decode(b"none")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("nn.Linear(5, 3)", "fails on images of 32x32 pixels: mat1 and mat2 shapes"),
        ("nn.LSTM(32, 3)", "fails on images of 32x32 pixels: "),
        ("nn.functional", "must return a torch.nn.Module, not module"),
    ],
)
def test_code_that_is_no_backbone_is_told(body, message, backbone, dealt, tmp_path):
    (tmp_path / f"nets_{len(body)}.py").write_text(f"from torch import nn\n\ndef own():\n    return {body}\n")
    sys.path_importer_cache.clear()
    from training.code import load

    dataset = load(f"nets_{len(body)}:own", "model.backbone")()
    weights = dataset.state_dict() if hasattr(dataset, "state_dict") else {"a": torch.zeros(1)}
    safetensors.torch.save_file(weights, tmp_path / "own.safetensors")
    own = {**backbone, "backbone": f"nets_{len(body)}:own", "weights": str(tmp_path / "own.safetensors")}
    with pytest.raises(InvalidInput, match=rf"^model.backbone: .*{message}"):
        features.prepared(config(own), dealt)
