import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.recent import ROWS, Recent


@given(st.lists(st.integers(1, 2 * ROWS), max_size=8))
def test_it_holds_the_last_answers(sizes):
    recent, sent = Recent(1), np.empty((0, 1), np.float32)
    for size in sizes:
        answers = np.arange(len(sent), len(sent) + size, dtype=np.float32)[:, None]
        recent.add(answers)
        sent = np.concatenate((sent, answers))
    assert sorted(recent.rows()[:, 0]) == sorted(sent[-ROWS:, 0])


def test_what_is_read_is_a_copy():
    recent = Recent(2)
    recent.add(np.ones((3, 2), np.float32))
    recent.rows()[:] = 0
    assert recent.rows().all()
