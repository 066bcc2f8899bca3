from dataclasses import replace

import numpy as np
import pytest

from tailorbird.errors import InvalidInput
from training import requirements, splits
from training.config import DataConfig, Objective
from training.datasets import Dataset
from training.loop import Run


def rows(kind, targets, **sizes):
    inputs = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    classes = ("price",) if kind == "regression" else ("a", "b", "c")
    return splits.split(Dataset("rows", classes, inputs, targets, None, kind), DataConfig(name="digits", **sizes))


def test_a_compiler_that_is_not_there_is_named_before_anything_is_trained(run_config, few, monkeypatch):
    monkeypatch.setattr(requirements, "COMPILER", "g++-of-nobody")
    with pytest.raises(InvalidInput, match=r"compile: requires the C\+\+ compiler g\+\+-of-nobody"):
        Run(run_config(compile=True), few)


@pytest.mark.parametrize(
    "changes, told",
    [
        (
            {"early_stopping": {"patience": 3}},
            "early_stopping: requires data.validation",
        ),
        (
            {"schedule": {"name": "plateau"}},
            "schedule.name: requires data.validation above 0",
        ),
        ({"augment": {"flip": True}}, "augment: applies only to images, and these are rows of a table; remove it"),
        ({"loss": {"name": "mse"}}, "loss.name: mse is not a loss of multiclass targets"),
        ({"model": {"family": "cnn"}}, "model.family: "),
    ],
)
def test_what_does_not_fit_the_data_is_refused(run_config, changes, told):
    dataset = rows("multiclass", np.arange(60) % 3, validation=0)
    with pytest.raises(InvalidInput) as refused:
        Run(run_config(**changes), dataset)
    assert str(refused.value).startswith(told)


def test_images_are_not_moved_out_of_themselves(run_config, few):
    Run(run_config(augment={"crop": 7}), few)
    with pytest.raises(InvalidInput, match=r"augment\.crop: must be less than the 8 pixels of a side, not 8"):
        Run(run_config(augment={"crop": 8}), few)


def test_a_metric_that_is_not_measured_is_refused(run_config):
    dataset = rows("regression", np.linspace(0, 1, 60, dtype=np.float32))
    message = r"objective\.metric: val_accuracy is not defined for regression; accepted: val_loss"
    with pytest.raises(InvalidInput, match=message):
        Run(run_config(), dataset, Objective())
    assert Run(run_config(), dataset).progress.objective.metric == "val_loss"


def test_what_waits_for_training_needs_no_validation(run_config):
    dataset = rows("multiclass", np.arange(60) % 3, validation=0)
    config = run_config(early_stopping={"patience": 1}, optimizer={"lr": 10.0}, epochs=50)
    assert len(list(Run(config, dataset, Objective(metric="train_loss", mode="min")))) < 50


def test_a_class_that_nothing_is_left_of_to_train_on_is_named(run_config, blobs):
    dataset = blobs(images=40)
    rare = replace(dataset, classes=("usual", "rare"), targets=np.arange(40) // 39)
    dealt = splits.split(rare, DataConfig(name="digits", validation=14, holdout=0, test=20))
    with pytest.raises(InvalidInput, match=r"^data: leaves no examples of 'rare' to train on"):
        Run(run_config(), dealt)


PRETRAINED = {"family": "pretrained", "backbone": "mobilenet_v3_small"}


def test_a_pretrained_backbone_takes_no_table(run_config):
    with pytest.raises(InvalidInput, match=r"^model.family: pretrained requires images, and these are rows of a table"):
        Run(run_config(model=PRETRAINED), rows("multiclass", np.arange(60) % 3))


def test_grey_images_in_colour_channels_are_noted_once(run_config, blobs):
    configs = [run_config(model={**PRETRAINED, "dropout": rate}) for rate in (0.0, 0.5)]
    grey, colour = (splits.split(blobs(shape=shape), DataConfig(name="digits")) for shape in ((32, 32), (32, 32, 3)))
    message = "the images are grey, and mobilenet_v3_small sees each in three equal channels"
    assert list(requirements.notes(configs, grey)) == [message]
    assert list(requirements.notes(configs, colour)) == list(requirements.notes([run_config()], grey)) == []


def test_weights_whose_licence_is_not_told_are_noted_once(run_config, blobs):
    dealt = splits.split(blobs(shape=(32, 32, 3)), DataConfig(name="digits"))
    own = {"family": "pretrained", "backbone": "nets:own", "weights": "own.safetensors"}
    configs = [run_config(model={**own, "dropout": rate}) for rate in (0.0, 0.5)]
    (note,) = requirements.notes(configs, dealt)
    assert note.startswith("the licence of own.safetensors is not known; set model.weights_licence")
    assert list(requirements.notes([run_config(model={**own, "weights_licence": "MIT"})], dealt)) == []


def test_columns_that_are_not_scaled_and_run_into_each_other_are_noted(run_config):
    dealt = rows("multiclass", np.arange(60) % 3)
    seconds = replace(dealt, train=replace(dealt.train, inputs=dealt.train.inputs.astype(np.float64) + 1.75e9))
    notes = list(requirements.notes([run_config(), run_config(normalize="none")], seconds))
    assert notes and all(
        "only 1 are left in float32, in which networks compute; set normalize: standard" in note for note in notes
    )
    assert list(requirements.notes([run_config()], seconds)) == []
    assert list(requirements.notes([run_config(normalize="none")], dealt)) == []


def test_a_tuned_backbone_that_rests_all_the_time_is_noted(run_config, blobs):
    dealt = splits.split(blobs(shape=(32, 32, 3)), DataConfig(name="digits"))
    tuned = {**PRETRAINED, "tune": "all"}
    (note,) = requirements.notes([run_config(model=tuned, epochs=1)], dealt)
    assert note.startswith("a tuned backbone is frozen in the first epoch, so epochs: 1 trains only the head")
    quiet = [run_config(model=tuned, epochs=2), run_config(model=PRETRAINED, epochs=1)]
    assert list(requirements.notes(quiet, dealt)) == []
