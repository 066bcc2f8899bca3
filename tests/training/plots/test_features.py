import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.pictures import pixels
from training import plots
from training.models import Normalize
from training.plots import features

IMAGE = np.array([[0, 1, 7, 5], [5, 5, 6, 6], [5, 3, 3, 0], [1, 1, 1, 2]], np.float32)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "expected"),
    [
        ([[1, 0, 1], [1, 2, 0], [3, 0, 1]], 1, 0, [[40, 32], [26, 25]]),
        ([[1, 0], [1, 2]], 1, 0, [[15, 18, 25], [16, 14, 9], [8, 6, 8]]),
        ([[1, 0], [1, 2]], 2, 0, [[15, 25], [8, 8]]),
        (
            [[1, 0, 0], [1, 2, 1], [1, 2, 3]],
            1,
            1,
            [[26, 42, 55, 35], [34, 41, 33, 28], [18, 25, 23, 14], [3, 9, 8, 8]],
        ),
    ],
)
def test_convolutions_worked_out_by_hand(kernel, stride, padding, expected):
    assert features.convolved(IMAGE, np.array(kernel, np.float32), stride, padding).tolist() == expected


@given(
    st.integers(3, 9), st.integers(3, 9), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.integers(0, 99)
)
def test_a_convolution_is_that_of_torch(height, width, kernel, stride, padding, seed):
    random = np.random.default_rng(seed)
    image, weights = (random.normal(size=shape).astype(np.float32) for shape in ((height, width), (kernel, kernel)))
    tensors = [torch.from_numpy(one)[None, None] for one in (image, weights)]
    expected = nn.functional.conv2d(*tensors, stride=stride, padding=padding)[0, 0].numpy()
    assert np.allclose(features.convolved(image, weights, stride, padding), expected, atol=1e-5)


def test_the_diagonal_kernel_keeps_falling_lines_and_spreads_rising_ones():
    falling = np.eye(16, dtype=np.float32)
    after = features.convolved(falling, features.DIAGONAL)
    assert (np.diag(after) == 3).all() and after.sum() == 3 * 14
    rising = features.convolved(falling[:, ::-1], features.DIAGONAL)
    assert rising.max() == 1 and (rising > 0).sum() > 3 * 12


def test_it_is_applied_three_times_and_each_time_two_pixels_are_lost(texts):
    pixels(plots.diagonal(features.lines()))
    assert [text for text in texts if "×" in text and "kernel" not in text] == [
        "image\n64×64",
        "applied once\n62×62",
        "twice\n60×60",
        "three times\n58×58",
    ]
    assert sorted(text for text in texts if text in "01") == ["0"] * 6 + ["1"] * 3


def test_an_image_of_any_size_that_a_kernel_fits_can_be_drawn():
    pixels(plots.diagonal(np.arange(49, dtype=np.uint8).reshape(7, 7)))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    middle = nn.Sequential(nn.Conv2d(4, 12, 3, stride=2), nn.ReLU())
    return nn.Sequential(Normalize([10.0], [2.0]), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), middle, nn.Flatten())


def test_maps_are_what_each_convolution_gives(network):
    image = np.random.default_rng(0).integers(0, 256, (12, 12)).astype(np.uint8)
    network.train()
    result = features.maps(network, image)
    assert {name: one.shape for name, one in result.items()} == {"1": (4, 10, 10), "3.0": (12, 4, 4)}
    normal = (torch.from_numpy(image)[None, None].float() - 10) / 2
    assert np.allclose(result["1"], network[1](normal)[0].detach().numpy(), atol=1e-5)
    assert not any(layer._forward_hooks for layer in network.modules())


def test_each_layer_is_a_row_that_says_how_many_of_its_maps_it_shows(network, texts):
    image = np.random.default_rng(0).integers(0, 256, (12, 12)).astype(np.uint8)
    pixels(plots.feature_maps(features.maps(network, image), image, "the title"))
    assert "convolution 1, layer 1: 4 of 4 maps, 10×10" in texts
    assert "convolution 2, layer 3.0: 8 of 12 maps, 4×4" in texts and "the title" in texts


def test_of_deep_models_some_layers_from_first_to_last_are_shown(texts):
    maps = {f"{n}.0": np.random.default_rng(n).random((3, 5, 5)).astype(np.float32) for n in range(20)}
    pixels(plots.feature_maps(maps, np.zeros((5, 5, 3), np.uint8), "deep"))
    rows = [text for text in texts if text.startswith("convolution ")]
    assert (
        len(rows) == 8
        and rows[0].startswith("convolution 1, layer 0.0:")
        and rows[-1].startswith("convolution 20, layer 19.0:")
    )
    assert "deep, 8 of 20 layers" in texts
