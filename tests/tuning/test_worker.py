import os
import subprocess
import sys
import threading
from unittest import mock

import pytest
import ray

from tailorbird.errors import LeaseLost, Unavailable
from training.config import Objective
from tuning.work import Work
from tuning.worker import Watchdog, Worker


@pytest.fixture(autouse=True)
def no_gpus(monkeypatch):
    """Asked for GPUs outside a cluster, Ray would start one, or join one that it finds on this machine."""
    monkeypatch.setattr(ray, "get_gpu_ids", list)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


class Quiet(Worker):
    """One that asks a made-up writer, without Ray's own set-up, which takes a session."""

    def __init__(self, writer=None):
        self.setup({"place": 3}, None, writer, Objective(), 1)

    def _ask(self, method, *arguments):
        return getattr(self._writer, method)(*arguments)

    def _arm(self):
        self.waits = True


class Writer:
    """Answers `work` with what it is given, one after the other."""

    def __init__(self, *answers):
        self.answers, self.workers = list(answers), []

    def work(self, worker):
        self.workers.append(worker)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(("raw_spec", "seen"), [([], ""), (["1"], "1")])
def test_a_worker_sees_the_gpus_that_it_was_given_alone(monkeypatch, raw_spec, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setattr(ray, "get_gpu_ids", lambda: raw_spec)
    Quiet()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen


def test_a_worker_waits_until_there_is_nothing_left():
    writer = Writer("wait", "done")
    worker = Quiet(writer)
    assert worker.step() == {"done": True}
    assert worker.waits
    first, second = writer.workers
    assert first == second and first.startswith("3.")


def test_two_lives_of_a_worker_have_two_names():
    assert Quiet()._name != Quiet()._name


@pytest.mark.parametrize("problem", [LeaseLost("tiny-1", "was taken over"), Unavailable("the disk is full")])
def test_a_worker_that_is_refused_asks_for_other_work(problem):
    assert Quiet(Writer(problem, "done")).step() == {"done": True}


def test_a_watchdog_barks_once_its_time_is_up_and_not_before():
    barked = threading.Event()
    with Watchdog(0.01, barked.set):
        assert barked.wait(10)
    quiet = threading.Event()
    with Watchdog(3600, quiet.set):
        pass
    assert not quiet.is_set()


def test_a_worker_whose_trial_hangs_tells_it_and_ends(monkeypatch):
    message, ended = [], []
    writer = Writer()
    writer.fail = lambda *arguments: message.append(arguments)
    monkeypatch.setattr(os, "_exit", ended.append)
    worker = Quiet(writer)
    work = Work(4, 2, {7: {"measure_every": 3}}, [7], {}, [], None)
    with worker._watched(work) as watchdog:
        watchdog._timer.function()
    assert watchdog._timer.interval == 180
    assert message == [(4, 2, {7: "no measurement within 3 minutes (limits.epoch_minutes, times measure_every)"})]
    assert ended == [1]


def test_an_error_without_a_text_is_told_by_its_name(monkeypatch):
    message = []
    writer = Writer(Work(4, 2, {7: {"measure_every": 1}}, [7], {}, [], None), "done")
    writer.fail = lambda *arguments: message.append(arguments)
    monkeypatch.setattr("tuning.worker.Session", mock.Mock(side_effect=MemoryError))
    Quiet(writer).step()
    assert message == [(4, 2, {7: "MemoryError"})]


@pytest.mark.parametrize("problem", [None, LeaseLost("tiny-1", "was taken over")])
def test_a_worker_that_is_forgotten_leaves_where_the_sweep_is_anothers(monkeypatch, problem):
    left, looks = [], []
    worker = Quiet()

    def check():
        looks.append(1)
        if problem:
            raise problem
        if len(looks) == 3:
            worker._asked.set()

    monkeypatch.setattr("tuning.worker.FORGOTTEN", 0.001)
    monkeypatch.setattr(ray.util, "remove_placement_group", left.append)
    worker._writer = Writer()
    worker._writer.check = check
    worker._look("room", worker._asked)
    assert (left, len(looks)) == ((["room"], 1) if problem else ([], 3))


def test_a_worker_that_is_asked_while_it_looks_stays_and_looks_no_more(monkeypatch):
    left, looks, looking, answered = [], [], threading.Event(), threading.Event()

    def check():
        looks.append(1)
        looking.set()
        answered.wait(60)
        raise LeaseLost("tiny-1", "was taken over")

    monkeypatch.setattr("tuning.worker.FORGOTTEN", 0.001)
    monkeypatch.setattr(ray.util, "remove_placement_group", left.append)
    monkeypatch.setattr(ray.util, "get_current_placement_group", lambda: "room")
    worker = Quiet(Writer("done"))
    worker._writer.check = check
    before = set(threading.enumerate())
    Worker._arm(worker)
    (thread,) = set(threading.enumerate()) - before
    assert looking.wait(60)
    worker.step()
    answered.set()
    thread.join(60)
    assert (left, looks, thread.is_alive()) == ([], [1], False)


def test_nothing_is_imported_before_the_first_report_that_it_does_not_need():
    """Imports are most of the time until then: neither do workers use the ledger, nor does training draw plots."""
    code = (
        "import sys, tuning.worker; assert not {'registry', 'sqlalchemy'} & sys.modules.keys(); "
        "import tuning.execution; assert not {'matplotlib', 'scipy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
