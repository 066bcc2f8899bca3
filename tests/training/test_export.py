import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from scipy.special import expit, softmax
from torch import nn

from registry import gates
from registry.evidence import Evidence
from registry.policy import Policy
from tailorbird.errors import InvalidInput
from tailorbird.package.measurements import Parity
from tests.packages import ABOUT
from training import checkpoint, evaluation, export, splits
from training.config import DataConfig
from training.datasets import Dataset
from training.export import ServedModule
from training.loop import Run
from training.models import Normalize
from training.models.layers import Conv2d
from training.network import fresh, restored
from training.scores import Binary, Classification

T = 1.7
CNN = {"family": "cnn", "depth": 2, "width": 6}
FAMILIES = {
    "linear": {"family": "linear"},
    "mlp": {"family": "mlp", "width": [20, 10], "dropout": 0.5},
    "mlp with batch norm": {"family": "mlp", "batch_norm": True, "activation": "gelu", "dropout": [0.1, 0.5]},
    "cnn": {"family": "cnn", "depth": 3, "width": 6, "dropout": 0.5},
    "cnn without batch norm": {**CNN, "batch_norm": False, "activation": "tanh"},
    "cnn of large kernels": {**CNN, "kernel": [5, 3], "stride": [2, 1], "padding": [2, 0], "pool": "none"},
    "cnn of average pooling": {**CNN, "pool": ["average", "max"], "activation": "silu", "dropout": [0.2, 0.4]},
    "cnn with a head": {**CNN, "head": [16, 12], "head_dropout": 0.5, "activation": "leaky_relu"},
    "cnn of sigmoids": {**CNN, "activation": "sigmoid"},
    "vgg": {"family": "vgg", "depth": 3, "width": 4, "convolutions": 2, "dropout": 0.3},
    "vgg without batch norm": {"family": "vgg", "depth": 2, "width": 4, "batch_norm": False, "activation": "gelu"},
    "resnet": {"family": "resnet", "depth": 4, "width": 4, "dropout": 0.2},
    "resnet without shortcuts": {"family": "resnet", "depth": 3, "width": 4, "residual": False},
}
OF_TRAINING = {"Dropout", "RandomUniformLike", "RandomNormalLike", "Bernoulli"}


@pytest.fixture(scope="module")
def network(trained, digit_splits):
    run = fresh(trained.config, digit_splits)
    run.load_state_dict(trained.best_state)
    return run


@pytest.fixture(scope="module")
def served(network):
    return ServedModule(network, "multiclass", T)


@pytest.fixture(scope="module")
def exported(served):
    return export.to_onnx(served, (8, 8))


def onnx_of(network, temperature=T, kind="multiclass", shape=(8, 8)):
    return export.to_onnx(ServedModule(network, kind, temperature), shape)


def run(model, inputs):
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["logits", "probabilities"], {session.get_inputs()[0].name: inputs})


def used(network, inputs):
    """The network after some training steps, but for the steps: its batch norms have seen data."""
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.from_numpy(inputs))
    return network


def settled_nodes(model):
    """Whether nothing in a graph is as it is in training."""
    nodes = onnx.load_from_string(model).graph.node
    norms = [node for node in nodes if node.op_type == "BatchNormalization"]
    in_training = [one for node in norms for one in node.attribute if one.name == "training_mode" and one.i]
    return (
        not in_training
        and all(len(node.output) == 1 for node in norms)
        and not ({node.op_type for node in nodes} & OF_TRAINING)
    )


