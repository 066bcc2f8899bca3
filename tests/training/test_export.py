import copy
import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from scipy.special import softmax
from torch import nn

from registry import evidence, gates
from registry.evidence import Evidence
from registry.policy import Policy
from training import export, loop, splits
from training.config import DataConfig
from training.export import Parity

T = 1.7
FAMILIES = [
    {"family": "linear"},
    {"family": "mlp", "width": [20, 10], "dropout": 0.5},
    {"family": "cnn", "depth": 3, "width": 6, "dropout": 0.5},
]


@pytest.fixture(scope="module")
def network(trained, digit_splits):
    made = loop.network(trained.config, digit_splits)
    made.load_state_dict(trained.best_state)
    return made


@pytest.fixture(scope="module")
def exported(network):
    return export.to_onnx(network, (8, 8), T)


def run(model, pixels):
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["logits", "probabilities"], {session.get_inputs()[0].name: pixels})


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (16, 12, 3)], ids=str)
@pytest.mark.parametrize("model", FAMILIES, ids=lambda model: model["family"])
def test_an_export_is_one_file_from_any_number_of_bytes_to_logits_and_probabilities(run_config, blobs, model, shape):
    dataset = blobs(shape=shape, images=40)
    network = loop.network(run_config(model=model), splits.split(dataset, DataConfig(name="digits")))
    network.train()
    made = export.to_onnx(network, shape, T)
    graph = onnx.load_from_string(made).graph
    assert not any(one.external_data for one in graph.initializer)
    session = ort.InferenceSession(made, providers=["CPUExecutionProvider"])
    assert [(one.name, one.type, one.shape) for one in session.get_inputs()] == [
        ("pixels", "tensor(uint8)", ["batch", *shape])
    ]
    assert [(one.name, one.type, one.shape) for one in session.get_outputs()] == [
        ("logits", "tensor(float)", ["batch", 3]),
        ("probabilities", "tensor(float)", ["batch", 3]),
    ]
    assert network.training, "exporting changes nothing about the network"
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(dataset.images)).numpy()
    for count in (1, 3, 40, 0):
        logits, probabilities = run(made, dataset.images[:count])
        np.testing.assert_allclose(logits, expected[:count], atol=1e-4)
        np.testing.assert_allclose(probabilities, softmax(logits / T, 1), atol=1e-6)


def test_an_export_evaluates_every_image_of_a_split_in_order(exported, digit_splits, monkeypatch):
    whole = export.evaluate(exported, digit_splits.test)
    np.testing.assert_allclose(whole.probabilities, run(exported, digit_splits.test.images)[1], atol=1e-6)
    assert (whole.labels == digit_splits.test.labels).all()
    monkeypatch.setattr(export, "EVALUATION_BATCH", 100)  # 359 images in batches that are not equal
    np.testing.assert_allclose(
        export.evaluate(exported, digit_splits.test).probabilities, whole.probabilities, atol=1e-6
    )


def measured(network, exported, split) -> Parity:
    return export.parity(network, T, export.evaluate(exported, split), split)


def refused(parity):
    test = {"accuracy": 0.9, "samples": 9}
    files = {
        "baseline.json": json.dumps({"accuracy": 0.9, "standard_error": 0.01, "samples": 9, "test": test}).encode(),
        "signature.json": b'{"classes": ["even", "odd"]}',
    }
    known = evidence.gathered(files, {"parity": parity.record()})
    found = Evidence("digits", 1, 0.9, 180, None, known["parity"], None, 1, tuple("0123456789"), None, None)
    verdict = gates.judge(found, None, Policy())
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
    images = digit_splits.holdout.images.copy()
    images.setflags(write=False)
    assert measured(network, exported, replace(digit_splits.holdout, images=images)).agreement == 1.0


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

    wrong = export.to_onnx(nn.Sequential(Raw(), *list(network)[1:]), (8, 8), T)
    parity = measured(network, wrong, digit_splits.holdout)
    assert parity.agreement < 0.99 and parity.max_difference > 0.1 and refused(parity)


def test_parity_notices_classes_that_were_permuted(network, digit_splits):
    permuted = copy.deepcopy(network)
    order = [1, 0, *range(2, 10)]
    with torch.no_grad():
        permuted[-1].weight.copy_(network[-1].weight[order])
        permuted[-1].bias.copy_(network[-1].bias[order])
    parity = measured(network, export.to_onnx(permuted, (8, 8), T), digit_splits.holdout)
    assert parity.agreement == pytest.approx(0.8, abs=0.03) and refused(parity)


def test_parity_notices_another_temperature_although_no_label_changes(network, digit_splits):
    parity = measured(network, export.to_onnx(network, (8, 8), 1.05 * T), digit_splits.holdout)
    assert parity.agreement == 1.0 and parity.max_difference > 1e-3 and refused(parity)


def test_parity_notices_an_export_that_answers_nothing(network, exported, digit_splits):
    wrong = altered(exported, lambda name, value: value * np.nan if "weight" in name else value)
    parity = measured(network, wrong, digit_splits.holdout)
    assert np.isnan(parity.max_difference) and refused(parity)


def test_latency_is_that_of_one_image_on_one_thread(exported, digit_splits):
    taken = export.latency(exported, digit_splits.holdout)
    assert 0 < taken.p50_ms <= taken.p99_ms < 1000
    assert taken.record() == {"p50_ms": taken.p50_ms, "p99_ms": taken.p99_ms, "runs": 200, "threads": 1}


class Slow:
    """A session that takes so many milliseconds for each image, by a clock of its own."""

    def __init__(self, milliseconds):
        self.milliseconds, self.now, self.seen = iter(milliseconds), 0.0, []

    def run(self, outputs, inputs):
        self.seen.append(inputs["pixels"])
        self.now += next(self.milliseconds) / 1000


@pytest.fixture
def timed(monkeypatch, digit_splits):
    """Measures a session whose runs take as many milliseconds as are given."""

    def measure(milliseconds, images=180):
        session, held = Slow(milliseconds), digit_splits.holdout
        monkeypatch.setattr(export, "_session", lambda _: session)
        monkeypatch.setattr(export.time, "perf_counter", lambda: session.now)
        split = replace(held, images=held.images[:images], labels=held.labels[:images], ids=held.ids[:images])
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
    for place, image in enumerate(session.seen[20:]):
        np.testing.assert_array_equal(image[0], digit_splits.holdout.images[place % 3])
