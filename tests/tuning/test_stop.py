import signal

import pytest

from tuning.stop import Stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_at_once_outside_the_search(number, capsys):
    with pytest.raises(KeyboardInterrupt), Stop().caught():
        signal.raise_signal(number)
    assert capsys.readouterr().err == ""


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    stop = Stop()
    with stop.caught(), stop.searching():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == before


def test_during_the_search_tune_is_told_and_the_interrupt_comes_after_it():
    messages = []
    stop = Stop()
    with pytest.raises(KeyboardInterrupt), stop.caught(), stop.searching():
        signal.signal(signal.SIGUSR1, lambda *_: messages.append("tune"))
        signal.raise_signal(signal.SIGTERM)
        messages.append("went on")
    assert messages == ["tune", "went on"]


def test_the_second_signal_is_let_go_by_and_the_third_does_not_wait(capsys):
    stop = Stop()
    with pytest.raises(KeyboardInterrupt), stop.caught(), stop.searching():
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert capsys.readouterr().err == "stopping: waiting for the workers to stop\n" * 2
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the third signal was swallowed")


def test_after_the_search_no_trials_are_waited_for(capsys):
    stop = Stop()
    with stop.caught():
        with pytest.raises(KeyboardInterrupt), stop.searching():
            signal.signal(signal.SIGUSR1, lambda *_: None)
            signal.raise_signal(signal.SIGINT)
        capsys.readouterr()
        signal.raise_signal(signal.SIGINT)
    assert capsys.readouterr().err == "stopping: waiting for the sweep to close\n"


def test_the_third_signal_does_not_wait_for_ray_either(capsys):
    stop = Stop()
    with pytest.raises(KeyboardInterrupt), stop.caught(), stop.starting():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert capsys.readouterr().err == "stopping: waiting for Ray to start\n" * 2
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the third signal was swallowed")


def test_the_hang_up_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop().caught():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_ends_the_search_and_nothing_else():
    heard = []
    stop = Stop()
    stop.cancel()
    with stop.searching():
        signal.signal(signal.SIGUSR1, lambda *_: heard.append("tune"))
        stop.cancel()
    assert heard == ["tune"]


def test_what_is_being_committed_is_not_interrupted():
    stop = Stop()
    with stop.caught():
        stop.commit()
        signal.raise_signal(signal.SIGTERM)
