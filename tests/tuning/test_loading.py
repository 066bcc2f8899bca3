import threading

import pytest

from tuning.loading import Loading


def test_what_was_loaded_is_there_in_the_end():
    gate = threading.Event()
    loading = Loading(lambda: gate.wait(10) and 7)
    loading.wait(0)
    gate.set()
    assert loading.result() == 7


def test_what_goes_wrong_is_raised_where_it_is_asked_for():
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Loading(fail).result()
