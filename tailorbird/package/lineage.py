"""The origin of a version; together with `config.yaml` it is enough to retrain it."""

import json
from typing import Any, Self

from pydantic import ConfigDict

from tailorbird.package.record import Count, Record


class Origin(Record):
    """The version of another registry from which this one was imported, and that one's origin, if any."""

    model: str
    manifest: str
    created: str
    number: Count | None = None
    origin: "Origin | None" = None


class Noted(Record):
    """A record that keeps unknown keys, and omits those that are None."""

    model_config = ConfigDict(extra="allow")

    def record(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_unset=True)


class Data(Noted):
    """A data set by name and SHA-256 sum of its content; further keys say how it was split."""

    name: str | None = None
    sha256: str | None = None

    @property
    def split(self) -> dict[str, Any]:
        """How it was split."""
        return self.model_extra or {}


class Backbone(Noted):
    """A pretrained network: its name, its training images, and source, SHA-256 sum and licence of its weights."""

    backbone: str
    source: str | None = None
    sha256: str | None = None
    licence: str | None = None
    images: str | None = None


class Lineage(Noted):
    """The origin of the weights: sweep, trial, epoch, precision, data, objective, release and backbone.

    `champion` is the number of the champion at that time.
    """

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
        """A value after a round trip through JSON: lists for tuples, None for NaN."""
        return self.of(json.loads(json.dumps(self.record()), parse_constant=lambda _: None), "lineage")
