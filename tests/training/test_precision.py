import numpy as np
import pytest
import torch

from training import precision, splits
from training.config import DataConfig
from training.datasets import Dataset
from training.loop import Run


@pytest.fixture
def processor(monkeypatch):
    """A processor that has these instructions, and no GPU beside it."""

    def has(*names, model="AMD EPYC"):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {**dict.fromkeys(names, True), "cpu_name": model})

    return has


@pytest.mark.parametrize(
    "model, names, chosen, note",
    [
        ("AMD EPYC", ["avx512_bf16"], "bf16", "precision: bf16, by avx512_bf16"),
        ("Intel Xeon", ["amx_bf16", "avx512_bf16"], "bf16", "precision: bf16, by amx_bf16, avx512_bf16"),
        ("Intel Xeon", ["avx512_bf16"], "fp32", "precision: fp32, no instructions here make bf16 faster"),
        ("AMD EPYC", [], "fp32", "precision: fp32, no instructions here make bf16 faster"),
    ],
)
def test_auto_takes_bf16_where_instructions_make_it_faster(processor, run_config, few, model, names, chosen, note):
    processor(*names, model=model)
    config = run_config(precision="auto")
    assert precision.settled(config, few).precision == chosen == Run(config, few).config.precision
    assert precision.note(config, few) == note


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_what_is_asked_for_is_taken(processor, run_config, few, asked):
    processor()
    assert precision.settled(run_config(precision=asked), few).precision == asked


@pytest.mark.parametrize("able", [True, False])
def test_a_gpu_is_asked_for_its_own(monkeypatch, run_config, few, able):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda emulated: able and not emulated)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H200")
    config = run_config(precision="auto")
    assert precision.settled(config, few).precision == ("bf16" if able else "fp32")
    assert precision.note(config, few).startswith("precision: bf16, by NVIDIA H200" if able else "precision: fp32, ")


@pytest.mark.parametrize("kind, classes", [("regression", ("price",)), ("multiclass", ("a", "b", "c"))])
def test_numbers_keep_their_digits(processor, run_config, kind, classes):
    processor("avx512_bf16")
    rows = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    targets = np.linspace(0, 1, 60) if kind == "regression" else np.arange(60) % 3
    dealt = splits.split(Dataset("rows", classes, rows, targets, None, kind), DataConfig(name="digits"))
    config = run_config(precision="auto")
    assert precision.settled(config, dealt).precision == "fp32"
    assert precision.note(config, dealt) == "precision: fp32, for numbers"
