import signal

import pytest

from tuning.stop import Stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_at_once_outside_the_search(number):
    with pytest.raises(KeyboardInterrupt), Stop().caught():
        signal.raise_signal(number)


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    stop = Stop()
    with stop.caught(), stop.searching():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == before


def test_during_the_search_tune_is_told_and_the_interrupt_comes_after_it():
    told = []
    stop = Stop()
    with pytest.raises(KeyboardInterrupt), stop.caught(), stop.searching():
        signal.signal(signal.SIGUSR1, lambda *_: told.append("tune"))
        signal.raise_signal(signal.SIGTERM)
        told.append("went on")
    assert told == ["tune", "went on"]


def test_a_second_signal_during_the_search_does_not_wait():
    stop = Stop()
    with pytest.raises(KeyboardInterrupt), stop.caught(), stop.searching():
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second signal was swallowed")


def test_what_is_being_committed_is_not_interrupted():
    stop = Stop()
    with stop.caught(), stop.committing():
        signal.raise_signal(signal.SIGTERM)
