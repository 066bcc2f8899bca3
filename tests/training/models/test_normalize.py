import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from training.models import Denormalize, Normalize

FIGURES = st.lists(st.floats(0, 255), min_size=3, max_size=3)
DEVIATIONS = st.lists(st.floats(1, 255), min_size=3, max_size=3)


@given(arrays.arrays(np.uint8, st.sampled_from([(2, 4, 3), (2, 4, 3, 3)])), FIGURES, DEVIATIONS)
def test_images_lose_the_mean_and_are_divided_by_the_deviation_of_each_channel(images, means, deviations):
    channels = 3 if images.ndim == 4 else 1
    normalized = Normalize(torch.tensor(means[:channels]), deviations[:channels])(torch.from_numpy(images))
    assert normalized.shape == (2, channels, 4, 3) and normalized.dtype == torch.float32
    last = images.reshape(2, 4, 3, channels).astype(np.float64)
    expected = np.moveaxis((last - means[:channels]) / deviations[:channels], 3, 1)
    np.testing.assert_allclose(normalized.numpy(), expected, rtol=1e-5, atol=1e-4)


@given(
    arrays.arrays(np.float64, (5, 3), elements=st.floats(-100, 100)),
    st.lists(st.floats(-1e12, 1e12), min_size=3, max_size=3),
    DEVIATIONS,
)
def test_rows_lose_the_mean_and_are_divided_by_the_deviation_before_they_are_rounded(apart, means, deviations):
    rows = apart + means
    made = Normalize(*(torch.tensor(figures, dtype=torch.float64) for figures in (means, deviations)))
    normalized = made(torch.from_numpy(rows))
    assert normalized.shape == (5, 3) and normalized.dtype == torch.float32
    np.testing.assert_array_equal(normalized.numpy(), ((rows - means) / deviations).astype(np.float32))


def test_a_blank_one_takes_the_figures_of_another():
    rows = Normalize(torch.tensor([1.7e9 + 1, 3], dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    images = Normalize(torch.tensor([80.0]), torch.tensor([50.0]))
    for made, shape in ((rows, (2,)), (images, (8, 8))):
        other = Normalize.blank(shape)
        other.load_state_dict(made.state_dict())
        assert other.mean.flatten().tolist() == made.mean.flatten().tolist()


@given(arrays.arrays(np.float32, (5, 1), elements=st.floats(-100, 100, width=32)), st.floats(-1e6, 1e6))
def test_numbers_get_the_deviation_and_the_mean_of_what_is_predicted(outputs, mean):
    for half in (False, True):
        given = torch.from_numpy(outputs).to(torch.bfloat16 if half else torch.float32)
        numbers = Denormalize(mean, 250.0)(given)
        assert numbers.dtype == torch.float64
        np.testing.assert_allclose(numbers.numpy(), given.double().numpy() * 250.0 + mean, rtol=1e-12)
