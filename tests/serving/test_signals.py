import os
import signal
import threading
import time

import pytest

from serving import signals


@pytest.mark.parametrize("number", signals.STOPPING)
def test_a_signal_waits_for_its_handler(number):
    handled = threading.Event()
    before = signal.getsignal(signal.SIGTERM)
    with signals.kept():
        os.kill(os.getpid(), number)
        time.sleep(3 * signals.RETRY_SECONDS)
        theirs = signal.signal(signal.SIGTERM, lambda *_: handled.set())
        assert handled.wait(5)
        signal.signal(signal.SIGTERM, theirs)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_comes_late_is_handled_at_once():
    calls = []
    with signals.kept():
        signal.signal(signal.SIGTERM, lambda *args: calls.append(args))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(3 * signals.RETRY_SECONDS)
    assert len(calls) == 1


def test_no_signal_no_call(monkeypatch):
    calls = []
    with signals.kept():
        signal.signal(signal.SIGTERM, lambda *args: calls.append(args))
        time.sleep(3 * signals.RETRY_SECONDS)
    assert calls == []


def test_a_signal_that_nobody_takes_disturbs_nothing():
    before = [signal.getsignal(number) for number in signals.STOPPING]
    with signals.kept():
        for number in signals.STOPPING:
            os.kill(os.getpid(), number)
    time.sleep(3 * signals.RETRY_SECONDS)
    assert [signal.getsignal(number) for number in signals.STOPPING] == before
