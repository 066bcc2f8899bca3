import os
import shutil
import threading

import pytest

from registry import versions
from registry.core import Registry
from registry.names import Reference
from serving import choice, resolution
from serving.choice import choose
from serving.pools import Pool
from tailorbird.errors import Corrupt, NotFound, Unavailable
from tailorbird.settings import Settings
from tests.waiting import BOUND_SECONDS


def chosen(registry, reference="demo"):
    return choose(registry, Reference.parse(reference), Pool("registry", 1))


@pytest.mark.parametrize(
    ("reference", "number", "alias"), [("demo", 1, "champion"), ("demo@champion", 1, "champion"), ("demo:2", 2, "")]
)
def test_what_is_asked_for(registry, reference, number, alias):
    state = chosen(registry, reference)
    assert (state.version.number, state.alias, state.stale, state.failures) == (number, alias, None, ())


@pytest.mark.parametrize("reference", ["nobody", "demo@nobody", "demo:9"])
def test_what_is_not_there(registry, reference):
    with pytest.raises(NotFound):
        chosen(registry, reference)


@pytest.fixture
def own(register, toy, tmp_path):
    """A registry of one's own, demo:1 of which was served before."""
    settings = Settings(_env_file=None, home=tmp_path / "home")
    register(settings, "demo", toy.files())
    with Registry(settings) as registry:
        version = versions.resolve(registry, "demo:1")
        resolution.verified(registry, version, registry.settings.cache)
        resolution.remember(registry.settings.cache, Reference.parse("demo"), version)
        yield registry


def test_without_the_registry_it_is_what_was_served_last(own):
    (own.settings.home / "tailorbird.db").write_bytes(b"no database at all, but long enough to be looked at" * 99)
    shutil.rmtree(own.settings.home / "storage")
    state = chosen(own)
    assert state.version.number == 1
    assert "cannot be used" in state.stale.problem
    with pytest.raises(Unavailable):
        chosen(own, "other")


def test_a_store_that_hangs_is_not_waited_for(own, register, toy, monkeypatch):
    monkeypatch.setattr(choice, "FETCH_SECONDS", 0.2)
    version = register(own.settings, "demo", toy.make(seed=5).files(), force=True)
    (blob,) = own.settings.home.rglob(f"storage/**/{version.manifest}")
    blob.unlink()
    os.mkfifo(blob)
    state = chosen(own)
    assert state.version.number == 1
    assert state.stale.problem == "demo:2 cannot be fetched: there was no answer within 0.2 s"
    # nor by the workers, which find the cache as free as ever
    Pool("worker", 1).within(BOUND_SECONDS, lambda: resolution.tidy(own.settings.cache, state.version))
    blob.open("wb").close()  # whoever reads there goes on


def test_a_registry_that_hangs_is_not_waited_for(own, monkeypatch):
    monkeypatch.setattr(choice, "REGISTRY_SECONDS", 0.1)
    pool, end = Pool("registry", 1), threading.Event()
    pool.submit(lambda: end.wait(30))
    state = choose(own, Reference.parse("demo"), pool)
    end.set()
    assert (state.version.number, state.stale.problem) == (1, "there was no answer within 0.1 s")


def test_a_version_that_does_not_verify_is_not_chosen(own, register, toy):
    version = register(own.settings, "demo", toy.make(seed=3).files(), force=True)
    for blob in own.settings.home.rglob("blobs/*/*"):
        if (
            blob.stat().st_mtime > (own.settings.home / "receipt.key").stat().st_mtime
            if False
            else b"MatMul" in blob.read_bytes()
        ):
            blob.write_bytes(blob.read_bytes().replace(b"MatMul", b"MatMux"))
    state = chosen(own)
    assert state.version.number == 1
    assert [failure.version.number for failure in state.failures] == [version.number]
    assert "model.onnx" in state.failures[0].problem
    shutil.rmtree(own.settings.cache)
    with pytest.raises(Corrupt):
        chosen(own)
