import os
import signal
import time

import pytest

from serving import signals
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(signals, "REPEAT_SECONDS", 0.05)


@pytest.mark.parametrize("number", signals.STOPPING)
def test_a_signal_reaches_a_handler_that_is_set_later(tmp_path, number):
    calls = []
    with signals.repeated(tmp_path):
        os.kill(os.getpid(), number)
        wait_for(lambda: not (tmp_path / signals.RUNNING).exists())
        signal.signal(signal.SIGTERM, lambda *_: calls.append(1))
        wait_for(lambda: calls)


def test_a_signal_that_is_dropped_comes_again(tmp_path):
    calls = []
    with signals.repeated(tmp_path):
        signal.signal(signal.SIGTERM, lambda *_: calls.append(1))
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(lambda: len(calls) >= 3)


def test_other_signals_do_not(tmp_path):
    calls = []
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    with signals.repeated(tmp_path):
        signal.signal(signal.SIGTERM, lambda *_: calls.append(1))
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.2)
        assert (tmp_path / signals.RUNNING).exists()
    signal.signal(signal.SIGUSR1, before)
    assert calls == []


def test_nohup_is_respected(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in signals.heeded()
        with signals.repeated(tmp_path):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signals.heeded() == signals.STOPPING


def test_afterwards_all_is_as_before(tmp_path):
    before = [signal.getsignal(number) for number in signals.STOPPING]
    with signals.repeated(tmp_path):
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)
    assert [signal.getsignal(number) for number in signals.STOPPING] == before
    assert signal.set_wakeup_fd(-1) == -1
