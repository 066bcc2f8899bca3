import torch
from torch import nn

from training import models
from training.config import CnnConfig, MlpConfig, ResnetConfig
from training.models import Layer, summary


def network(config, shape):
    count = shape[-1] if len(shape) != 2 else 1
    return models.build(config, shape, 10, models.Normalize([0.0] * count, [1.0] * count))


def test_the_layers_of_a_net_with_shapes_and_parameters():
    rows = summary(network(CnnConfig(family="cnn", depth=1, width=4), (8, 6, 3)), (8, 6, 3))
    assert rows == [
        Layer("0", "Normalize", (3, 8, 6), 0),
        Layer("1", "Conv2d", (4, 8, 6), 108),
        Layer("2", "MaxPool2d", (4, 4, 3), 0),
        Layer("3", "BatchNorm2d", (4, 4, 3), 8),
        Layer("4", "ReLU", (4, 4, 3), 0),
        Layer("5", "Flatten", (48,), 0),
        Layer("6", "Linear", (10,), 490),
    ]


def test_nested_layers_stand_in_the_order_of_computation_and_their_parameters_are_all_there():
    made = network(ResnetConfig(family="resnet", width=4), (28, 28))
    rows = summary(made, (28, 28))
    assert sum(row.parameters for row in rows) == sum(parameter.numel() for parameter in made.parameters())
    second = [row.name for row in rows if row.name.startswith("5.")]
    parts = ["conv1", "bn1", "relu", "conv2", "bn2", "downsample.0", "downsample.1", "relu"]
    assert second == [f"5.{part}" for part in parts]


def test_rows_of_a_table():
    rows = summary(network(MlpConfig(family="mlp", depth=1), (4,)), (4,))
    assert [(row.kind, row.shape, row.parameters) for row in rows] == [
        ("Normalize", (4,), 0), ("Flatten", (4,), 0), ("Linear", (128,), 640), ("ReLU", (128,), 0),
        ("Linear", (10,), 1290),
    ]  # fmt: skip


def test_weights_that_are_shared_count_once_and_the_network_is_as_before():
    shared = nn.Linear(4, 4)
    made = nn.Sequential(shared, nn.Dropout(0.5), shared, nn.LSTM(4, 3))
    rows = summary(made, (4,))
    assert [(row.kind, row.parameters) for row in rows] == [
        ("Linear", 20), ("Dropout", 0), ("Linear", 0), ("LSTM", 108),
    ]  # fmt: skip
    assert made.training
    assert not any(layer._forward_hooks for layer in made.modules())
    assert summary(made.eval(), (4,)) == rows and not made.training


def test_a_module_with_weights_of_its_own_beside_layers_counts_them():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4))
            self.inner = nn.Linear(4, 2)

        def forward(self, rows):
            return self.inner(rows * self.scale)

    assert [(row.name, row.parameters) for row in summary(nn.Sequential(Scaled()), (4,))] == [("0.inner", 10), ("0", 4)]
