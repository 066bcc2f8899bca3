import threading
from functools import partial

import numpy as np
import pytest

from registry.core import Registry
from tailorbird.prediction import inputs, offline
from tailorbird.prediction.inputs import Batch, Failure
from tailorbird.prediction.predictors import Local


class Kept:
    """An output in memory."""

    def __init__(self):
        self.answers = []

    def write(self, answers):
        self.answers.append(answers)


@pytest.fixture
def digits(house):
    with Registry(house.settings) as registry:
        return Local(registry, "digits")


def batch(start, size, failures=()):
    return Batch([f"{start + i}" for i in range(size)], [""] * size, np.zeros((size, 8, 8), np.uint8), failures)


def test_answers_come_in_the_order_of_the_files_whatever_ends_first(digits):
    later = threading.Event()

    def slow():
        assert later.wait(60)
        return batch(0, 2)

    def quick():
        later.set()
        return batch(2, 3)

    output, sizes = Kept(), []
    answered, failures = offline.predict(iter([slow, quick]), digits, output, sizes.append)
    assert (answered, list(failures), sizes) == (5, [], [2, 3])
    assert [file for answers in output.answers for file in answers.files] == list("01234")


def test_batches_without_a_readable_input_are_failures_only(digits):
    broken = [Failure("x", "is broken"), Failure("y", "is broken")]
    output, sizes = Kept(), []
    readers = iter([partial(batch, 0, 0, broken), partial(batch, 0, 1, broken[:1])])
    assert offline.predict(readers, digits, output, sizes.append) == (1, [*broken, broken[0]])
    assert sizes == [2, 2] and len(output.answers) == 1


def test_an_answer_is_that_of_the_likeliest_class(house, digits):
    output = Kept()
    files = inputs.select([house.images], digits.signature).files
    offline.predict(inputs.readers(files, digits.signature, 10_000), digits, output, lambda size: None)
    expected = digits.predict(house.pixels)
    answered = np.concatenate([answers.probabilities for answers in output.answers])
    assert np.allclose(answered, expected, atol=1e-6)
    labels = [label for answers in output.answers for label in answers.labels]
    assert labels == [digits.signature.classes[index] for index in expected.argmax(1)]


def test_a_batch_that_fails_ends_all_with_its_error(digits):
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        offline.predict(iter([partial(batch, 0, 1), broken]), digits, Kept(), lambda size: None)
