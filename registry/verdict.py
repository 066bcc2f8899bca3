"""A verdict: what every gate that was asked said of a candidate."""

import math
from dataclasses import dataclass
from typing import Any

INTEGRITY = "integrity"


@dataclass(frozen=True)
class Gate:
    """One gate's answer; `message` says by how much, `measured` and `allowed` are what it compared."""

    name: str
    passed: bool
    message: str
    measured: dict[str, Any]
    allowed: Any


@dataclass(frozen=True)
class Verdict:
    """The answer of every gate that was asked; `split` names the held-out images that it rests on."""

    gates: list[Gate]
    split: str | None
    judged_before: int

    @property
    def passed(self) -> bool:
        return all(gate.passed for gate in self.gates)

    @property
    def intact(self) -> bool:
        """Whether the candidate verifies: without that, nothing moves an alias to it."""
        return all(gate.passed for gate in self.gates if gate.name == INTEGRITY)

    @property
    def reasons(self) -> list[str]:
        """What the gates that failed say."""
        return [gate.message for gate in self.gates if not gate.passed]

    def record(self) -> dict[str, Any]:
        """The verdict as JSON keeps it, with None for what is not finite."""
        return {
            "passed": self.passed,
            "reasons": self.reasons,
            "gates": [_finite(vars(gate)) for gate in self.gates],
            "split": self.split,
            "judged_before": self.judged_before,
        }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
