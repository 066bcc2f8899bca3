"""Which trials are trained as one: it follows from their configs alone, since another grouping changes low digits."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

FREE = ("seed", "optimizer.lr", "optimizer.weight_decay", "optimizer.momentum", "model.dropout")
"""Keys in which the trials of a group may differ; all others decide shapes, batches or when trials are compared."""

STACKED = ("linear", "mlp")
"""Families of networks that are quicker together than apart, as heads on a frozen backbone are; convolutions are not,
on processors."""


def grouped(configs: Sequence[Mapping[str, Any]], most: int, first: int) -> list[int]:
    """The number of each config's group, counted from `first`; groups have `most` members, in order."""
    numbers: list[int] = []
    latest: dict[str, tuple[int, int]] = {}
    following = first
    for config in configs:
        key = _key(config)
        group, members = latest.get(key, (0, most))
        if members == most or not _stacks(config):
            group, members, following = following, 0, following + 1
        latest[key] = (group, members + 1)
        numbers.append(group)
    return numbers


def _stacks(config: Mapping[str, Any]) -> bool:
    model = config["model"]
    return (model["family"] in STACKED or model.get("tune") == "head") and not config["compile"]


def _key(config: Mapping[str, Any]) -> str:
    kept = {
        name: {key: value for key, value in part.items() if f"{name}.{key}" not in FREE}
        if isinstance(part, Mapping)
        else part
        for name, part in config.items()
        if name not in FREE
    }
    return json.dumps(kept, sort_keys=True)
