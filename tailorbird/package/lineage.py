"""The origin of a version; together with `config.yaml` it is enough to retrain it."""

import json
from typing import Any, Self

from pydantic import ConfigDict

from tailorbird.package.record import Count, Record


class Origin(Record):
    """The version of another registry that was imported, and the one that was imported there."""

    model: str
    manifest: str
    created: str
    number: Count | None = None
    origin: "Origin | None" = None


class Noted(Record):
    """Notes: what else was noted is kept as it is, and nothing is said of what was not."""

    model_config = ConfigDict(extra="allow")

    def record(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_unset=True)


class Data(Noted):
    """A data set by name and by the SHA-256 sum of its content; further notes say how it was split."""

    name: str | None = None
    sha256: str | None = None

    @property
    def split(self) -> dict[str, Any]:
        """How it was split."""
        return self.model_extra or {}


class Backbone(Noted):
    """A network that had been trained on other images: its name, where its weights came from with the SHA-256 sum of
    their file, under which licence, and on what images they were trained."""

    backbone: str
    source: str | None = None
    sha256: str | None = None
    licence: str | None = None
    images: str | None = None


class Lineage(Noted):
    """The sweep and the trial, the epoch whose weights these are and the precision they were trained in, the data, what
    epochs and trials were chosen by, the number that the champion had then, the release, and a pretrained backbone."""

    sweep: str | None = None
    trial: Count | None = None
    epoch: Count | None = None
    precision: str | None = None
    data: Data | None = None
    objective: dict[str, Any] | None = None
    champion: Count | None = None
    code: str | None = None
    backbone: Backbone | None = None
    origin: Origin | None = None

    def storable(self) -> Self:
        """As it comes back from JSON, which has no tuples, and None for NaN."""
        return self.of(json.loads(json.dumps(self.record()), parse_constant=lambda _: None), "lineage")