@pytest.mark.parametrize("shape", [(8, 8), (16, 12, 3)], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_export_is_one_file_from_any_number_of_bytes_to_logits_and_probabilities(run_config, blobs, family, shape):
    dataset = blobs(shape=shape, images=40)
    dealt = splits.split(dataset, DataConfig(name="digits", validation=0, holdout=0, test=1))
    network = used(fresh(run_config(model=FAMILIES[family]), dealt), dataset.inputs)
    made = onnx_of(network, shape=shape)
    graph = onnx.load_from_string(made).graph
    assert not any(one.external_data for one in graph.initializer)
    assert settled_nodes(made)
    session = ort.InferenceSession(made, providers=["CPUExecutionProvider"])
    assert [(tensor.name, tensor.type, tensor.shape) for tensor in session.get_inputs()] == [
        ("pixels", "tensor(uint8)", ["batch", *shape])
    ]
    assert [(output.name, output.type, output.shape) for output in session.get_outputs()] == [
        ("logits", "tensor(float)", ["batch", 3]),
        ("probabilities", "tensor(float)", ["batch", 3]),
    ]
    assert network.training, "exporting changes nothing about the network"
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(dataset.inputs)).numpy()
    assert np.ptp(expected, axis=0).max() > 1e-3, "one answer for everything is compared with nothing"
    for count in (1, 3, 40, 0):
        logits, probabilities = run(made, dataset.inputs[:count])
        np.testing.assert_allclose(logits, expected[:count], atol=1e-4)
        np.testing.assert_allclose(probabilities, softmax(logits / T, 1), atol=1e-6)


def table(kind, rows=60):
    random = np.random.default_rng(5)
    classes = ("benign", "malignant") if kind == "binary" else ("a", "b", "c")
    inputs = random.normal([0, 500, 1.7e9], [1, 200, 20], (rows, 3))
    return Dataset("table", classes, inputs, random.integers(0, len(classes), rows), None, kind, ("x", "y", "z"))


@pytest.mark.parametrize("kind", ["multiclass", "binary"])
@pytest.mark.parametrize("family", ["linear", "mlp", "mlp with batch norm"])
def test_tables_are_exported_from_rows_of_numbers(run_config, family, kind):
    dataset = table(kind)
    dealt = splits.split(dataset, DataConfig(name="digits", validation=0, holdout=20, test=20))
    network = used(fresh(run_config(model=FAMILIES[family]), dealt), dataset.inputs)
    served = ServedModule(network, kind, T)
    made = export.to_onnx(served, dataset.shape)
    assert settled_nodes(made)
    session = ort.InferenceSession(made, providers=["CPUExecutionProvider"])
    [taken] = session.get_inputs()
    assert (taken.name, taken.type, taken.shape) == ("rows", "tensor(double)", ["batch", 3])
    one = export.evaluate(made, dealt.holdout, kind)
    assert one.probabilities.shape == (20, len(dataset.classes))
    parity = export.parity(served, one, dealt.holdout)
    assert (parity.agreement, parity.samples) == (1.0, 20) and parity.max_difference < 1e-5
    assert export.latency(made, dealt.holdout).p50_ms > 0
    by_torch = evaluation.of(network, dealt.holdout, kind, T)
    np.testing.assert_allclose(one.probabilities, by_torch.probabilities, atol=1e-6)
    np.testing.assert_allclose(one.uncalibrated, by_torch.uncalibrated, atol=1e-6)
    assert type(one) is type(by_torch) is (Binary if kind == "binary" else Classification)
    assert one.nll == pytest.approx(by_torch.nll, abs=1e-5) != one.nll_uncalibrated


def test_of_two_classes_the_probability_of_the_second_is_the_sigmoid_of_the_one_output(run_config, blobs):
    dataset = replace(blobs(classes=2), kind="binary")
    dealt = splits.split(dataset, DataConfig(name="digits", validation=0, holdout=0, test=1))
    network = fresh(run_config(model=CNN), dealt)
    logits, probabilities = run(onnx_of(network, kind="binary"), dataset.inputs)
    assert logits.shape == (60, 1)
    np.testing.assert_allclose(probabilities, np.hstack([expit(-logits / T), expit(logits / T)]), atol=1e-6)


@pytest.mark.parametrize("changes", [{"precision": "bf16"}, {"ema": 0.9}], ids=["bf16", "ema"])
def test_what_was_trained_in_bf16_or_averaged_is_exported_in_fp32(run_config, blobs, changes):
    dataset = blobs(noise=100)
    dealt = splits.split(dataset, DataConfig(name="digits", validation=0, holdout=15, test=15))
    training = Run(run_config(model=CNN, epochs=2, device="cpu", **changes), dealt)
    list(training)
    served = ServedModule(restored(training.config, dealt, checkpoint.encode(training.best_state)), "multiclass", T)
    made = export.to_onnx(served, (8, 8))
    kinds = {one.data_type for one in onnx.load_from_string(made).graph.initializer}
    assert onnx.TensorProto.FLOAT in kinds and onnx.TensorProto.BFLOAT16 not in kinds
    parity = export.parity(served, export.evaluate(made, dealt.holdout, "multiclass"), dealt.holdout)
    assert parity.agreement == 1.0 and parity.max_difference < 1e-5


