from dataclasses import replace

import pytest

from registry import verification, versions
from registry.storage.blobs import BlobStore


@pytest.fixture
def manifests(monkeypatch):
    """How often a version's manifest was read since."""
    digests, get = [], BlobStore.get

    def counted(store, digest):
        digests.append(digest)
        return get(store, digest)

    monkeypatch.setattr(BlobStore, "get", counted)
    return lambda version: digests.count(version.manifest)


@pytest.mark.parametrize("look", [verification.examined, verification.read, verification.signature])
def test_a_manifest_is_read_once_however_much_is_looked_at(registry, register, manifests, look):
    version = register(registry)
    before = manifests(version)
    look(registry, version)
    assert manifests(version) == before + 1


def test_a_row_that_is_not_what_its_manifest_says_keeps_its_own_figures(registry, register):
    register(registry, accuracy=0.9)
    better = register(registry, accuracy=0.95)
    first = versions.resolve(registry, "fashion:1")
    swapped = replace(first, manifest=better.manifest)
    evidence = verification.examined(registry, swapped)
    assert {problem.partition(" differs from")[0] for problem in evidence.problems} == {
        "manifest.json: its created", "manifest.json: its evidence",
    }  # fmt: skip
    assert evidence.figures == first.evidence and evidence.heldout is None
