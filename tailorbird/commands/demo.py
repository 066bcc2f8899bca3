"""`tailorbird demo`: a complete run on local defaults, from a sweep on real data to predictions over HTTP."""

import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any

from PIL import Image
from rich import box
from rich.console import Console
from rich.rule import Rule
from rich.table import Table

from registry import verification, versions
from registry.core import Registry
from tailorbird import settings, tables, terminal
from tailorbird.errors import Unavailable
from tailorbird.settings import Settings

if TYPE_CHECKING:
    from training.datasets import Dataset
    from tuning.spec import SweepSpec

IMAGES = 10
RULE = 80
START_SECONDS = 60
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach this machine


def demo() -> None:
    """Run a small sweep, register and promote the best trial, serve it, send predictions and stop.

    Fashion-MNIST is downloaded if it is missing; if that fails, the demo uses the digits of scikit-learn.

    Example: tailorbird demo
    """
    from tuning import runner, summary

    here, console = settings.load(), terminal.console()
    spec, dataset = _choose(here, console)
    console.print(Rule("sweep"), width=RULE)
    console.print(f"{spec.total} trials over {', '.join(spec.varied.values())}")
    outcome = runner.Driver(here, console, settings.who()).run(spec)
    summary.show_outcome(outcome, spec, console)
    model = spec.promote.model if spec.promote else spec.name
    _verify(here, model, console)
    console.print(Rule("serve"), width=RULE)
    _ask(here, spec, dataset, model, console)
    console.print(Rule(), width=RULE)
    console.print(
        f"registry and models: {here.home}\nnext: tailorbird serve {model}, tailorbird registry show {model}",
        soft_wrap=True,
    )


def _choose(here: Settings, console: Console) -> tuple["SweepSpec", "Dataset"]:
    from training import datasets

    spec = _spec("demo.yaml")
    try:
        return spec, datasets.load(spec.data, here.data, here.cache, here.download_timeout)
    except Unavailable as error:
        console.print(f"{error}\nusing the digits of scikit-learn instead", style="yellow", soft_wrap=True)
    spec = _spec("demo-digits.yaml")
    return spec, datasets.load(spec.data, here.data, here.cache)


def _spec(name: str) -> "SweepSpec":
    from tuning import spec_file

    with resources.as_file(resources.files("tuning") / "specs" / name) as path:
        return spec_file.read(path, [])


def _verify(here: Settings, model: str, console: Console) -> None:
    with Registry(here) as registry:
        champion = versions.resolve(registry, model)
        problems = verification.verify(registry, champion)
    console.print(f"{champion} is {model}@champion: {'; '.join(problems) or 'every file verified'}")


def _ask(here: Settings, spec: "SweepSpec", dataset: "Dataset", model: str, console: Console) -> None:
    """Send ten test images, one of each class if possible, then their true labels."""
    from training import splits

    test = splits.split(dataset, spec.data).test
    chosen = [int((test.targets == index % len(dataset.classes)).argmax()) for index in range(IMAGES)]
    table = Table("image", "true", "predicted", "confidence", "ms", box=box.SIMPLE)
    labels, times = [], []
    with _serving(model) as url:
        console.print(f"serving {model} at {url}")
        for position in chosen:
            true = dataset.classes[test.targets[position]]
            start = time.perf_counter()
            answer = _post(here, f"{url}/predict", _png(test.at(slice(position, position + 1))[0]), "image/png")
            times.append(1000 * (time.perf_counter() - start))
            prediction = answer["predictions"][0]
            mark = "" if prediction["label"] == true else " ✗"
            table.add_row(
                f"test {position}",
                true,
                prediction["label"] + mark,
                f"{prediction['confidence']:.1%}",
                f"{times[-1]:.1f}",
            )
            labels.append({"receipt": prediction["receipt"], "label": true})
        counts = _post(here, f"{url}/feedback", json.dumps({"labels": labels}).encode(), "application/json")
    tables.show(console, table)
    console.print(
        f"{IMAGES} images over HTTP, median {statistics.median(times):.1f} ms; "
        f"{counts['accepted']} true labels accepted as feedback",
    )


@contextmanager
def _serving(model: str) -> Iterator[str]:
    """A server in a process of its own on a free port, stopped as Kubernetes would stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tailorbird", "serve", model, "--host", "127.0.0.1", "--port", str(port)]
    alone = os.environ | {f"{settings.PREFIX}DRAIN_SECONDS": "0"}  # no load balancer has to notice the stop
    server = subprocess.Popen(command, env=alone, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _wait(server, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=START_SECONDS)


def _wait(server: subprocess.Popen[str], url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise Unavailable(f"the server did not start: {server.communicate()[1].strip().removeprefix('error: ')}")
        try:
            DIRECT.open(f"{url}/readyz", timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise Unavailable(f"the server was not ready within {START_SECONDS} s")


def _post(here: Settings, url: str, body: bytes, kind: str) -> Any:
    headers = {"Content-Type": kind}
    if here.api_token:
        headers["Authorization"] = f"Bearer {here.api_token.get_secret_value()}"
    try:
        with DIRECT.open(urllib.request.Request(url, body, headers), timeout=10) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Unavailable(f"{url} answered {error.code}: {error.read().decode(errors='replace')}") from None


def _png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
