"""Ray nodes that die or are cut off, each in a network namespace of its own, and GPUs that are only claimed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from registry import ledger
from tests.faults.sweeps.conftest import Head, clean_environment, ended

RAY = Path(sys.executable).parent / "ray"
FOLDER = f"/tmp/tbn-{os.getpid()}"
PORT = 6379


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True)


class Nodes:
    """Two namespaces with a wire between them, in which nodes of one Ray cluster are started and lost."""

    def __init__(self):
        self.names = [f"tb{os.getpid()}{side}" for side in "ab"]
        self.wires = [f"tb{os.getpid() % 10**6}{side}" for side in "ab"]
        self.environment = clean_environment()

    def lay(self):
        Path(FOLDER).mkdir()
        for name in self.names:
            run("ip", "netns", "add", name)
        run("ip", "link", "add", self.wires[0], "type", "veth", "peer", "name", self.wires[1])
        for number, (name, wire) in enumerate(zip(self.names, self.wires, strict=True), 1):
            run("ip", "link", "set", wire, "netns", name)
            self.inside(number, "ip", "address", "add", f"10.77.0.{number}/24", "dev", wire)
            self.inside(number, "ip", "link", "set", wire, "up")
            self.inside(number, "ip", "link", "set", "lo", "up")
            self.inside(number, "ip", "route", "add", "default", "via", f"10.77.0.{3 - number}")  # Ray asks for one

    def inside(self, number, *words):
        command = ["ip", "netns", "exec", self.names[number - 1], *words]
        subprocess.run(command, env=self.environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self, number, cpus, gpus=0):
        """Start a node, the first as the head of the cluster; the second has files of its own."""
        role = [f"--address={self.address}"]
        if number == 1:
            role = ["--head", f"--port={PORT}", f"--temp-dir={FOLDER}", "--include-dashboard=false"]
        where = [f"--node-ip-address=10.77.0.{number}", "--disable-usage-stats"]
        room = [f"--num-cpus={cpus}", f"--num-gpus={gpus}", f"--object-store-memory={2**28}"]
        apart = f'mount -t tmpfs tmpfs {FOLDER} && exec "$@"' if number == 2 else 'exec "$@"'
        self.inside(number, "sh", "-c", apart, "sh", RAY, "start", *role, *where, *room)

    @property
    def address(self):
        return f"10.77.0.1:{PORT}"

    def processes(self, number):
        return [
            psutil.Process(int(number_text))
            for number_text in run("ip", "netns", "pids", self.names[number - 1]).stdout.split()
        ]

    def training(self, number):
        """Workers of a sweep on a node that have something to do."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [
                process
                for process in self.processes(number)
                if process.cmdline()[:1] == ["ray::ResourceTrainable.train"]
            ]
        return []

    def kill(self, number):
        for process in self.processes(number):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)

    def cut(self, number):
        self.inside(number, "ip", "link", "set", self.wires[number - 1], "down")

    def join(self, number):
        self.inside(number, "ip", "link", "set", self.wires[number - 1], "up")

    def clear(self):
        for number, name in enumerate(self.names, 1):
            with contextlib.suppress(subprocess.CalledProcessError):
                self.kill(number)
                run("ip", "netns", "delete", name)
        shutil.rmtree(FOLDER, ignore_errors=True)


@pytest.fixture
def nodes():
    nodes = Nodes()
    try:
        nodes.lay()
    except (OSError, subprocess.CalledProcessError) as error:
        nodes.clear()
        pytest.skip(f"needs network namespaces (ip netns): {error}")
    yield nodes
    nodes.clear()


@pytest.fixture
def within(nodes, begin):
    """Makes a sweep whose drivers run on the first node."""

    def make(kind, **changes):
        inside = ("ip", "netns", "exec", nodes.names[0])
        return begin(kind, cluster=Head(nodes.address, nodes.environment), prefix=inside, **changes)

    return make


@pytest.mark.long
@pytest.mark.parametrize("loss", ["kill", "cut"])
def test_a_node_that_is_lost_costs_its_epochs_and_no_trial(nodes, within, whole, loss):
    nodes.start(1, cpus=1)
    nodes.start(2, cpus=2)
    sweep = within("alone")
    process = sweep.drive()
    while not nodes.training(2):
        assert sweep.wait_for_reports(0, process), process.communicate()
        time.sleep(0.05)
    assert sweep.wait_for_reports(sweep.reports() + 2, process)
    getattr(nodes, loss)(2)
    status, out = ended(process)
    assert status == 0, out
    if loss == "cut":
        nodes.join(2)
    assert sweep.table() == whole("alone")


@pytest.mark.long
@pytest.mark.parametrize(("gpus", "most"), [(None, 1), (0.5, 2)])
def test_gpus_are_given_to_as_many_workers_as_there_is_room_for(nodes, within, whole, gpus, most):
    nodes.start(1, cpus=4, gpus=1)
    sweep = within("alone", **({"resources": {"gpus": gpus}} if gpus else {}))
    process = sweep.drive()
    at_once = set()
    while process.poll() is None:
        if sweep.reports():
            at_once.add(sum(trial.status == "running" for trial in ledger.trials(sweep.registry, "alone")))
        time.sleep(0.02)
    status, out = ended(process)
    assert status == 0, out
    assert max(at_once) == most
    assert sweep.table() == whole("alone")
