"""A version that is ready to answer: its files read, its session open and warm."""

from dataclasses import dataclass
from pathlib import Path

from registry.version import Version
from serving.session import Session
from tailorbird.errors import InvalidInput
from tailorbird.package.baseline import Baseline
from tailorbird.package.signature import Signature


@dataclass(frozen=True)
class Model:
    """An opened version; `alias` is what it was asked for by, "" where that was its number."""

    version: Version
    alias: str
    signature: Signature
    baseline: Baseline
    session: Session


def open_model(version: Version, alias: str, folder: Path) -> Model:
    """Open and warm up what lies in a verified package folder.

    Raises Corrupt where it does not do what its signature says, InvalidInput where that is nothing that is served.
    """
    signature = Signature.parse((folder / Signature.file).read_bytes())
    if signature.kind != "image":
        raise InvalidInput("model", f"takes {signature.input}; accepted: a model that takes images")
    return Model(
        version=version,
        alias=alias,
        signature=signature,
        baseline=Baseline.parse((folder / Baseline.file).read_bytes()).check(signature.classes),
        session=Session((folder / "model.onnx").read_bytes(), signature),
    )
