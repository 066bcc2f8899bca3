"""Two sides of a benchmark in processes of their own: one does nothing while the other is asked."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class Worker:
    """A process that runs a module's actions when it is asked to."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, action: str, arguments: Sequence[Any]) -> list[tuple[float, float]]:
        """Run an action once for each argument; returns what each took: seconds on the clock, and of CPU."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([action, list(arguments)]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{action} failed in {self._process.args!r}")
        return [(clock, cpu) for clock, cpu in json.loads(answer)]


@contextmanager
def worker(
    python: str | Path, module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[Worker]:
    """A worker that ends with the block; only what it prints as an error is seen."""
    process = subprocess.Popen(
        [python, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Worker(process)
        finally:
            assert process.stdin
            process.stdin.close()  # its loop ends


def answer(actions: Mapping[str, Callable[[Any], object]]) -> None:
    """The worker's side: run what is asked, and time it."""
    for line in sys.stdin:
        action, arguments = json.loads(line)
        print(json.dumps([_timed(actions[action], argument) for argument in arguments]), flush=True)


def once(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Run a command to its end; returns its seconds on the clock and of the processor."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    clock = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command!r} failed")
    return clock, usage.ru_utime + usage.ru_stime


def _timed(action: Callable[[Any], object], argument: Any) -> tuple[float, float]:
    clock, cpu = time.perf_counter(), time.process_time()
    action(argument)
    return time.perf_counter() - clock, time.process_time() - cpu
