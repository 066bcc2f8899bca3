import pytest
import torch
from torch import nn

from tests.pictures import pixels
from training import models, plots
from training.models import Layer, Normalize


def test_the_table_of_a_network_has_its_shapes_parameters_and_total(texts):
    network = nn.Sequential(Normalize([0.0], [1.0]), nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 10))
    pixels(plots.layer_table(models.summary(network, (8, 8)), "a network"))
    assert texts[0] == "a network" and texts[1:5] == ["layer", "kind", "output", "parameters"]
    lines = [texts[position : position + 4] for position in range(5, len(texts) - 3, 4)]
    assert lines[1] == ["1", "Conv2d", "4×6×6", "40"]
    assert lines[3] == ["3", "Linear", "10", "1,450"]
    assert texts[-3:] == ["all", "4 layers", "1,490"]
    assert sum(parameter.numel() for parameter in network.parameters()) == 1490


@pytest.mark.parametrize(("count", "hidden"), [(60, 0), (61, 1), (400, 340)])
def test_of_very_many_layers_the_first_and_last_are_shown_and_none_is_lost(count, hidden, texts):
    layers = [Layer(f"layer {n}", "Linear", (n + 1,), n) for n in range(count)]
    pixels(plots.layer_table(layers, "deep"), most=2000)
    shown = [text for text in texts if text.startswith("layer ")]
    assert len(shown) == count - hidden and shown[0] == "layer 0" and shown[-1] == f"layer {count - 1}"
    assert any(text.startswith("…") for text in texts) == bool(hidden)
    if hidden:
        assert f"… {hidden} more layers" in texts and f"{sum(range(30, count - 30)):,}" in texts
    assert f"{sum(range(count)):,}" in texts


def test_names_from_anywhere_stay_in_their_column(texts):
    pixels(plots.layer_table([Layer("x" * 90 + "\n$", "y" * 90, (1,) * 40, 10**15)] * 5, "z" * 200))
    assert all(len(text) <= 80 and "\n" not in text for text in texts)


def test_a_network_without_parameters_has_none(texts):
    plots.layer_table(models.summary(nn.Sequential(nn.Flatten(), nn.ReLU()).to(torch.float32), (5,)), "none")
    assert texts[-3:] == ["all", "2 layers", "0"]
