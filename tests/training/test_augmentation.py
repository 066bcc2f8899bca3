import pytest
import torch

from training import augmentation
from training.config import AugmentConfig

SHAPES = [(9, 6, 5), (9, 6, 5, 3)]


def images(shape):
    """Every pixel differs from the others, and none is black."""
    count = torch.Size(shape).numel()
    return (1 + torch.arange(count) % 255).to(torch.uint8).view(shape)


def moved(image, down, right):
    """The image's window that begins at (down, right), over a black ground."""
    result = torch.zeros_like(image)
    height, width = image.shape[:2]
    for row in range(height):
        for column in range(width):
            if 0 <= row + down < height and 0 <= column + right < width:
                result[row, column] = image[row + down, column + right]
    return result


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("shape", SHAPES)
def test_some_images_are_mirrored_whole_and_others_are_not(shape):
    given = images(shape)
    made = augmentation.flip(given)
    kinds = [(torch.equal(a, b), torch.equal(a, b.flip(1))) for a, b in zip(made, given, strict=True)]
    assert set(kinds) == {(True, False), (False, True)}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_image_is_moved_by_itself_within_reach(shape):
    given = images(shape)
    found = set()
    for before, after in zip(given, augmentation.crop(given, 2), strict=True):
        fits = [(d, r) for d in range(-2, 3) for r in range(-2, 3) if torch.equal(moved(before, d, r), after)]
        assert len(fits) == 1
        found.add(fits[0])
    assert len(found) > 4


def test_every_offset_occurs():
    given = images((2000, 6, 5))
    made = augmentation.crop(given, 1)
    offsets = {(d, r): moved(given[0], d, r) for d in range(-1, 2) for r in range(-1, 2)}
    assert all(
        any(torch.equal(one, moved(before, *key)) for one, before in zip(made, given, strict=True)) for key in offsets
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_a_square_of_each_image_is_blackened(shape):
    given = images(shape)
    made = augmentation.erase(given, 3)
    sizes = set()
    for before, after in zip(given, made, strict=True):
        black = (after == 0) if after.dim() == 2 else (after == 0).all(2)
        assert torch.equal(after[~black], before[~black])
        rows, columns = black.any(1).sum().item(), black.any(0).sum().item()
        assert black.sum() == rows * columns and 2 <= rows <= 3 and 2 <= columns <= 3
        sizes.add((rows, columns))
    assert (3, 3) in sizes


def test_nothing_is_done_unasked():
    given = images((4, 6, 5))
    assert augmentation.augment(given, AugmentConfig()) is given


@pytest.mark.parametrize("config", [{"flip": True}, {"crop": 2}, {"erase": 3}])
def test_each_is_done_where_it_is_asked_for(config):
    given = images((20, 6, 5, 3))
    made = augmentation.augment(given, AugmentConfig(**config))
    assert made.shape == given.shape and made.dtype == torch.uint8 and not torch.equal(made, given)
