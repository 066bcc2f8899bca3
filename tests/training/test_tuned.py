"""torchvision's own backbones with random weights, tuned: interrupted, resumed, exported, drawn and answered with."""

import shutil

import numpy as np

from tailorbird import onnx
from tests import photos
from training import candidate, checkpoint, datasets, models, plots, splits
from training.config import RunConfig
from training.loop import Run
from training.network import restored
from training.plots import features as maps


def test_a_tuned_backbone_goes_on_where_it_was_and_becomes_a_package(tmp_path, monkeypatch):
    monkeypatch.setenv("TAILORBIRD_HOME", str(tmp_path))
    photos.write_photographs(tmp_path / "photos", 24)
    photos.keep_random_weights(tmp_path / "cache", "mobilenet_v3_small")
    config = RunConfig.model_validate(
        {
            "data": {"name": "images", "path": str(tmp_path / "photos"), "size": 64, "holdout": 12},
            "model": {"family": "pretrained", "backbone": "mobilenet_v3_small", "tune": "all"},
            "optimizer": {"name": "adamw", "lr": 0.003},
            "schedule": {"name": "one_cycle"},
            "augment": {"flip": True, "crop": 4},
            "ema": 0.9,
            "batch_size": 16,
            "epochs": 2,
        }
    )
    dealt = splits.split(datasets.load(config.data, tmp_path, tmp_path / "cache"), config.data)
    run = Run(config, dealt)
    run.step()
    snapshot = run.snapshot().pack()
    run.step()
    resumed = Run(config, dealt, snapshot=snapshot)
    resumed.step()
    weights = checkpoint.encode(resumed.best_state)
    assert weights == checkpoint.encode(run.best_state)
    shutil.rmtree(tmp_path / "cache" / "weights")  # the package is whole without them
    made = candidate.make(config, dealt, weights, run.epochs, run.best.epoch)
    assert (made.export.parity.agreement, made.export.batches.agreement) == (1, 1)
    answers = onnx.session(made.files["model.onnx"]).run(["probabilities"], {"pixels": dealt.holdout.at(slice(3))})
    assert np.allclose(answers[0], made.holdout.probabilities[:3], atol=1e-5)
    network = restored(config, dealt, made.files["checkpoint.safetensors"])
    pixels = np.asarray(dealt.holdout.at(slice(1)))[0]
    pictures = [
        plots.feature_maps(maps.maps(network, pixels), pixels, "maps"),
        plots.layer_table(models.summary(network, dealt.train.shape), "layers"),
        plots.model_graph(made.files["model.onnx"], "graph"),
    ]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
