import copy
import math
import os
import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tailorbird.errors import InvalidInput
from training import config
from training.config import DataConfig, MlpConfig, Objective, OptimizerConfig, RunConfig

BASE = {"data": {"name": "digits"}, "model": {"family": "mlp"}}


NAMES = "breast_cancer, cifar10, diabetes, digits, digits_multilabel, fashion_mnist, iris, mnist, images, table"


def parsed(changes):
    given = BASE
    for path, value in changes.items():
        given = config.assign(given, path, value)
    return config.parse(RunConfig, given)


def accepted(kind):
    return f"is not a known key; accepted: {', '.join(kind.model_fields)}"


def leaves(value, path=""):
    if not isinstance(value, dict):
        return {path: value}
    return {leaf: found for key, inner in value.items() for leaf, found in leaves(inner, f"{path}.{key}").items()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 5}, f"epoch: {accepted(RunConfig)}"),
        ({"model.widht": 5}, f"model.widht: {accepted(MlpConfig)}"),
        ({"optimizer.betas": [0.9, 0.99]}, f"optimizer.betas: {accepted(OptimizerConfig)}"),
        ({"data.folder": "/"}, f"data.folder: {accepted(DataConfig)}"),
        ({"model": {"family": "linear", "depth": 2}}, "model.depth: is not a known key; accepted: family"),
        (
            {"model.family": "transformer"},
            "model.family: must be one of 'linear', 'mlp', 'cnn', 'vgg', 'resnet', 'custom', 'pretrained', "
            "not 'transformer'",
        ),
        ({"model": {"depth": 2}}, "model.family: is missing"),
        ({"model": "mlp"}, "model: must be keys with values, not 'mlp'"),
        ({"data": {}}, "data.name: is missing"),
        ({"data.name": "imagenet"}, f"data.name: must be one of {NAMES}, or package.module:name, not 'imagenet'"),
        ({"data.path": "x"}, "data: path applies only to images and table, not to digits"),
        ({"data.skip_broken": True}, "data: skip_broken applies only to images, not to digits"),
        ({"data": {"name": "images"}}, "data.path: is required: the path of the images"),
        ({"data": {"name": "table", "path": "x"}}, "data.label: is required: the column to predict (--label)"),
        (
            {"data": {"name": "table", "path": "x", "label": "y", "size": 3}},
            "data: size applies only to images, not to table",
        ),
        ({"data.validation": -1}, "data.validation: must be a count of images, or a fraction below 1, not -1"),
        ({"data.validation": 1.0}, "data.validation: must be a count of images, or a fraction below 1, not 1.0"),
        ({"data.validation": True}, "data.validation: must be a valid integer or a valid number, not True"),
        ({"data.holdout": math.nan}, "data.holdout: must be a valid integer or a finite number, not nan"),
        ({"data.holdout": "5000"}, "data.holdout: must be a valid integer or a valid number, not '5000'"),
        ({"data.test": 0}, "data.test: must be above 0: registered models are tested on it"),
        ({"data.split_seed": -1}, "data.split_seed: must be greater than or equal to 0, not -1"),
        ({"data.split_seed": 2**63}, "data.split_seed: must be less than 9223372036854775808, not 9223372036854775808"),
        ({"optimizer.name": "lion"}, "optimizer.name: must be 'adam', 'adamw', 'rmsprop' or 'sgd', not 'lion'"),
        ({"optimizer.lr": 0}, "optimizer.lr: must be greater than 0, not 0"),
        ({"optimizer.lr": -1e-3}, "optimizer.lr: must be greater than 0, not -0.001"),
        ({"optimizer.lr": 101}, "optimizer.lr: must be less than or equal to 100, not 101"),
        ({"optimizer.lr": math.nan}, "optimizer.lr: must be a finite number, not nan"),
        ({"optimizer.lr": math.inf}, "optimizer.lr: must be a finite number, not inf"),
        ({"optimizer.lr": "0.1"}, "optimizer.lr: must be a valid number, not '0.1'"),
        ({"optimizer.lr": True}, "optimizer.lr: must be a valid number, not True"),
        ({"optimizer.lr": None}, "optimizer.lr: must be a valid number, not None"),
        ({"optimizer.weight_decay": -0.1}, "optimizer.weight_decay: must be greater than or equal to 0, not -0.1"),
        ({"optimizer": {"name": "sgd", "momentum": 1}}, "optimizer.momentum: must be less than 1, not 1"),
        ({"optimizer.momentum": 0.9}, "optimizer: momentum applies only to sgd and rmsprop, not to adam"),
        ({"optimizer.nesterov": True}, "optimizer: nesterov applies only to sgd with momentum"),
        ({"optimizer": {"name": "sgd", "nesterov": True}}, "optimizer: nesterov applies only to sgd with momentum"),
        (
            {"loss.name": "hinge"},
            "loss.name: must be 'cross_entropy', 'log_softmax_nll', 'softmax_log_nll', 'bce' or 'mse', not 'hinge'",
        ),
        (
            {"loss": {"name": "bce", "label_smoothing": 0.1}},
            "loss: label_smoothing applies only to cross_entropy, not to bce",
        ),
        ({"loss.label_smoothing": 1}, "loss.label_smoothing: must be less than 1, not 1"),
        (
            {"schedule.name": "step"},
            "schedule.name: must be 'constant', 'one_cycle', 'cosine' or 'plateau', not 'step'",
        ),
        ({"schedule": {"name": "one_cycle", "warmup": 0}}, "schedule: warmup of one_cycle must be above 0"),
        ({"schedule.warmup": -0.1}, "schedule.warmup: must be greater than or equal to 0, not -0.1"),
        ({"schedule.patience": 0}, "schedule.patience: must be greater than or equal to 1, not 0"),
        ({"schedule.factor": 1}, "schedule.factor: must be less than 1, not 1"),
        ({"early_stopping": {}}, "early_stopping.patience: is missing"),
        ({"augment.crop": 65}, "augment.crop: must be less than or equal to 64, not 65"),
        ({"ema": 1}, "ema: must be less than 1, not 1"),
        ({"precision": "fp16"}, "precision: must be 'auto', 'fp32' or 'bf16', not 'fp16'"),
        ({"normalize": "max"}, "normalize: must be 'standard', 'unit', 'symmetric' or 'none', not 'max'"),
        ({"accumulate": 0}, "accumulate: must be greater than or equal to 1, not 0"),
        ({"measure_every": 0}, "measure_every: must be greater than or equal to 1, not 0"),
        ({"model": {"family": "cnn", "kernel": [3, 5, 7]}}, "model: kernel has 3 values for a depth of 2"),
        (
            {"model": {"family": "cnn", "pool": "min"}},
            "model.pool: must be 'max', 'average' or 'none' or a valid list, not 'min'",
        ),
        (
            {"model": {"family": "custom", "function": "os.system"}},
            "model.function: must be package.module:name, not 'os.system'",
        ),
        ({"schedule.warmup": 1}, "schedule.warmup: must be less than 1, not 1"),
        ({"model.depth": 0}, "model.depth: must be greater than or equal to 1, not 0"),
        ({"model.depth": 65}, "model.depth: must be less than or equal to 64, not 65"),
        ({"model.depth": 2.0}, "model.depth: must be a valid integer, not 2.0"),
        ({"model.depth": "2"}, "model.depth: must be a valid integer, not '2'"),
        ({"model.depth": True}, "model.depth: must be a valid integer, not True"),
        ({"model": {"family": "cnn", "depth": 17}}, "model.depth: must be less than or equal to 16, not 17"),
        ({"model.width": 0}, "model.width: must be greater than or equal to 1 or a valid list, not 0"),
        ({"model.width": []}, "model.width: must be a valid integer, not []; list should have at least 1 item, not 0"),
        ({"model.width": [64, 0]}, "model.width.1: must be greater than or equal to 1, not 0"),
        ({"model.width": True}, "model.width: must be a valid integer or a valid list, not True"),
        ({"model.width": [64, 32], "model.depth": 3}, "model: depth 3 contradicts the 2 widths; remove one of the two"),
        ({"model.dropout": 1}, "model.dropout: must be less than 1 or a valid list, not 1"),
        ({"model.dropout": -0.1}, "model.dropout: must be greater than or equal to 0 or a valid list, not -0.1"),
        ({"model.dropout": math.nan}, "model.dropout: must be a finite number or a valid list, not nan"),
        ({"model.dropout": "0.5"}, "model.dropout: must be a valid number or a valid list, not '0.5'"),
        ({"batch_size": 0}, "batch_size: must be greater than or equal to 1 or 'full', not 0"),
        ({"batch_size": "64"}, "batch_size: must be a valid integer or 'full', not '64'"),
        ({"epochs": 0}, "epochs: must be greater than or equal to 1, not 0"),
        ({"epochs": True}, "epochs: must be a valid integer, not True"),
        ({"epochs": 1.0}, "epochs: must be a valid integer, not 1.0"),
        ({"epochs": 100_001}, "epochs: must be less than or equal to 100000, not 100001"),
        ({"seed": -1}, "seed: must be greater than or equal to 0, not -1"),
        ({"seed": "1"}, "seed: must be a valid integer, not '1'"),
        ({"seed": True}, "seed: must be a valid integer, not True"),
        ({"device": "tpu"}, "device: must be 'auto', 'cpu', 'cuda' or 'mps', not 'tpu'"),
        ({"threads": -1}, "threads: must be greater than or equal to 0, not -1"),
        ({"epochs": 0, "seed": -1}, "epochs: must be greater than or equal to 1, not 0 (and 1 more)"),
    ],
    ids=lambda value: None if isinstance(value, str) else ",".join(f"{key}={inner}" for key, inner in value.items()),
)
def test_what_is_not_accepted_is_told_by_its_key_and_what_would_be(changes, message):
    with pytest.raises(InvalidInput) as refused:
        parsed(changes)
    assert str(refused.value) == message


