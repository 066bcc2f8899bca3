from dataclasses import replace

import pytest

from registry import packages, versions
from tailorbird.errors import Corrupt
from tailorbird.watch import known
from tests.packages import CLASSES


def test_what_a_package_tells_is_read_with_its_manifest_once(registry, monkeypatch):
    manifests = []
    read = packages.manifest
    monkeypatch.setattr(packages, "manifest", lambda *asked: manifests.append(asked) or read(*asked))
    seen = known.read(registry, versions.resolve(registry, "pets:1"))
    assert (seen.classes, seen.accuracy, seen.estimator) == (CLASSES, pytest.approx(0.95), None)
    assert len(manifests) == 1


def test_a_package_of_another_version_is_corrupt(registry):
    first, second = (versions.resolve(registry, f"pets:{number}") for number in (1, 2))
    with pytest.raises(Corrupt, match=r"pets:1: manifest\.json: its created differs from that of the version's row"):
        known.read(registry, replace(first, manifest=second.manifest))
