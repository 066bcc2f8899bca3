"""Evidence: the inputs of the gates, read from a version's row and the files of its package."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from registry import packages
from registry.storage.blobs import BlobStore
from registry.version import Version
from tailorbird.errors import Corrupt
from tailorbird.package.baseline import Baseline
from tailorbird.package.heldout import Heldout
from tailorbird.package.manifest import Manifest
from tailorbird.package.measurements import Measurements
from tailorbird.package.signature import Signature


@dataclass(frozen=True)
class Evidence:
    """The evidence of one version for gates; `size` is that of the served model, in bytes.

    `problems` say what is wrong. If the package cannot be read, only the version's row is used.
    """

    model: str
    number: int
    figures: Measurements
    size: int | None = None
    signature: Signature | None = None
    baseline: Baseline | None = None
    heldout: Heldout | None = None
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.model}:{self.number}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names in the order of the outputs; empty if the package cannot be read."""
        return self.signature.classes if self.signature else ()


def read(blobs: BlobStore, version: Version, manifest: Manifest) -> Evidence:
    """The evidence of a stored version.

    A file that cannot be read is a problem, and so is a figure that the package's own answers contradict. Neither
    raises an error, so that a damaged candidate gets a verdict, and a damaged champion can be replaced.
    """
    try:
        return _read(blobs, version, manifest)
    except Corrupt as error:
        return unreadable(version, [str(error)])


def unreadable(version: Version, problems: Iterable[str]) -> Evidence:
    """The evidence of a version whose files are damaged."""
    return Evidence(version.model, version.number, version.evidence, problems=tuple(problems))


def _read(blobs: BlobStore, version: Version, manifest: Manifest) -> Evidence:
    from registry import claims  # imports numpy, which only a judgement needs

    def content(name: str) -> bytes:
        return packages.content(blobs, manifest, name)

    signature = Signature.parse(content(Signature.file))
    baseline = Baseline.parse(content(Baseline.file)).check(signature.classes)
    heldout = Heldout.parse(content("heldout.npy"), len(signature.classes))
    return Evidence(
        model=version.model,
        number=version.number,
        figures=version.evidence,
        size=manifest.files["model.onnx"].size,
        signature=signature,
        baseline=baseline,
        heldout=heldout,
        problems=tuple(islice(claims.denied(heldout, signature.classes, baseline, version.evidence), 1)),
    )