def test_the_path_of_a_key_begins_with_where_the_config_lies():
    with pytest.raises(InvalidInput) as refused:
        config.parse(RunConfig, {**BASE, "epochs": 0}, prefix="runs.3: ")
    assert refused.value.field == "runs.3: epochs"


def test_whole_numbers_do_for_real_ones():
    made = parsed({"optimizer.lr": 1, "model.dropout": 0, "optimizer.weight_decay": 0, "data.validation": 0})
    assert (made.optimizer.lr, made.model.dropout, made.data.validation) == (1.0, 0.0, 0)


@pytest.mark.parametrize("family", ["mlp", "cnn"])
def test_a_list_of_widths_fixes_depth(family):
    assert parsed({"model": {"family": family, "width": [64, 32, 16]}}).model.depth == 3
    assert parsed({"model": {"family": family, "width": [64, 32, 16], "depth": 3}}).model.width == [64, 32, 16]
    assert parsed({"model": {"family": family, "width": 16}}).model.depth == 2


def test_a_config_is_frozen():
    made = parsed({})
    for owner, name in ((made, "epochs"), (made.model, "depth"), (made.optimizer, "lr"), (made.data, "name")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(owner, name, getattr(owner, name))


CONFIGS = st.fixed_dictionaries(
    {
        "data": st.fixed_dictionaries(
            {"name": st.sampled_from(["digits", "fashion_mnist", "mnist"])},
            optional={
                "validation": st.integers(0, 10**6) | st.floats(0, 1, exclude_max=True),
                "test": st.floats(0.01, 0.99),
                "split_seed": st.integers(0, 2**63 - 1),
            },
        ),
        "model": st.just({"family": "linear"})
        | st.fixed_dictionaries(
            {"family": st.sampled_from(["mlp", "cnn"]), "depth": st.integers(1, 8), "width": st.integers(1, 65536)},
            optional={"dropout": st.floats(0, 1, exclude_max=True)},
        )
        | st.fixed_dictionaries(
            {
                "family": st.sampled_from(["mlp", "cnn"]),
                "width": st.lists(st.integers(1, 65536), min_size=1, max_size=8),
            }
        ),
    },
    optional={
        "optimizer": st.fixed_dictionaries(
            {
                "name": st.sampled_from(["sgd", "rmsprop"]),
                "lr": st.floats(0, 100, exclude_min=True),
                "momentum": st.floats(0, 0.99),
            }
        ),
        "schedule": st.fixed_dictionaries({"name": st.just("one_cycle"), "warmup": st.floats(0.01, 0.99)}),
        "batch_size": st.integers(1, 10**9) | st.just("full"),
        "early_stopping": st.none() | st.fixed_dictionaries({"patience": st.integers(1, 99)}),
        "ema": st.none() | st.floats(0.01, 0.99),
        "precision": st.sampled_from(["auto", "fp32", "bf16"]),
        "epochs": st.integers(1, 100_000),
        "seed": st.integers(0, 2**63 - 1),
        "device": st.sampled_from(["auto", "cpu", "cuda", "mps"]),
        "threads": st.integers(0, 1000),
    },
)


@given(CONFIGS)
def test_a_config_survives_yaml(given):
    made = config.parse(RunConfig, given)
    again = config.parse(RunConfig, yaml.safe_load(yaml.safe_dump(made.model_dump(mode="json"))))
    assert again == made
    assert config.digest(again) == config.digest(made)


@pytest.mark.parametrize(
    ("data", "family", "size"),
    [
        ({"name": "images", "path": "/photos"}, "pretrained", 224),
        ({"name": "images", "path": "/photos", "size": 96}, "pretrained", 96),
        ({"name": "images", "path": "/photos"}, "cnn", None),
        ({"name": "cifar10"}, "pretrained", None),
    ],
)
def test_images_of_no_size_are_brought_to_that_of_a_pretrained_backbone(data, family, size):
    backbone = {"backbone": "resnet18"} if family == "pretrained" else {}
    made = config.parse(RunConfig, {"data": data, "model": {"family": family, **backbone}})
    assert made.data.size == size
    assert config.parse(RunConfig, made.model_dump(mode="json")) == made


CNN = {"model": {"family": "cnn", "depth": 2}}
SGD = {"optimizer": {"name": "sgd", "momentum": 0.5}}
IMAGES = {"data": {"name": "images", "path": "/photos"}}
TABLE = {"data": {"name": "table", "path": "/people.csv", "label": "age"}}
CUSTOM = {"model": {"family": "custom", "function": "mine:net"}}
PRETRAINED = {"model": {"family": "pretrained", "backbone": "mine:net", "weights": "mine.pth"}}
STOPPING = {"early_stopping": {"patience": 3}}
ANOTHER = [
    ({}, "data.name", "mnist"),
    ({}, "data.validation", 0.2),
    ({}, "data.holdout", 0.2),
    ({}, "data.test", 0.1),
    ({}, "data.split_seed", 1),
    (IMAGES, "data.path", "/pictures"),
    (IMAGES, "data.size", 32),
    (IMAGES, "data.size", [32, 31]),
    (IMAGES, "data.colour", True),
    (IMAGES, "data.skip_broken", True),
    (TABLE, "data.label", "name"),
    (TABLE, "data.columns", ["height"]),
    (TABLE, "data.kind", "regression"),
    ({}, "model.family", "cnn"),
    ({}, "model.depth", 3),
    ({}, "model.width", 129),
    ({}, "model.dropout", 0.5),
    ({}, "model.activation", "tanh"),
    ({}, "model.batch_norm", True),
    (CNN, "model.kernel", 5),
    (CNN, "model.stride", 2),
    (CNN, "model.padding", 0),
    (CNN, "model.pool", "average"),
    (CNN, "model.head", [64]),
    (CNN, "model.head_dropout", 0.5),
    (CNN, "model.dropout_place", "convolution"),
    (CUSTOM, "model.function", "mine:other"),
    (CUSTOM, "model.arguments", {"width": 3}),
    (PRETRAINED, "model.backbone", "mine:other"),
    (PRETRAINED, "model.weights", "other.pth"),
    (PRETRAINED, "model.weights_source", "https://mine.org"),
    (PRETRAINED, "model.weights_licence", "MIT"),
    (PRETRAINED, "model.weights_images", "birds"),
    (PRETRAINED, "model.tune", "all"),
    ({}, "normalize", "unit"),
    ({}, "loss.name", "bce"),
    ({}, "loss.label_smoothing", 0.1),
    ({}, "optimizer.name", "adamw"),
    ({}, "optimizer.lr", 0.1),
    ({}, "optimizer.weight_decay", 0.1),
    (SGD, "optimizer.momentum", 0.1),
    (SGD, "optimizer.nesterov", True),
    ({}, "optimizer.backbone_scale", 0.5),
    ({}, "schedule.name", "cosine"),
    ({}, "schedule.warmup", 0.2),
    ({}, "schedule.patience", 5),
    ({}, "schedule.factor", 0.1),
    ({}, "batch_size", 65),
    ({}, "batch_size", "full"),
    ({}, "accumulate", 2),
    ({}, "epochs", 6),
    ({}, "measure_every", 2),
    ({}, "early_stopping", {"patience": 2}),
    (STOPPING, "early_stopping.patience", 4),
    (STOPPING, "early_stopping.least", 0.1),
    ({}, "augment.flip", True),
    ({}, "augment.crop", 2),
    ({}, "augment.erase", 4),
    ({}, "ema", 0.9),
    ({}, "precision", "bf16"),
    ({}, "compile", True),
    ({}, "seed", 1),
    ({}, "device", "cpu"),
    ({}, "threads", 1),
]


@pytest.mark.parametrize(("base", "path", "value"), ANOTHER, ids=[f"{path}={value}" for _, path, value in ANOTHER])
def test_the_digest_changes_with_every_key(base, path, value):
    changes = {**BASE, **base}
    before, after = (config.parse(RunConfig, one) for one in (changes, config.assign(changes, path, value)))
    assert config.digest(before) != config.digest(after)


def test_every_key_was_changed():
    bases = [{**BASE, **base} for base in ({}, CNN, SGD, IMAGES, TABLE, CUSTOM, PRETRAINED, STOPPING)]
    keys = {leaf[1:] for base in bases for leaf in leaves(config.parse(RunConfig, base).model_dump())}
    assert keys - {path for _, path, _ in ANOTHER} <= {"loss", "augment"}


def test_the_digest_is_that_of_what_is_meant_and_not_of_how_it_is_written():
    written_out = config.parse(RunConfig, dict(reversed(parsed({}).model_dump().items())))
    assert config.digest(written_out) == config.digest(parsed({})) == config.digest(parsed({"epochs": 5}))


def test_the_digest_is_the_same_in_another_process():
    code = f"from training import config; print(config.digest(config.parse(config.RunConfig, {BASE})))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    assert result.stdout.decode().strip() == config.digest(parsed({}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-2e+3", -2000.0),
        ("1.e2", 100.0),
        ("1.5e-3", 0.0015),
        ("0.5", 0.5),
        ("7", 7),
        ("true", True),
        ("[64, 32]", [64, 32]),
        ("{family: cnn}", {"family": "cnn"}),
        ("e3", "e3"),
        ("1e", "1e"),
        ("1e-3x", "1e-3x"),
        ("one_cycle", "one_cycle"),
        ("a=b", "a=b"),
        ("", None),
    ],
)
def test_a_value_of_the_command_line_is_read_as_yaml(text, value):
    found = config.override({}, [f"key={text}"])["key"]
    assert found == value and type(found) is type(value)


