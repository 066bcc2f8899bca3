import math
from contextlib import nullcontext

import pytest

from registry import repeats
from tailorbird.errors import Irreproducible

COUNTS = {"val_accuracy": 40, "train_accuracy": 0}
FIRST = {"val_loss": 0.5, "val_accuracy": 0.9, "train_accuracy": 0.5, "mean_val_loss": math.nan, "seconds": 1.0}


@pytest.mark.parametrize(
    ("changes", "exact", "name"),
    [
        ({}, True, None),
        ({"seconds": 2.0}, True, None),
        ({"val_loss": math.nextafter(0.5, 1)}, True, "val_loss"),
        ({"val_loss": 0.519, "val_accuracy": 0.883}, False, None),
        ({"val_loss": 0.53}, False, "val_loss"),
        ({"val_accuracy": 0.9 - 3 / 40}, False, None),
        ({"val_accuracy": 0.9 - 4 / 40}, False, "val_accuracy"),
        ({"val_accuracy": 0.9 - 1 / 40}, True, "val_accuracy"),
        ({"train_accuracy": 0.53}, False, "train_accuracy"),
        ({"val_accuracy": math.nan}, False, "val_accuracy"),
        ({"mean_val_loss": 0.1}, False, "mean_val_loss"),
        ({"test_accuracy": 0.9, "fit_loss": 0.1}, True, None),
    ],
)
def test_figures_are_the_same_to_the_last_bit_or_within_the_tolerance_of_a_gpu(changes, exact, name):
    with pytest.raises(Irreproducible, match=f"epoch 1 has {name} ") if name else nullcontext():
        repeats.check("epoch 1", FIRST, FIRST | changes, exact, COUNTS)


@pytest.mark.parametrize("name", repeats.FINAL)
def test_final_figures_are_compared_where_both_have_them(name):
    before, now = ({**FIRST, f"{name}accuracy": value} for value in (0.9, 0.8))
    repeats.check("epoch 1", before, FIRST, True, COUNTS)
    with pytest.raises(Irreproducible, match=f"epoch 1 has {name}accuracy 0.8"):
        repeats.check("epoch 1", before, now, True, COUNTS)
