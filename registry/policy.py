"""The policy: the limits of each gate, for each alias, from a YAML file over defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from registry.names import Reference
from tailorbird import yaml_files
from tailorbird.errors import InvalidInput
from tailorbird.yaml_files import NoSwitch

EVERY = "default"
"""The section for all aliases."""


Share = Annotated[float, NoSwitch, Field(ge=0, le=1)]
Positive = Annotated[float, NoSwitch, Field(gt=0)]


class Limits(BaseModel):
    """The limits of one gate."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Parity(Limits):
    """How much the export may differ from torch on the held-out split."""

    agreement: Share = 0.999
    max_difference: Share = 1e-3


class Accuracy(Limits):
    """The least held-out accuracy, besides that of always predicting the most common class."""

    at_least: Share | None = None


class Champion(Limits):
    """How the candidate must compare with the version that holds the alias, on their common images."""

    require: Literal["not_worse", "better"] = "not_worse"
    margin: Share = Field(0.01, description="the loss of accuracy that is accepted as not worse, at 95% confidence")


class Recall(Limits):
    """How much recall of a single class may be lost, and whether only a significant loss counts."""

    margin: Share = 0.05


class Calibration(Limits):
    """The expected calibration error on the held-out split, if it is known."""

    at_most: Share = 0.1


class Latency(Limits):
    """Milliseconds for one image on one CPU thread, if they were measured."""

    p50_ms: Positive | None = 100
    p99_ms: Positive | None = None


class Size(Limits):
    """Megabytes (10^6 bytes) of the served model."""

    megabytes: Positive = 500


class Policy(Limits):
    """The limits of one alias's gates; None turns a gate off."""

    integrity: Literal["always"] = "always"
    parity: Parity | None = Parity()
    accuracy: Accuracy | None = Accuracy()
    champion: Champion | None = Champion()
    recall: Recall | None = Recall()
    calibration: Calibration | None = Calibration()
    latency: Latency | None = Latency()
    size: Size | None = Size()
    classes: Literal["same"] | None = "same"

    def record(self) -> dict[str, Any]:
        """The policy in the form in which it is stored with a verdict."""
        return self.model_dump(mode="json")


@dataclass(frozen=True)
class Policies:
    """The sections of a policy file: `default`, ALIAS and MODEL@ALIAS."""

    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, model: str, alias: str) -> Policy:
        """The defaults, updated with the file's sections for all aliases, for this one, and for this model's."""
        merged: dict[str, Any] = {}
        for name in (EVERY, alias, f"{model}@{alias}"):
            merged = _merged(merged, self.sections.get(name, {}))
        return Policy.model_validate(merged)


def load(path: Path | None) -> Policies:
    """Read a policy file, or take the defaults; raises InvalidInput with the path of the first wrong key."""
    if path is None:
        return Policies()
    sections = yaml_files.read(path, "champion: {accuracy: {at_least: 0.9}}")
    for name, section in sections.items():
        _check_name(path, name)
        try:
            Policy.model_validate(section)
        except ValidationError as error:
            raise InvalidInput.from_validation(error, section, Policy, f"{path}: {name}.") from None
    return Policies(sections)


def _check_name(path: Path, name: Any) -> None:
    try:
        sound = isinstance(name, str) and Reference.parse(name).number is None
    except InvalidInput:
        sound = False
    if not sound:
        raise InvalidInput(str(path), f"{str(name)[:80]!r} is not a section; accepted: {EVERY}, ALIAS and MODEL@ALIAS")


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged
