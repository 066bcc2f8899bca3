"""The specs of made-up sweeps."""

from tuning import spec as specs


def spec(dice):
    """A small sweep of some search, scheduler and size."""
    chosen = dice.choice(["random", "random", "grid", "tpe"])
    raw_spec = {
        "name": "made-up",
        "data": {"name": "digits", "validation": 0.2, "holdout": 0.2},
        "run": {"model": {"family": "mlp"}},
        "space": {
            "optimizer.lr": {"uniform": [0.1, 1.0], "step": 0.1},
            "batch_size": {"choice": [16, 64]},
            "epochs": {"choice": dice.choice([[2], [3], [4], [12], [2, 4]])},
            "measure_every": {"choice": dice.choice([[1], [1], [2, 5], [2]])},
        },
        "search": chosen,
        "scheduler": dice.choice(["halving", "halving", "halving", "none"]),
        "probe": dice.random() < 0.5,
        "seed": dice.randrange(3),
        "seeds": dice.choice([1, 1, 2]),
        "lanes": dice.choice([1, 3, 8]),
    }
    if dice.random() < 0.3:
        raw_spec |= {"promote": {"model": "made-up"}, "confirm": {"top": 2, "seeds": dice.choice([1, 2])}}
    if chosen == "grid":
        raw_spec["space"]["optimizer.lr"] = {"choice": [0.1, 0.3]}
    else:
        raw_spec["trials"] = dice.choice([2, 4, 7])
    return specs.parse(raw_spec)


def with_epochs(drawn, epochs):
    """The same sweep with so many epochs for all trials, by a search that does not depend on results."""
    plain = drawn.plain() | {"run": {**drawn.run, "epochs": epochs}}
    left_out = ("epochs", "measure_every")
    plain["space"] = {key: domain for key, domain in plain["space"].items() if key not in left_out}
    plain["search"] = "grid" if drawn.search == "grid" else "random"
    plain.pop("confirm", None)
    return specs.parse(plain)
