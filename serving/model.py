"""A version that is ready to answer: its files verified, its session open."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry import packages, signing, versions
from registry.core import Registry
from registry.names import Reference
from registry.versions import Version
from serving import signature
from serving.session import Session
from serving.signature import Signature


@dataclass(frozen=True)
class Model:
    """A loaded version and the alias that it was asked for by, "" where that was its number."""

    version: Version
    alias: str
    signature: Signature
    baseline: dict[str, Any]
    session: Session


def load(registry: Registry, reference: Reference, cache: Path) -> Model:
    """Fetch, verify, open and warm up what `reference` names.

    Raises NotFound where there is none, Corrupt where its package does not verify or does not do what it says, or
    where there is a public key that did not sign it.
    """
    version = versions.resolve(registry, reference)
    if (key := registry.settings.public_key) is not None:
        signing.check(key, version)
    folder = packages.fetch(registry.blobs, version.manifest, cache)
    versions.check(version, json.loads((folder / packages.MANIFEST).read_bytes()))
    about = signature.parse((folder / "signature.json").read_bytes())
    return Model(
        version=version,
        alias=reference.alias if reference.number is None else "",
        signature=about,
        baseline=json.loads((folder / "baseline.json").read_bytes()),
        session=Session((folder / "model.onnx").read_bytes(), about),
    )