def test_assignments_reach_below_and_leave_the_rest_and_what_was_given_as_it_is():
    changes = {"model": {"family": "mlp", "depth": 2}, "epochs": 5}
    before = copy.deepcopy(changes)
    changed = config.override(changes, ["model.depth=3", "optimizer.lr=1e-2", "epochs=1", "epochs=2"])
    assert changed == {"model": {"family": "mlp", "depth": 3}, "optimizer": {"lr": 0.01}, "epochs": 2}
    assert changes == before


@pytest.mark.parametrize(
    ("assignment", "field", "problem"),
    [
        ("epochs", "--set", "'epochs' is not KEY=VALUE, as in optimizer.lr=0.01"),
        ("=5", "--set", "is not KEY=VALUE"),
        (".epochs=5", "--set", "is not KEY=VALUE"),
        ("epochs.=5", "--set", "is not KEY=VALUE"),
        ("model..depth=5", "--set", "is not KEY=VALUE"),
        ("epochs=[", "--set", r"the value of epochs is not YAML: '\['"),
        ("epochs=2026-13-01", "--set", "the value of epochs is not YAML: '2026-13-01'"),
        ("data.name.first=5", "data.name.first", "name is 'digits' and has no nested keys"),
    ],
)
def test_an_assignment_that_says_nothing_is_refused(assignment, field, problem):
    with pytest.raises(InvalidInput, match=problem) as refused:
        config.override(BASE, [assignment])
    assert refused.value.field == field


@pytest.mark.parametrize(("metric", "mode"), [("val_accuracy", "min"), ("val_loss", "max"), ("train_loss", "max")])
def test_an_objective_of_the_wrong_direction_is_refused(metric, mode):
    with pytest.raises(InvalidInput, match=f"mode of {metric} must be"):
        config.parse(Objective, {"metric": metric, "mode": mode})


def test_a_score_is_larger_where_the_metric_is_better():
    metrics = {"val_accuracy": 0.9, "val_loss": 0.3}
    assert Objective().score(metrics) == 0.9
    assert Objective(metric="val_loss", mode="min").score(metrics) == -0.3


def test_sizes_are_counts_or_fractions():
    sizes = DataConfig(name="digits", validation=5000, holdout=0.25)
    assert type(sizes.validation) is int and sizes.holdout == 0.25
