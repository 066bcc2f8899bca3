import ctypes
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from ray._private import utils as ray_utils

from tailorbird.errors import Unavailable
from tuning import cluster
from tuning.stop import Stop


def test_sockets_fit_below_a_long_temporary_folder(monkeypatch, tmp_path):
    longest = tmp_path / ("x" * 80)
    longest.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(longest))
    assert len(cluster._short_folder()) <= cluster.LONGEST_FOLDER
    monkeypatch.setattr(tempfile, "tempdir", "/var/tmp")
    assert cluster._short_folder() == "/var/tmp"


def test_a_ray_that_does_not_start_is_told(monkeypatch):
    def late(*_, **__):
        raise Exception("The current node timed out during startup.\nSee the logs.")  # as Ray does

    monkeypatch.setattr(cluster.ray, "init", late)
    message = r"^Ray did not start: The current node timed out during startup\.; if this"
    with pytest.raises(Unavailable, match=message), cluster.connected(None, Stop()):
        pytest.fail("connected to nothing")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_ray_starts_interrupts_after_it(monkeypatch, capsys, number):
    """An exception in the middle of it may be swallowed by a callback, or leave a lock held."""
    started = []

    def interrupted(*_, **__):
        ray_utils.set_sigterm_handler(lambda number, _: sys.exit(number))  # as Ray does
        signal.raise_signal(number)
        started.append("ray")

    monkeypatch.setattr(cluster.ray, "init", interrupted)
    stop = Stop()
    with pytest.raises(KeyboardInterrupt), stop.caught(), cluster.connected("local", stop):
        pytest.fail("the signal was swallowed")
    assert started == ["ray"]
    assert capsys.readouterr().err == "stopping: waiting for Ray to start\n"


def test_a_handler_that_ray_sets_behind_pythons_back_is_replaced(monkeypatch):
    """Else SIGTERM during a sweep would print a stack of C++, and abort the process three seconds later."""

    def init(*_, **__):
        signals = ctypes.CDLL(None)
        signals.signal(signal.SIGTERM, ctypes.c_void_p(1))  # SIG_IGN, without Python's knowledge
        signal.alarm(600)

    monkeypatch.setattr(cluster.ray, "init", init)
    stop = Stop()
    with pytest.raises(KeyboardInterrupt), stop.caught(), cluster.connected("local", stop):
        assert not signal.alarm(0)
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("the signal was swallowed")


def test_what_a_killed_driver_left_is_removed_by_the_next(monkeypatch, scratch, die):
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(cluster.ray, "init", lambda *_, _temp_dir, **__: Path(_temp_dir).mkdir())
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)

    def drive():
        with cluster.connected("local", Stop()):
            os.kill(os.getpid(), signal.SIGKILL)

    assert die(drive, 10**6)[0]
    [left] = scratch.iterdir()
    with cluster.connected("local", Stop()) as first, cluster.connected("local", Stop()) as second:
        assert {*scratch.iterdir()} == {first.parent, second.parent}  # and no driver's that lives
    assert not left.exists()
    assert [*scratch.iterdir()] == []


def test_a_signal_while_ray_is_stopped_leaves_no_folder(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster.ray, "init", lambda *_, _temp_dir, **__: Path(_temp_dir).mkdir())
    monkeypatch.setattr(cluster.ray, "shutdown", interrupted)
    with pytest.raises(KeyboardInterrupt), cluster.connected("local", Stop()) as folder:
        assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert not folder.parent.exists()
