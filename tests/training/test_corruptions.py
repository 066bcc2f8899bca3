import numpy as np
import pytest

from training import corruptions

IMAGES = {
    "grey": np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8),
    "colour": np.random.default_rng(1).integers(0, 256, (6, 32, 24, 3), np.uint8),
    "tiny": np.random.default_rng(2).integers(0, 256, (6, 8, 8), np.uint8),
}


@pytest.mark.parametrize("name", corruptions.FAMILIES)
@pytest.mark.parametrize("kind", IMAGES)
def test_images_keep_their_shape_and_type_and_leave_the_original_alone(name, kind):
    images = IMAGES[kind].copy()
    for severity in corruptions.SEVERITIES:
        corrupted = corruptions.corrupt(name, images, severity, np.random.default_rng(0))
        assert corrupted.shape == images.shape
        assert corrupted.dtype == np.uint8
    assert (images == IMAGES[kind]).all()
    assert (corrupted != images).any()


@pytest.mark.parametrize("name", corruptions.FAMILIES)
def test_the_same_seed_corrupts_the_same_way(name):
    twice = [corruptions.corrupt(name, IMAGES["grey"], 0.45, np.random.default_rng(3)) for _ in range(2)]
    assert (twice[0] == twice[1]).all()


def test_a_stranger_has_quarters_of_several_images():
    flat = np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    mixed = corruptions.strangers(flat, np.random.default_rng(0))
    assert np.mean([len(np.unique(image)) for image in mixed]) > 3
    assert sorted(mixed[:, 0, 0]) == list(range(40))
