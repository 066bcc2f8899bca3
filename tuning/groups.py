"""Which trials are trained as one: it follows from their configs, and from what that gains on the processor."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

FREE = ("seed", "epochs", "optimizer.lr", "optimizer.weight_decay", "optimizer.momentum", "model.dropout")
"""Keys in which the trials of a group may differ; all others decide shapes, batches or when they are measured."""

STACKED = ("linear", "mlp")
"""Families of networks that are quicker together than apart, as heads on a frozen backbone are; convolutions are not,
on processors."""


def grouped(
    configs: Sequence[Mapping[str, Any]], most: int, first: int, sizes: Mapping[str, int] | None = None
) -> list[int]:
    """The number of each config's group, counted from `first`; of one key they are in order, and equally many.

    Groups have `most` members, or as many as `sizes` says of their shape, or fewer, so that none is left with a few.
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
    """What decides how long a step of a trial takes."""
    kept = {name: config[name] for name in ("data", "normalize", "batch_size", "precision", "threads")}
    model = {key: value for key, value in config["model"].items() if key != "dropout"}
    return json.dumps({**kept, "model": model, "optimizer": config["optimizer"]["name"]}, sort_keys=True)


def stacks(config: Mapping[str, Any]) -> bool:
    """Whether trials of such a config may be lanes at all."""
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
