import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.pictures import painted, pixels
from training import plots
from training.plots import descent, style

STEEP = st.floats(0.05, 20)


@pytest.mark.parametrize(("a", "b", "lr"), [(1, 4, 0.02), (1, 4, 0.22), (2, 0.5, 0.1), (3, 3, 0.4)])
def test_the_path_is_that_of_torch(a, b, lr):
    here = torch.tensor(descent.START, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([here], lr)
    way = [here.detach().clone()]
    for _ in range(descent.STEPS):
        optimizer.zero_grad()
        (a * here[0] ** 2 + b * here[1] ** 2).backward()
        optimizer.step()
        way.append(here.detach().clone())
    assert np.allclose(descent.path(a, b, lr), torch.stack(way).numpy(), rtol=1e-10)


@pytest.mark.parametrize(("a", "b", "lr"), [(1, 4, 0.1), (2, 0.5, 0.2)])
def test_the_fitted_line_takes_the_same_path(a, b, lr):
    """Descent on b times the mean squared error of a line, from where the path starts, is the path itself."""
    x, y = (torch.from_numpy(part) for part in descent.points(a, b))
    best = torch.tensor(descent.BEST, dtype=torch.float64)
    line = (best + torch.tensor(descent.START, dtype=torch.float64)).requires_grad_()
    way = [line.detach().clone()]
    for _ in range(descent.STEPS):
        (gradient,) = torch.autograd.grad(b * ((line[0] * x + line[1] - y) ** 2).mean(), line)
        line = (line - lr * gradient).detach().requires_grad_()
        way.append(line.detach().clone())
    assert np.allclose((torch.stack(way) - best).numpy(), descent.path(a, b, lr), atol=1e-9)


@given(STEEP, STEEP)
def test_no_line_fits_the_points_better_than_the_best(a, b):
    x, y = descent.points(a, b)
    assert np.allclose(np.polyfit(x, y, 1), descent.BEST)
    assert (x**2).mean() == pytest.approx(a / b)


@pytest.mark.parametrize("rates", [[0.1], [0.02, 0.1, 0.22, 0.26], [0.01 * n for n in range(1, 8)]], ids=len)
def test_each_learning_rate_has_its_path_and_its_lines(rates, texts):
    picture = pixels(plots.gradient_descent(1, 4, rates), most=2500)
    for color in style.SEVERAL[: len(rates)]:
        assert painted(picture, color) > 50
    for lr in rates:
        assert sum(text.startswith(f"lr {lr:g}") for text in texts) == 2  # in the legend, and above its lines
    assert "Gradient descent on 1·x² + 4·y², 20 steps from (4, 2)" in texts


def test_what_zigzags_and_what_diverges_is_told(texts):
    plots.gradient_descent(1, 4, [0.1, 0.2, 0.25, 0.3])
    message = list(dict.fromkeys(text for text in texts if text.startswith("lr ")))
    assert message == ["lr 0.1", "lr 0.2: zigzags", "lr 0.25: zigzags", "lr 0.3: diverges"]


def test_a_path_that_leaves_the_picture_ends_at_its_edge():
    shown, within = descent._reaching(descent.path(1, 4, 1000))
    assert (len(shown), within) == (2, 1) and shown[1, 1] == -descent.REACH
    start, outside = descent.path(1, 4, 1000)[:2]
    share = (shown[1] - start) / (outside - start)
    assert share[0] == pytest.approx(share[1])  # on the way there
    shown, within = descent._reaching(descent.path(1, 4, 0.1))
    assert len(shown) == within == descent.STEPS + 1
    pixels(plots.gradient_descent(1, 4, [1000.0]), most=2500)


@pytest.mark.parametrize(("a", "b"), [(0.01, 100), (100, 0.01)])
def test_the_flattest_and_the_steepest_valley_can_be_drawn(a, b):
    pixels(plots.gradient_descent(a, b, [0.001, 0.01]), most=2500)
