"""A real package, a real registry, and real servers in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx
import hypothesis
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from registry import aliases, versions
from registry.core import Registry
from registry.requests import Promotion
from registry.version import Version
from serving import resolution
from serving.metrics import Metrics
from serving.model import Model, open_model
from serving.pools import Pools
from serving.receipts import Receipts
from tailorbird import shares
from tailorbird.package.lineage import Lineage
from tailorbird.package.manifest import REQUIRED
from tailorbird.package.measurements import Export, Parity
from tailorbird.settings import Settings
from tests.packages import RECORDS, counted, saved
from tests.ports import free_port
from tests.waiting import BOUND_SECONDS

hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEMPERATURE = 1.25
SERVE = (
    "import sys; from serving.server import serve; from tailorbird import errors, settings\n"
    "with errors.reported(): serve(settings.load(), sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))"
)


@dataclass(frozen=True)
class Toy:
    """A linear classifier of uint8 images, or of the rows of a table, where `shape` is how many columns there are.

    It is there as its package and as the numpy that the package must agree with.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...]
    weights: np.ndarray  # [pixels, outputs]

    @classmethod
    def make(cls, shape=(28, 28), classes=CLASSES, seed=0) -> "Toy":
        outputs = 1 if len(classes) == 2 else len(classes)
        weights = np.random.default_rng(seed).normal(0, 0.3, (int(np.prod(shape)), outputs)).astype(np.float32)
        return cls(shape, tuple(classes), weights)

    @property
    def scale(self) -> int:
        return 1 if len(self.shape) == 1 else 255

    def probabilities(self, examples: np.ndarray) -> np.ndarray:
        logits = (examples.reshape(len(examples), -1) / self.scale) @ self.weights / TEMPERATURE
        if len(self.classes) == 2:
            positive = 1 / (1 + np.exp(-logits))
            return np.concatenate((1 - positive, positive), axis=1)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def onnx(self) -> bytes:
        def constant(name, value, kind=np.float32):
            return numpy_helper.from_array(np.asarray(value, kind), name)

        last = "Sigmoid" if len(self.classes) == 2 else "Softmax"
        nodes = [
            helper.make_node("Cast", ["inputs"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["floats", "flat"], ["rows"]),
            helper.make_node("Div", ["rows", "scale"], ["scaled"]),
            helper.make_node("MatMul", ["scaled", "weights"], ["logits"]),
            helper.make_node("Div", ["logits", "temperature"], ["cooled"]),
            helper.make_node(last, ["cooled"], ["probabilities"]),
        ]
        constants = [
            constant("flat", [-1, len(self.weights)], np.int64),
            constant("scale", self.scale),
            constant("weights", self.weights),
            constant("temperature", TEMPERATURE),
        ]
        kind = TensorProto.UINT8 if self.scale == 255 else TensorProto.DOUBLE
        taken = helper.make_tensor_value_info("inputs", kind, ["n", *self.shape])
        given = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", self.weights.shape[1]])
            for name in ("logits", "probabilities")
        ]
        graph = helper.make_graph(nodes, "toy", [taken], given, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        return model.SerializeToString()

    def files(self) -> dict[str, bytes]:
        signature = {
            "kind": "image" if self.scale == 255 else "table",
            "shape": self.shape,
            "dtype": "uint8" if self.scale == 255 else "float64",
            "classes": self.classes,
            "objective": "binary" if len(self.classes) == 2 else "multiclass",
            "temperature": TEMPERATURE,
            "columns": None if self.scale == 255 else [f"column {position}" for position in range(self.shape[0])],
        }
        held, confusion = self.heldout()
        baseline = {
            "accuracy": 0.875,
            "standard_error": shares.standard_error(0.875, 800),
            "samples": 800,
            "confusion": confusion,
            "bins": counted(held["probabilities"], held["label"], self.classes),
            "test": {"accuracy": 0.86, "samples": 900},
        }
        return (
            dict.fromkeys(REQUIRED, b"-")
            | RECORDS
            | {
                "model.onnx": self.onnx(),
                "signature.json": json.dumps(signature).encode(),
                "baseline.json": json.dumps(baseline).encode(),
                "heldout.npy": saved(held),
            }
        )

    def heldout(self) -> tuple[np.ndarray, list[list[int]]]:
        """Answers that bear the baseline out, and their confusion: of 800 images, the first 100 get another class."""
        count = len(self.classes)
        records = np.zeros(800, [("id", "u1", (16,)), ("label", "<i4"), ("probabilities", "<f4", (count,))])
        records["label"] = np.arange(800) % count
        answers = (records["label"] + (np.arange(800) < 100)) % count
        records["probabilities"] = np.eye(count)[answers]
        confusion = np.bincount(count * records["label"] + answers, minlength=count**2).reshape(count, count)
        return records, confusion.tolist()


def _register(
    settings: Settings, name: str, files: dict[str, bytes], alias: str | None = "champion", force: bool = False
) -> Version:
    with Registry(settings) as registry:
        export = Export(parity=Parity(agreement=1.0, max_difference=1e-7, samples=800))
        version = versions.register(registry, name, files, export, Lineage(sweep="by hand"), "tester")
        if alias:
            aliases.promote(
                registry, Promotion(name, version.number, why="a test", who="tester", alias=alias, force=force)
            )
    return version


@dataclass
class Server:
    """A server in a process of its own; `folder` is where it stands, `temporary` is its TMPDIR."""

    process: subprocess.Popen
    url: str
    folder: Path

    @cached_property
    def client(self) -> httpx.Client:
        """Makes a new connection for every request, so that any worker may be asked."""
        return httpx.Client(base_url=self.url, timeout=BOUND_SECONDS, limits=httpx.Limits(max_keepalive_connections=0))

    @property
    def temporary(self) -> Path:
        return self.folder / "temporary"

    @property
    def own_files(self) -> list[Path]:
        """What it has in memory, and among temporary files."""
        return [*Path("/dev/shm").glob(f"tailorbird-serve-*-{self.process.pid}"), *self.temporary.iterdir()]

    def wait(self, status=200) -> "Server":
        deadline = time.monotonic() + BOUND_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.client.get("/readyz").status_code == status:
                    assert self.own_files, "its folder is not where tests look for it"
                    return self
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the server did not get ready:\n{self.output()}")

    def output(self) -> str:
        return (self.folder / "log").read_text()

    def stop(self, number=signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(BOUND_SECONDS)


def environment(settings: Settings, folder: Path) -> dict[str, str]:
    """As clean as can be, so that no setting of whoever runs the tests gets in."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder / "temporary"),
        "TAILORBIRD_HOME": str(settings.home),
        "TAILORBIRD_DRAIN_SECONDS": "0",
        "TAILORBIRD_WATCH": "0.3",
    }


@pytest.fixture(scope="session")
def start(tmp_path_factory) -> Iterator[Callable[..., Server]]:
    """Starts `tailorbird serve` or another `command`; whatever still runs is stopped at the end."""
    servers: list[Server] = []

    def run(settings: Settings, model="demo", workers=1, command=None, before=(), **variables) -> Server:
        port = free_port()
        folder = tmp_path_factory.mktemp("server")
        (folder / "temporary").mkdir()
        (folder / "registry.py").write_text("raise ImportError('a stranger, which lies where the user stands')")
        command = command or [sys.executable, "-P", "-c", SERVE, model, "127.0.0.1", "{port}", str(workers)]
        with (folder / "log").open("wb") as output:
            process = subprocess.Popen(
                [*before, *(part.replace("{port}", str(port)) for part in command)],
                cwd=folder,
                env=environment(settings, folder) | variables,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        servers.append(Server(process, f"http://127.0.0.1:{port}", folder))
        return servers[-1]

    yield run
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def register() -> Callable[..., Version]:
    return _register


@pytest.fixture(scope="session")
def toy() -> Toy:
    return Toy.make()


@pytest.fixture(scope="session")
def settings(tmp_path_factory, toy) -> Settings:
    """A registry with demo:1 (champion) and demo:2, whose classes have other names, and a binary model, coin."""
    result = Settings(_env_file=None, home=tmp_path_factory.mktemp("home"))
    _register(result, "demo", toy.files())
    _register(result, "demo", Toy.make(classes=[name.upper() for name in CLASSES], seed=1).files(), alias=None)
    _register(result, "coin", Toy.make((8, 6, 3), ("head", "tail"), seed=2).files())
    return result


@pytest.fixture(scope="session")
def registry(settings) -> Iterator[Registry]:
    with Registry(settings) as opened:
        yield opened


@pytest.fixture(scope="session")
def opened(registry, settings) -> Callable[[str], Model]:
    """A version of the registry, ready to answer."""

    def open_version(reference: str) -> Model:
        version = versions.resolve(registry, reference)
        return open_model(version, "champion", resolution.verified(registry, version, settings.cache))

    return open_version


@pytest.fixture(scope="session")
def loaded(opened) -> Model:
    return opened("demo")


@pytest.fixture
def pools() -> Pools:
    return Pools()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def receipts() -> Receipts:
    return Receipts([b"a key for tests"], "demo", lifetime_days=30)


@pytest.fixture(scope="session")
def server(start, settings) -> Server:
    """The one that most tests ask: demo, two workers."""
    return start(settings, workers=2).wait()


@pytest.fixture(scope="session")
def client(server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=BOUND_SECONDS) as client:
        yield client
