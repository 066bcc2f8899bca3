"""The policy of a watch: windows, thresholds and actions, from a YAML file; the defaults only alert."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tailorbird import yaml_files
from tailorbird.errors import InvalidInput
from tailorbird.yaml_files import NoSwitch

Number = Annotated[float, NoSwitch]
Minutes = Annotated[Number, Field(gt=0, le=525_600)]


class Policy(BaseModel):
    """What a watch does; `labels` and `estimate` are the actions if they show a drop in accuracy."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    class_mix: Literal["steady", "free"] = Field(
        "free", description="whether the class mix stays as in training; chooses the second estimate that alarms"
    )
    labels: Literal["alert", "roll_back", "sweep"] = Field("alert", description="action on a drop that labels prove")
    estimate: Literal["alert", "sweep"] = Field("alert", description="action on a drop that is only estimated")
    sweep: str | None = Field(None, description="the spec of the retraining sweep whose command is printed")
    drop: Annotated[Number, Field(ge=0.01, le=1)] = Field(0.05, description="drop in accuracy that triggers the action")
    window: Minutes = Field(60, description="minutes of predictions that estimates use")
    label_window: Minutes = Field(
        1440, description="minutes of labels that the interval uses, at most since the last promotion"
    )
    every: Minutes = Field(1, description="minutes between checks")
    cool_down: Minutes = Field(1440, description="minutes after an alias move without a rollback")
    predictions: Annotated[int, NoSwitch, Field(ge=100)] = Field(
        500, description="fewest predictions in the window for an estimate"
    )

    @model_validator(mode="after")
    def _ends(self) -> Self:
        """A rollback has to wait for the policy's window and one check, or versions could roll back in a loop."""
        if self.labels == "roll_back":
            for name in ("label_window", "every"):
                if self.cool_down < getattr(self, name):
                    raise ValueError(
                        f"could roll back in a loop: cool_down is {self.cool_down:g} minutes and {name} "
                        f"{getattr(self, name):g}; accepted: a cool_down at least as long"
                    )
        if self.sweep is None and "sweep" in (self.labels, self.estimate):
            raise ValueError("requires a spec to retrain with; accepted: sweep: SPEC.yaml")
        return self


def load(path: Path | None) -> Policy:
    """Read a policy file, or take the defaults; raises InvalidInput with the path of the first wrong key."""
    if path is None:
        return Policy()
    content = yaml_files.read(path, "labels: roll_back")
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        raise InvalidInput.from_validation(error, content, Policy, f"{path}: ") from None
