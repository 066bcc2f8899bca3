"""What the registry's tests share: an empty registry, small packages, and processes that race or die."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from registry import packages, versions
from registry.core import Registry
from tailorbird import shares
from tailorbird.package.lineage import Lineage
from tailorbird.package.measurements import Export, Parity
from tailorbird.settings import PREFIX, Settings
from tests.packages import RECORDS, counted, saved

EXACT = {"agreement": 1.0, "max_difference": 3e-7, "samples": 1000}


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def shared_storage(tmp_path):
    """The store of a registry on PostgreSQL: a folder, but S3 in modules whose subject is what lies in a store."""
    return str(tmp_path / "shared")


@pytest.fixture(params=["embedded", "cluster"])
def make_settings(request, tmp_path):
    """Settings of a new and empty registry at every call: on SQLite with a folder; then on PostgreSQL."""
    if request.param == "embedded":
        return lambda name="home": Settings(home=tmp_path / name, _env_file=None)
    server, storage = request.getfixturevalue("postgres"), request.getfixturevalue("shared_storage")

    def make(name="home"):
        return Settings(
            home=tmp_path / name, database_url=server.database(), storage_url=f"{storage}/{name}", _env_file=None
        )

    return make


@pytest.fixture
def settings(make_settings):
    return make_settings()


@pytest.fixture
def embedded(tmp_path):
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture
def registry(settings):
    with Registry(settings) as opened:
        yield opened


@pytest.fixture
def local(embedded):
    """An embedded registry, for what is refused before any backend is asked."""
    with Registry(embedded) as opened:
        yield opened


def heldout(right, samples, confidence):
    """Records of a model that is right on the first `right` of `samples` images of two classes in turn."""
    kind = np.dtype([("id", "u1", (16,)), ("label", "<i4"), ("probabilities", "<f4", (2,))])
    records = np.zeros(samples, kind)
    records["id"] = np.arange(samples * 16).astype("<u4").view("u1").reshape(samples, 64)[:, :16]
    records["label"] = np.arange(samples) % 2
    answers = np.where(np.arange(samples) < right, records["label"], 1 - records["label"])
    records["probabilities"] = np.where(answers[:, None] == [0, 1], confidence, 1 - confidence)
    confusion = np.bincount(records["label"] * 2 + answers, minlength=4).reshape(2, 2)
    return records, confusion.tolist()


@pytest.fixture(scope="session")
def package_files():
    """Makes the files of a package. They are small, and those that no test looks at are one and the same blob."""

    def make(accuracy=0.9, weights=b"weights", samples=1000, **more):
        signature = {
            "kind": "image", "shape": [28, 28], "dtype": "uint8", "classes": ["cat", "dog"], "columns": None,
            "objective": "binary", "temperature": 1.0,
        }  # fmt: skip
        confidence = max(accuracy - 0.02, 0.52)
        judged, confusion = heldout(round(accuracy * samples), samples, confidence)
        baseline = {
            "accuracy": accuracy,
            "standard_error": shares.standard_error(accuracy, samples),
            "samples": samples,
            "calibration_error": round(abs(confidence - accuracy), 6),
            "confusion": confusion,
            "bins": counted(judged["probabilities"], judged["label"], signature["classes"]),
            "test": {"accuracy": 0.8, "samples": 50},
        }
        return {
            **dict.fromkeys(packages.REQUIRED, b"the same in every package"),
            **RECORDS,
            "model.onnx": b"a model with " + weights,
            "checkpoint.safetensors": weights,
            "signature.json": json.dumps(signature).encode(),
            "baseline.json": json.dumps(baseline).encode(),
            "heldout.npy": saved(judged),
            **more,
        }

    return make


@pytest.fixture(scope="session")
def register(package_files):
    """Registers a small package that passes its gates, unless told otherwise."""

    def add(registry, model="fashion", *, accuracy=0.9, weights=b"weights", **parity):
        files = package_files(accuracy, weights)
        export = Export(parity=Parity(**{**EXACT, **parity}))
        return versions.register(registry, model, files, export, Lineage(sweep="fashion-1"), who="ada")

    return add


@pytest.fixture(scope="session")
def unlock():
    """Lets rows of a table be changed that are only ever added, as nobody can who has not the database in hand."""

    def drop(registry, table: str) -> None:
        with registry.atomic() as connection:
            if connection.dialect.name == "sqlite":
                for change in ("update", "delete"):
                    connection.exec_driver_sql(f"DROP TRIGGER keep_{table}_{change}")
            else:
                connection.exec_driver_sql(f"DROP TRIGGER keep_{table} ON {table}")

    return drop


@pytest.fixture(scope="session")
def flip():
    """Flips one bit in the middle of a file."""

    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    return damage
