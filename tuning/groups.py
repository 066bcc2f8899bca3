"""Grouping trials that are trained together, by their configs and by the speed-up on the processor."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

FREE = ("seed", "epochs", "optimizer.lr", "optimizer.weight_decay", "optimizer.momentum", "model.dropout")
"""Keys in which the trials of a group may differ; all others decide shapes, batches or when they are measured."""

STACKED = ("linear", "mlp")
"""Families that train faster together, as do heads on a frozen backbone; convolutions do not, on CPUs."""


def grouped(
    configs: Sequence[Mapping[str, Any]], most: int, first: int, sizes: Mapping[str, int] | None = None
) -> list[int]:
    """The number of each config's group, counted from `first`; configs of one key are grouped in order, and evenly.

    Groups have at most `most` members, or as many as `sizes` says for their shape.
    """
    keys = [_key(config) for config in configs]
    counts, before = Counter(keys), Counter[str]()
    numbers: list[int] = []
    opened: dict[tuple[str, int], int] = {}
    for config, key in zip(configs, keys, strict=True):
        size = min(most, (sizes or {}).get(shape(config), most)) if stacks(config) else 1
        part = before[key] * -(-counts[key] // size) // counts[key]
        before[key] += 1
        numbers.append(opened.setdefault((key, part), first + len(opened)))
    return numbers


def shape(config: Mapping[str, Any]) -> str:
    """A key of everything that determines the time of a trial's step."""
    kept = {name: config[name] for name in ("data", "normalize", "batch_size", "precision", "threads")}
    model = {key: value for key, value in config["model"].items() if key != "dropout"}
    return json.dumps({**kept, "model": model, "optimizer": config["optimizer"]["name"]}, sort_keys=True)


def stacks(config: Mapping[str, Any]) -> bool:
    """Whether trials of such a config may be lanes."""
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
