"""A verdict: the results of all gates that judged a candidate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.policy import Limits

INTEGRITY = "integrity"


@dataclass(frozen=True)
class Gate:
    """The result of one gate; `message` says by how much, `measured` and `allowed` are the compared figures."""

    name: str
    passed: bool
    message: str
    measured: dict[str, Any]
    allowed: Any


@dataclass(frozen=True)
class Verdict:
    """The results of all gates that judged; `split` identifies the held-out images."""

    gates: list[Gate]
    split: str | None
    judged_before: int

    @property
    def passed(self) -> bool:
        return all(gate.passed for gate in self.gates)

    @property
    def intact(self) -> bool:
        """Whether the candidate verifies: otherwise no alias can be moved to it."""
        return all(gate.passed for gate in self.gates if gate.name == INTEGRITY)

    @property
    def reasons(self) -> list[str]:
        """The messages of the gates that failed."""
        return [gate.message for gate in self.gates if not gate.passed]

    def record(self) -> dict[str, Any]:
        """The verdict as JSON, with None for numbers that are not finite."""
        return {
            "passed": self.passed,
            "reasons": self.reasons,
            "gates": [_finite(vars(gate)) for gate in self.gates],
            "split": self.split,
            "judged_before": self.judged_before,
        }


def gate(name: str, failed: str, fine: str, measured: Mapping[str, Any], allowed: Limits | str) -> Gate:
    """The result of a gate, which passes if `failed` is empty."""
    limits = allowed if isinstance(allowed, str) else allowed.model_dump()
    return Gate(name, not failed, failed or fine, dict(measured), limits)


def number(stored: float | None) -> float:
    return math.nan if stored is None else stored  # JSON has no NaN


def percent(share: float) -> str:
    return f"{100 * share:.6g}%"


def points(share: float) -> str:
    return f"{100 * share:.2f} points"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
