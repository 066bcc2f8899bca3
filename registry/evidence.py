"""Evidence: all that the gates look at of a version, read from its row and from the files of its package."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from registry import packages
from registry.storage.blobs import BlobStore
from tailorbird.errors import Corrupt
from tailorbird.package.baseline import Baseline
from tailorbird.package.heldout import Heldout
from tailorbird.package.measurements import Measurements
from tailorbird.package.signature import Signature

if TYPE_CHECKING:
    from registry.versions import Version


@dataclass(frozen=True)
class Evidence:
    """All that gates look at of one version; `size` is that of the model that is served, in bytes.

    `problems` say what is wrong. Of a package that cannot be read, it holds what stands in the version's row alone.
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
        """Their names in the order of the outputs; none where the package cannot be read."""
        return self.signature.classes if self.signature else ()


def of(blobs: BlobStore, version: "Version", problems: Iterable[str]) -> Evidence:
    """The evidence of a stored version; `problems` is what a check of its files against their sums found.

    A file that cannot be read for what it should be is one problem more, and so is a figure that the package's own
    answers deny: nothing is raised for it, so that a damaged candidate gets its verdict, and a damaged champion can be
    replaced.
    """
    problems = tuple(problems)
    if not problems:
        try:
            return _read(blobs, version)
        except Corrupt as error:
            problems = (str(error),)
    return Evidence(version.model, version.number, version.evidence, problems=problems)


def _read(blobs: BlobStore, version: "Version") -> Evidence:
    from registry import claims  # and numpy with it, which nothing but a judgement needs

    files = packages.manifest(blobs, version.manifest).files

    def contents(name: str) -> bytes:
        with packages.named(name):
            return blobs.get(files[name].sha256)

    signature = Signature.parse(contents(Signature.file))
    baseline = Baseline.parse(contents(Baseline.file)).check(signature.classes)
    heldout = Heldout.parse(contents("heldout.npy"), len(signature.classes))
    said: dict[str, Baseline | Measurements] = {Baseline.file: baseline, "the registry": version.evidence}
    return Evidence(
        model=version.model,
        number=version.number,
        figures=version.evidence,
        size=files["model.onnx"].size,
        signature=signature,
        baseline=baseline,
        heldout=heldout,
        problems=tuple(islice(claims.denied(heldout, signature.classes, baseline.confusion, said), 1)),
    )
