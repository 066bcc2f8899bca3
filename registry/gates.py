"""Gates: pure functions of evidence that say whether a candidate may take an alias."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

LEAST_AGREEMENT = 0.999
LARGEST_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class Verdict:
    """The answer, and by how much each gate failed."""

    passed: bool
    reasons: list[str]

    def record(self) -> dict[str, Any]:
        return asdict(self)


def told(parity: Mapping[str, Any]) -> str:
    """Parity as people read it."""
    agreement, difference = _number(parity["agreement"]), _number(parity["max_difference"])
    return f"export agrees with torch on {agreement:.2%} of labels, probabilities within {difference:.0e}"


def judge(candidate: Mapping[str, Any], champion: Mapping[str, Any] | None) -> Verdict:
    """Judge a candidate's evidence against that of the version that holds the alias now, if one does."""
    reasons = list(filter(None, (_parity(candidate["parity"]), _accuracy(candidate, champion))))
    return Verdict(not reasons, reasons)


def _parity(parity: Mapping[str, float | None]) -> str | None:
    # written as «not at least» so that NaN fails
    samples, agreement, difference = (_number(parity[key]) for key in ("samples", "agreement", "max_difference"))
    if not samples > 0:
        return "the export was not compared with torch on any image"
    if not agreement >= LEAST_AGREEMENT:
        return f"the export agrees with torch on {agreement:.3%} of labels, at least {LEAST_AGREEMENT:.1%} needed"
    if not difference <= LARGEST_DIFFERENCE:
        return (
            f"the export's probabilities differ from torch's by {difference:.1e}, "
            f"at most {LARGEST_DIFFERENCE:.0e} allowed"
        )
    return None


def _accuracy(candidate: Mapping[str, Any], champion: Mapping[str, Any] | None) -> str | None:
    if champion is None or candidate["accuracy"] >= champion["accuracy"]:
        return None
    return (
        f"held-out accuracy {candidate['accuracy']:.2%} is {100 * (champion['accuracy'] - candidate['accuracy']):.2f} "
        f"points under the champion's {champion['accuracy']:.2%}"
    )


def _number(stored: float | None) -> float:
    return math.nan if stored is None else stored  # JSON has no NaN
