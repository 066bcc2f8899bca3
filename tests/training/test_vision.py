import pytest
import torch

from training.vision import torchvision


def test_transforms_models_and_grids_can_be_had_whether_or_not_the_compiled_operators_load():
    image = torch.zeros((3, 4, 4), dtype=torch.uint8)
    assert torchvision("transforms.v2").functional.resize(image, [2, 6]).shape == (3, 2, 6)
    assert torchvision("models").resnet18(num_classes=7).fc.out_features == 7
    assert torchvision("utils").make_grid([image, image], 2).shape == (3, 8, 14)


def test_where_they_do_not_load_they_are_declared_once(monkeypatch):
    def fails(path):
        raise OSError(f"{path}: undefined symbol")

    monkeypatch.setattr(torch.ops, "load_library", fails)
    first = torchvision("utils")
    operator = torch.ops.torchvision.nms
    assert torchvision("utils") is first
    assert torch.ops.torchvision.nms is operator


def test_a_module_that_is_not_there_is_an_import_error():
    with pytest.raises(ModuleNotFoundError, match=r"torchvision\.nothing"):
        torchvision("nothing")