def test_weights_that_are_kept_in_bf16_are_exported_in_fp32(network, digit_splits):
    pixels = digit_splits.holdout.at(slice(20))
    halved = copy.deepcopy(network).bfloat16()
    made = onnx_of(halved)
    with torch.inference_mode():
        expected = halved.float().eval()(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(run(made, pixels)[0], expected, atol=1e-4)


def test_what_training_goes_round_is_exported_as_it_is():
    network = nn.Sequential(Conv2d(3, 2, 1, stride=2), nn.Flatten(), nn.Linear(32, 2))
    model = onnx.load_from_string(onnx_of(nn.Sequential(Normalize([0.0], [1.0]), *network), shape=(8, 8, 3)))
    assert "Conv" in {node.op_type for node in model.graph.node}
    assert "Slice" not in {node.op_type for node in model.graph.node}


def test_a_layer_that_cannot_be_exported_is_one_sentence():
    class Own(nn.Module):
        def forward(self, pixels):
            return torch.linalg.eigh(pixels.float())[0]

    with pytest.raises(InvalidInput, match=r"^model: cannot be exported to ONNX: ") as refused:
        onnx_of(nn.Sequential(Own(), nn.Linear(8, 3)))
    assert str(refused.value).isprintable()


def test_an_export_evaluates_every_image_of_a_split_in_order(exported, digit_splits, monkeypatch):
    test = digit_splits.test
    whole = export.evaluate(exported, test, "multiclass")
    np.testing.assert_allclose(whole.probabilities, run(exported, test.inputs[test.places])[1], atol=1e-6)
    np.testing.assert_allclose(whole.uncalibrated, softmax(run(exported, test.inputs[test.places])[0], 1), atol=1e-6)
    assert (whole.targets == test.targets).all()
    monkeypatch.setattr(splits, "TOGETHER", 100)  # 359 images in batches that are not equal
    np.testing.assert_allclose(
        export.evaluate(exported, test, "multiclass").probabilities, whole.probabilities, atol=1e-6
    )


def measured(network, exported, split) -> Parity:
    return export.parity(ServedModule(network, "multiclass", T), export.evaluate(exported, split, "multiclass"), split)


def refused(parity):
    figures = ABOUT.evidence.model_copy(update={"parity": parity})
    verdict = gates.judge(Evidence("digits", 1, figures, size=1), None, Policy())
    assert {gate.name for gate in verdict.gates if not gate.passed} <= {"parity"}
    return verdict.reasons


def test_an_export_is_on_a_par_with_torch_on_every_held_out_image(network, exported, digit_splits):
    parity = measured(network, exported, digit_splits.holdout)
    assert (parity.agreement, parity.samples) == (1.0, 180) and parity.max_difference < 1e-5
    assert refused(parity) == []


def test_parity_does_not_depend_on_whether_the_network_was_left_in_training(network, exported, digit_splits):
    left = copy.deepcopy(network).train()
    assert measured(left, exported, digit_splits.holdout).max_difference < 1e-5
    assert left.training


def test_parity_is_measured_on_images_that_cannot_be_written_to(network, exported, digit_splits):
    images = digit_splits.holdout.inputs.copy()
    images.setflags(write=False)
    assert measured(network, exported, replace(digit_splits.holdout, inputs=images)).agreement == 1.0


def altered(data, change):
    """An export whose weights went through `change`."""
    model = onnx.load_from_string(data)
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(change(tensor.name, value).astype(value.dtype), tensor.name))
    return model.SerializeToString()


def test_parity_notices_weights_that_are_off_by_one_percent(network, exported, digit_splits):
    wrong = altered(exported, lambda name, value: value * 1.01 if "weight" in name else value)
    parity = measured(network, wrong, digit_splits.holdout)
    assert parity.max_difference > 1e-3 and refused(parity)


