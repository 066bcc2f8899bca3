import pytest
import torch
from torch import nn

from tailorbird.errors import InvalidInput
from training import models, optimization
from training.config import BACKBONES, OptimizerConfig, PretrainedConfig
from training.models import Normalize, pretrained

SHAPE = (64, 64, 3)


def config(**keys):
    return PretrainedConfig.model_validate({"family": "pretrained", "backbone": "mobilenet_v3_small", **keys})


def network(chosen, shape=SHAPE, outputs=3):
    return models.build(chosen, shape, outputs, Normalize.blank(shape))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_gives_logits_and_can_train_its_last_stage(backbone):
    built = network(config(backbone=backbone, tune="last"))
    backbone_module = built[1]
    trained = sum(weight.numel() for weight in backbone_module.parameters() if weight.requires_grad)
    assert 0 < trained < sum(weight.numel() for weight in backbone_module.parameters())
    assert built(torch.zeros(2, *SHAPE, dtype=torch.uint8)).shape == (2, 3)


def test_frozen_backbone_has_no_gradient_and_stays_in_evaluation():
    built = network(config(tune="head", depth=1, width=16, dropout=0.5)).train()
    assert [name for name, weight in built.named_parameters() if weight.requires_grad and name.startswith("1.")] == []
    assert not any(module.training for module in built[1].modules())
    assert any(module.training for module in built if isinstance(module, nn.Dropout))


def test_statistics_of_batch_norm_are_kept_while_weights_are_tuned():
    built = network(config(tune="all")).train()
    before = {name: value.clone() for name, value in built.state_dict().items() if "running" in name}
    built(torch.randint(0, 256, (4, *SHAPE), dtype=torch.uint8)).sum().backward()
    assert all(torch.equal(built.state_dict()[name], value) for name, value in before.items())
    assert all(weight.grad is not None for weight in built.parameters())


def test_batch_norm_of_what_is_tuned_goes_on_counting_where_it_is_asked_to():
    built = network(config(tune="last", batch_norm=True)).train()
    before = {name: value.clone() for name, value in built.state_dict().items() if "running" in name}
    built(torch.randint(0, 256, (4, *SHAPE), dtype=torch.uint8))
    moved = {name for name, value in before.items() if not torch.equal(built.state_dict()[name], value)}
    assert moved and all(
        name.startswith(("1.body.features.10", "1.body.features.11", "1.body.features.12")) for name in moved
    )


OWN = """
from torch import nn

def wrapped():
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Sequential(nn.Conv2d(4, 5, 3)), nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(nn.ModuleDict({"net": body})["net"])

def untracked():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "nets_to_wrap.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return lambda name, **keys: config(backbone=f"nets_to_wrap:{name}", weights="w.safetensors", **keys)


def test_the_last_stage_of_a_network_that_is_wrapped_is_its_own(own):
    backbone = pretrained.backbone_of(own("wrapped", tune="last"))
    assert [name for name, weight in backbone.named_parameters() if weight.requires_grad] == [
        "body.0.2.0.weight", "body.0.2.0.bias",
    ]  # fmt: skip


@pytest.mark.parametrize("tune", ["head", "all"])
def test_batch_norm_without_statistics_is_refused(own, tune):
    with pytest.raises(InvalidInput, match=r"^model.backbone: nets_to_wrap:untracked has batch norm with track_run"):
        pretrained.backbone_of(own("untracked", tune=tune))


def test_a_backbone_learns_at_a_share_of_the_rate_and_rests_in_the_first_epoch():
    groups = optimization.optimizer(network(config(tune="all")), OptimizerConfig(backbone_scale=0.25)).param_groups
    assert [optimization.scale(group, 0) for group in groups] == [1.0, 0.0]
    assert [optimization.scale(group, 1) for group in groups] == [1.0, 0.25]


def test_grey_images_are_shown_in_three_channels():
    grey, shape = network(config(), (64, 64)), (64, 64)
    colour = network(config())
    colour.load_state_dict(
        {**grey.state_dict(), "0.mean": torch.zeros(1, 3, 1, 1), "0.deviation": torch.ones(1, 3, 1, 1)}
    )
    images = torch.randint(0, 256, (2, *shape), dtype=torch.uint8)
    expected = colour.eval()(images[..., None].expand(-1, -1, -1, 3))
    torch.testing.assert_close(grey.eval()(images), expected)


def test_images_that_are_too_small_are_refused():
    with pytest.raises(
        InvalidInput, match=r"^model.family: .* 32 pixels or more, not images of 28x28; resize .* by data.size"
    ):
        network(config(), (28, 28))


def test_head_has_its_depth_width_and_dropout():
    layers = pretrained.head(config(width=[32, 16], dropout=0.5), 100, 3)
    assert [layer.out_features for layer in layers if isinstance(layer, nn.Linear)] == [32, 16, 3]
    assert sum(isinstance(layer, nn.Dropout) for layer in layers) == 3


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"backbone": "resnet19"}, "must be one of resnet18, .*, or package.module:name, not 'resnet19'"),
        ({"weights": "w.pth"}, "weights applies only to a backbone of your own"),
        ({"weights_licence": "MIT"}, "weights_licence applies only to a backbone of your own"),
        ({"backbone": "nets:small"}, "weights is required"),
        ({"backbone": "nets:small", "weights": "w", "weights_licence": "M\nIT"}, "a line of text, and this holds"),
        ({"batch_norm": True}, "batch_norm applies only to a tuned backbone"),
        ({"width": [8, 8], "depth": 3}, "depth 3 contradicts the 2 widths"),
        ({"tune": "some"}, "'head', 'last' or 'all'"),
    ],
)
def test_wrong_keys_are_refused(keys, reason):
    with pytest.raises(ValueError, match=reason):
        config(**keys)
