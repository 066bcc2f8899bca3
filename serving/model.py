"""A version that is ready to answer: its files read, its session open and warm."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.versions import Version
from serving import signature
from serving.session import Session
from serving.signature import Signature


@dataclass(frozen=True)
class Model:
    """An opened version; `alias` is what it was asked for by, "" where that was its number."""

    version: Version
    alias: str
    signature: Signature
    baseline: dict[str, Any]
    session: Session


def open_model(version: Version, alias: str, folder: Path) -> Model:
    """Open and warm up what lies in a verified package folder.

    Raises Corrupt where it does not do what its signature says, InvalidInput where that is nothing that is served.
    """
    known = signature.parse((folder / "signature.json").read_bytes())
    return Model(
        version=version,
        alias=alias,
        signature=known,
        baseline=json.loads((folder / "baseline.json").read_bytes()),
        session=Session((folder / "model.onnx").read_bytes(), known),
    )