def test_parity_notices_normalisation_that_was_left_out(network, digit_splits):
    class Raw(nn.Module):
        def forward(self, pixels):
            return pixels.unsqueeze(1).to(torch.float32) / 255

    wrong = onnx_of(nn.Sequential(Raw(), *list(network)[1:]))
    parity = measured(network, wrong, digit_splits.holdout)
    assert parity.agreement < 0.99 and parity.max_difference > 0.1 and refused(parity)


def test_parity_notices_classes_that_were_permuted(network, digit_splits):
    permuted = copy.deepcopy(network)
    order = [1, 0, *range(2, 10)]
    with torch.no_grad():
        permuted[-1].weight.copy_(network[-1].weight[order])
        permuted[-1].bias.copy_(network[-1].bias[order])
    parity = measured(network, onnx_of(permuted), digit_splits.holdout)
    assert parity.agreement == pytest.approx(0.8, abs=0.03) and refused(parity)


def test_parity_notices_another_temperature_although_no_label_changes(network, digit_splits):
    parity = measured(network, onnx_of(network, 1.05 * T), digit_splits.holdout)
    assert parity.agreement == 1.0 and parity.max_difference > 1e-3 and refused(parity)


def test_parity_notices_an_export_that_answers_nothing(network, exported, digit_splits):
    wrong = altered(exported, lambda name, value: value * np.nan if "weight" in name else value)
    parity = measured(network, wrong, digit_splits.holdout)
    assert parity.max_difference is None and refused(parity)


def test_latency_is_that_of_one_image_on_one_thread(exported, digit_splits):
    taken = export.latency(exported, digit_splits.holdout)
    assert 0 < taken.p50_ms <= taken.p99_ms < 1000
    assert taken.record() == {"p50_ms": taken.p50_ms, "p99_ms": taken.p99_ms, "runs": 200, "threads": 1}


class Slow:
    """A session that takes so many milliseconds for each image, by a clock of its own."""

    def __init__(self, milliseconds):
        self.milliseconds, self.now, self.seen = iter(milliseconds), 0.0, []

    def get_inputs(self):
        return [SimpleNamespace(name="pixels")]

    def run(self, outputs, inputs):
        self.seen.append(inputs["pixels"])
        self.now += next(self.milliseconds) / 1000


@pytest.fixture
def timed(monkeypatch, digit_splits):
    """Measures a session whose runs take as many milliseconds as are given."""

    def measure(milliseconds, images=180):
        session, held = Slow(milliseconds), digit_splits.holdout
        monkeypatch.setattr(export, "session", lambda _: session)
        monkeypatch.setattr(export.time, "perf_counter", lambda: session.now)
        split = held.only(slice(images))
        return export.latency(b"", split), session

    return measure


def test_the_warm_up_does_not_count_and_percentiles_are_of_the_rest(timed):
    taken, session = timed([50] * 4 + [1] * 190 + [3] * 10)  # the warm-up ends after 0.2 s
    assert (taken.p50_ms, taken.p99_ms, taken.runs) == (pytest.approx(1), pytest.approx(3), 200)
    assert len(session.seen) == 204
    quick, session = timed([0.1] * 20 + [1] * 200)  # or after 20 runs
    assert quick.p99_ms == pytest.approx(1) and len(session.seen) == 220


def test_a_slow_export_is_measured_for_a_second_and_once_at_the_least(timed):
    taken, session = timed([300] * 5)
    assert (taken.p50_ms, taken.runs, len(session.seen)) == (pytest.approx(300), 4, 5)
    taken, session = timed([5000] * 2)
    assert (taken.p99_ms, taken.runs) == (pytest.approx(5000), 1)


def test_latency_is_measured_on_single_images_in_turn(timed, digit_splits):
    _, session = timed([1] * 220, images=3)
    assert all(image.shape == (1, 8, 8) and image.dtype == np.uint8 for image in session.seen)
    for index, image in enumerate(session.seen[20:]):
        np.testing.assert_array_equal(image, digit_splits.holdout.at(slice(index % 3, index % 3 + 1)))
