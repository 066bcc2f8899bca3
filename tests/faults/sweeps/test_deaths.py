"""Sweeps whose processes die, or are paused past their lease, come to the same table as those that run through."""

import fcntl
import itertools
import os
import random
import signal
import termios
import time
from contextlib import suppress

import pytest

from registry import versions
from tests.faults.sweeps.conftest import ended, kill, wait_for

KILLS = 20
WORKERS = {4: 1, 2: 2, 1: 4}
"""How many there are on the 4 CPUs of the cluster, by the CPUs that each takes."""


def test_a_driver_that_is_killed_is_followed_by_one_that_comes_to_the_same(begin, whole):
    """Also where its writer and its workers are killed under the second one."""
    unbroken = whole("tpe")
    sweep = begin("tpe", resources={"cpus": 2})  # two workers
    process = sweep.drive()
    assert sweep.wait_for_reports(7, process)
    process.kill()
    process.communicate()
    assert sweep.standing() == "abandoned"
    process = sweep.drive()
    for name in ("ray::ResourceTrainable", "ray::LedgerWriter"):
        assert sweep.wait_for_reports(sweep.reports() + 1, process)
        assert kill(name)
    status, out = ended(process)
    assert status == 0, out
    assert sweep.table() == unbroken


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_twenty_kills(begin, whole):
    """Of drivers at random moments, and of writers and workers before, over 1, 2 and 4 workers, halving, lanes, tpe."""
    dice = random.Random(0)
    sweeps = itertools.cycle(
        [(begin(kind, resources={"cpus": cpus}), kind) for cpus in WORKERS for kind in ("halving", "lanes", "tpe")]
    )
    killed = 0
    while killed < KILLS:
        sweep, kind = next(sweeps)
        process = sweep.drive()
        moment = dice.randrange(sum(len(row[-1]) for row in whole(kind)))
        victim = dice.choice([None, "ray::ResourceTrainable", "ray::LedgerWriter"])
        if victim and sweep.wait_for_reports(dice.randrange(moment + 1), process):
            kill(victim)
        if sweep.wait_for_reports(moment, process):
            time.sleep(dice.random())  # the moment is random too
            killed += process.poll() is None
            process.kill()
        ended(process)
    for sweep, kind in itertools.islice(sweeps, len(WORKERS) * 3):
        assert sweep.finish() == whole(kind), (kind, sweep.name)
        if kind == "lanes":
            assert [str(version) for version in versions.every(sweep.registry)] == ["tiny:1"]


@pytest.mark.long
def test_a_driver_that_is_paused_past_its_lease_finds_itself_replaced(begin, whole):
    sweep = begin("lanes")
    paused = sweep.drive(lease_seconds=2)
    assert sweep.wait_for_reports(2, paused)
    paused.send_signal(signal.SIGSTOP)
    status, out = ended(sweep.drive(lease_seconds=2))
    if status:  # it came before the lease had run out
        assert "error: sweep lanes is being run by process" in out
        assert wait_for(lambda: sweep.standing() == "abandoned", paused)
        status, out = ended(sweep.drive(lease_seconds=2))
    assert status == 0, out
    paused.send_signal(signal.SIGCONT)
    status, out = ended(paused)
    assert status == 1, out
    assert out.splitlines()[-1].startswith("error: sweep lanes was taken over by process ")
    assert out.splitlines()[-1].endswith("; this process stops, and its last reports were not accepted")
    assert sweep.table() == whole("lanes")


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_sweep_that_is_stopped_by_a_signal_goes_on_to_the_same(begin, whole, number):
    sweep = begin("halving")
    process = sweep.drive()
    assert sweep.wait_for_reports(3, process)
    process.send_signal(number)
    status, out = ended(process)
    assert status == 130, out
    assert "***" not in out, "a handler of Ray's got the signal"
    advice = "resume it with `tailorbird sweep --resume halving`"
    assert f"sweep halving was interrupted and registered nothing; {advice}" in out
    assert sweep.standing() == "interrupted"
    assert sweep.finish() == whole("halving")


@pytest.mark.long
def test_a_sweep_whose_terminal_is_closed_goes_on_to_the_same(begin, whole):
    sweep = begin("halving")
    terminal, inside = os.openpty()
    os.set_blocking(terminal, False)
    process = sweep.drive(
        stdin=inside, stdout=inside, stderr=inside,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(inside)

    def come_far():
        with suppress(BlockingIOError):
            while os.read(terminal, 2**16):  # else the live table fills it, and waits
                pass
        return sweep.reports() >= 3

    assert wait_for(come_far, process)
    os.close(terminal)
    assert process.wait() == 130
    assert sweep.standing() == "interrupted"
    assert sweep.finish() == whole("halving")
