import itertools
import math
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from training import machine, requirements, splits
from training.config import DataConfig, Objective
from training.datasets import Dataset
from training.loop import Run
from training.network import fresh

MLP = {"family": "mlp", "width": [24, 16]}
DROPOUT = {**MLP, "dropout": 0.3}
CNN = {"family": "cnn", "depth": 2, "width": 6, "dropout": 0.2}


def trained(config, parts, *arguments, **named):
    run = Run(config, parts, *arguments, **named)
    for _ in run:
        pass
    return run


def weights(run):
    return torch.cat([tensor.double().flatten() for tensor in run.network.state_dict().values()])


@pytest.mark.parametrize("model", [DROPOUT, CNN], ids=["mlp", "cnn"])
def test_the_same_config_gives_the_same_weights_bit_for_bit_whatever_else_the_process_does(run_config, few, model):
    config = run_config(model=model, epochs=3, batch_size=32, threads=1)
    first = trained(config, few)
    trained(run_config(model=DROPOUT, epochs=1, seed=5), few)
    torch.rand(7)
    with machine.using(2):
        second = trained(config, few)
    assert torch.equal(weights(first), weights(second))
    assert [epoch.metrics() | {"seconds": 0} for epoch in first.epochs] == [
        epoch.metrics() | {"seconds": 0} for epoch in second.epochs
    ]


@pytest.mark.skipif(not shutil.which(requirements.COMPILER), reason=f"needs the C++ compiler {requirements.COMPILER}")
def test_a_compiled_run_ends_where_the_same_run_does_that_is_not(run_config, few):
    shared = {"model": CNN | {"depth": 1, "dropout": 0.0}, "epochs": 2, "batch_size": 64, "ema": 0.5}
    plain, compiled = trained(run_config(**shared), few), trained(run_config(**shared, compile=True), few)
    torch.testing.assert_close(weights(compiled), weights(plain), rtol=1e-3, atol=1e-4)
    assert not torch.equal(weights(compiled), weights(plain))  # sums in another order: it was compiled


def test_runs_that_take_turns_do_not_disturb_each_other(run_config, few):
    configs = [run_config(model=DROPOUT, epochs=3, batch_size=32, seed=seed) for seed in (1, 2)]
    alone = [weights(trained(config, few)) for config in configs]
    together = [Run(config, few) for config in configs]
    for _ in range(3):
        for run in together:
            run.step()
    assert all(torch.equal(one, weights(run)) for one, run in zip(alone, together, strict=True))


@pytest.mark.parametrize("key", ["seed", "batch_size", "optimizer", "schedule", "model"])
def test_another_config_gives_other_weights(run_config, few, key):
    other = {
        "seed": 1,
        "batch_size": 31,
        "optimizer": {"lr": 2e-3},
        "schedule": {"name": "one_cycle"},
        "model": {**DROPOUT, "dropout": 0.31},
    }
    base = {"model": DROPOUT, "epochs": 1, "batch_size": 32}
    assert not torch.equal(
        weights(trained(run_config(**base), few)), weights(trained(run_config(**base | {key: other[key]}), few))
    )


def test_the_first_weights_and_the_batches_of_each_epoch_are_decided_by_the_seed(run_config, few):
    seen = {}
    for seed in (0, 1):
        run = Run(run_config(epochs=2, batch_size=7, seed=seed), few)
        first = weights(run)
        batches = recorded(run)
        run.step(), run.step()
        seen[seed] = first, [tuple(map(bytes, splits.content_ids(batch.numpy()))) for batch in batches]
    assert not torch.equal(seen[0][0], seen[1][0])
    steps = math.ceil(len(few.train) / 7)
    epochs = [list(itertools.chain(*batches[at : at + steps])) for _, batches in seen.values() for at in (0, steps)]
    for order in epochs:
        assert sorted(order) == sorted(map(bytes, few.train.ids))
    assert len(set(map(tuple, epochs))) == 4
    assert [len(batch) for batch in seen[0][1][:steps]] == [7] * (steps - 1) + [len(few.train) % 7]


def recorded(run):
    """The pixels of every batch that the network will be trained on, in order."""
    batches = []

    def record(network, inputs):
        if network.training:
            batches.append(inputs[0].clone())

    run.network.register_forward_pre_hook(record)
    return batches


def one_cycle(step, steps, top, warmup):
    """As PyTorch documents it: from top/25 by a cosine up to top, then down to top/25/10,000."""
    turn = warmup * steps - 1
    start, end, share = (
        (top / 25, top, step / turn) if step <= turn else (top, top / 25e4, (step - turn) / (steps - 1 - turn))
    )
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


PLAIN = {
    "adam": lambda weights, o: torch.optim.Adam(weights, o.lr, weight_decay=o.weight_decay, foreach=False),
    "adamw": lambda weights, o: torch.optim.AdamW(weights, o.lr, weight_decay=o.weight_decay, foreach=False),
    "sgd": lambda weights, o: torch.optim.SGD(
        weights, o.lr, momentum=o.momentum, weight_decay=o.weight_decay, foreach=False
    ),
}


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "adam", "lr": 2e-3, "weight_decay": 1e-3},
        {"name": "adamw", "lr": 2e-3, "weight_decay": 0.1},
        {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3},
    ],
    ids=lambda optimizer: optimizer["name"],
)
def test_the_loop_is_the_plain_loop_of_pytorch(run_config, few, optimizer, schedule):
    run = Run(run_config(model=MLP, epochs=3, batch_size=32, optimizer=optimizer, schedule={"name": schedule}), few)
    state = [tensor.clone() for tensor in run.network.parameters()]
    batches = recorded(run)
    epochs = list(run)

    layers = [nn.Linear(64, 24), nn.Linear(24, 16), nn.Linear(16, 3)]
    plain = nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    with torch.no_grad():
        for parameter, first in zip(plain.parameters(), state, strict=True):
            parameter.copy_(first)
    known = dict(zip(map(bytes, few.train.ids), few.train.targets.tolist(), strict=True))
    pixels = few.train.at(slice(None)) / 255
    mean, deviation = float(pixels.mean()), float(pixels.std())
    stepper = PLAIN[optimizer["name"]](plain.parameters(), run.config.optimizer)
    losses, correct = [], []
    for step, batch in enumerate(batches):
        if schedule == "one_cycle":
            stepper.param_groups[0]["lr"] = one_cycle(step, len(batches), optimizer["lr"], 0.3)
        labels = torch.tensor([known[one] for one in map(bytes, splits.content_ids(batch.numpy()))])
        logits = plain((batch.float() / 255 - mean) / deviation)
        loss = nn.functional.cross_entropy(logits, labels)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        losses += [loss.item()] * len(batch)
        correct += (logits.argmax(1) == labels).tolist()

    for ours, theirs in zip(run.network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    size, steps = len(few.train), len(batches) // 3
    for number, epoch in enumerate(epochs):
        assert epoch.train_loss == pytest.approx(np.mean(losses[number * size : (number + 1) * size]), abs=1e-6)
        assert epoch.train_accuracy == pytest.approx(np.mean(correct[number * size : (number + 1) * size]))
        expected = (
            one_cycle(number * steps, len(batches), optimizer["lr"], 0.3)
            if schedule == "one_cycle"
            else optimizer["lr"]
        )
        assert epoch.lr == pytest.approx(expected)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]


def scores(state, run, parts):
    """Loss and accuracy on validation, by hand in numpy from a linear network's weights."""
    state = {name: tensor.double().numpy() for name, tensor in state.items()}
    images = (parts.validation.at(slice(None)) - state["0.mean"].item()) / state["0.deviation"].item()
    logits = images.reshape(len(images), -1) @ state["2.weight"].T + state["2.bias"]
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = parts.validation.targets
    return -np.log(chances[np.arange(len(labels)), labels]).mean(), (logits.argmax(1) == labels).mean()


@pytest.mark.parametrize(
    "objective",
    [Objective(), Objective(metric="val_loss", mode="min"), Objective(metric="train_loss", mode="min")],
    ids=lambda one: one.metric,
)
def test_the_weights_of_the_best_epoch_are_kept_and_measured_as_they_are(run_config, few, objective):
    run = Run(run_config(epochs=12, batch_size=16, optimizer={"lr": 0.02}), few, objective)
    states = []
    for epoch in run:
        states.append({name: tensor.clone() for name, tensor in run.network.state_dict().items()})
        assert (epoch.val_loss, epoch.val_accuracy) == pytest.approx(scores(states[-1], run, few), abs=1e-5)
        values = [objective.merit(epoch.metrics()) for epoch in run.epochs]
        best = values.index(max(values))  # of equals the one of lesser loss, then the first
        assert run.best is run.epochs[best]
        assert all(torch.equal(run.best_state[name], tensor) for name, tensor in states[best].items())
    if objective.metric.startswith("val_"):
        assert run.best.epoch not in (1, 12), "this test needs a run that gets worse again"


def test_dropout_is_off_and_batch_norm_still_where_it_is_measured(run_config, few):
    run = trained(run_config(model=CNN, epochs=2, batch_size=16, threads=1), few)
    network = fresh(run.config, few).eval()
    network.load_state_dict(run.best_state)
    logits = network(torch.from_numpy(few.validation.at(slice(None))))
    labels = torch.from_numpy(few.validation.targets)
    assert run.best.val_loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), abs=1e-6)


def test_without_validation_the_last_epoch_is_kept_and_nothing_is_told_of_it(run_config, few):
    run = trained(run_config(epochs=5, batch_size=16, optimizer={"lr": 0.1}), replace(few, validation=nothing_of(few)))
    assert run.best is run.epochs[-1]
    assert all(torch.equal(tensor, run.network.state_dict()[name]) for name, tensor in run.best_state.items())
    assert math.isnan(run.best.val_loss) and math.isnan(run.best.val_accuracy)
    assert run.best.metrics().keys() == {"train_loss", "train_accuracy", "lr", "seconds"}


def nothing_of(parts):
    return parts.train.only(slice(0))


def test_without_validation_training_may_still_be_chosen_on(run_config, few):
    config = run_config(epochs=8, batch_size=16, optimizer={"name": "sgd", "lr": 2.0, "momentum": 0.9})
    run = trained(config, replace(few, validation=nothing_of(few)), Objective(metric="train_accuracy"))
    values = [(epoch.train_accuracy, -epoch.train_loss) for epoch in run.epochs]
    assert run.best.epoch == values.index(max(values)) + 1 < 8


def test_there_is_no_best_before_the_first_step(run_config, few):
    run = Run(run_config(), few)
    with pytest.raises(RuntimeError, match="has not measured an epoch yet"):
        _ = run.best


def test_a_run_goes_on_where_it_was_left(run_config, few):
    run = Run(run_config(epochs=4), few)
    run.step()
    assert next(iter(run)).epoch == 2
    assert [epoch.epoch for epoch in run] == [3, 4]
    assert list(run) == []


def test_each_batch_is_told(run_config, few):
    messages = []
    trained(run_config(epochs=2, batch_size=48), few, on_batch=messages.append)
    assert messages == [48, 48, 48, 15] * 2


def test_read_only_arrays_are_trained_on_without_a_warning_and_stay_as_they_are(run_config, few):
    parts = {}
    for name in ("train", "validation"):
        part = getattr(few, name)
        parts[name] = replace(part, inputs=part.inputs.copy(), targets=part.targets.copy())
        parts[name].inputs.setflags(write=False)
        parts[name].targets.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = trained(run_config(epochs=1), replace(few, **parts))
    assert torch.equal(weights(run), weights(trained(run_config(epochs=1), few)))
    assert (parts["train"].inputs == few.train.inputs).all()


@pytest.mark.parametrize(
    ("model", "least"),
    [({"family": "linear"}, 0.93), (MLP, 0.93), ({"family": "cnn", "width": 8}, 0.93)],
    ids=["linear", "mlp", "cnn"],
)
def test_each_family_learns_digits(run_config, digit_splits, model, least):
    run = trained(run_config(model=model, epochs=6, optimizer={"lr": 5e-3}, threads=1), digit_splits)
    assert run.best.val_accuracy > least


def test_accumulated_gradients_are_those_of_the_whole_batch(run_config, few):
    sgd = {"name": "sgd", "lr": 0.1}
    whole = trained(run_config(model=MLP, epochs=2, batch_size=48, optimizer=sgd), few)
    parts = trained(run_config(model=MLP, epochs=2, batch_size=12, accumulate=4, optimizer=sgd), few)
    assert torch.allclose(weights(whole), weights(parts), atol=1e-6)  # the last step has 16 images: 12 and 4
    assert [epoch.train_loss for epoch in whole.epochs] == pytest.approx(
        [epoch.train_loss for epoch in parts.epochs], abs=1e-6
    )
    alone = trained(run_config(model=MLP, epochs=2, batch_size=12, optimizer=sgd), few)
    assert not torch.allclose(weights(whole), weights(alone), atol=1e-3)


def test_a_full_batch_is_one_step_of_gradient_descent(run_config, few):
    run = Run(
        run_config(model={"family": "linear"}, epochs=1, batch_size="full", optimizer={"name": "sgd", "lr": 0.5}), few
    )
    network = fresh(run.config, few)
    network.load_state_dict(run.network.state_dict())
    inputs, targets = torch.from_numpy(few.train.at(slice(None))), torch.from_numpy(few.train.targets)
    nn.functional.cross_entropy(network(inputs), targets).backward()
    expected = network[2].weight - 0.5 * network[2].weight.grad
    run.step()
    assert torch.allclose(run.network[2].weight, expected, atol=1e-6)


def test_what_is_measured_every_third_epoch_is_the_same_run(run_config, few):
    often = trained(run_config(model=DROPOUT, epochs=7), few)
    seldom = trained(run_config(model=DROPOUT, epochs=7, measure_every=3), few)
    assert [epoch.epoch for epoch in seldom.epochs] == [3, 6, 7]
    assert torch.equal(weights(often), weights(seldom))
    assert [often.epochs[n - 1].val_loss for n in (3, 6, 7)] == [epoch.val_loss for epoch in seldom.epochs]


def test_early_stopping(run_config, few):
    lr = {"name": "sgd", "lr": 1e-9}  # nothing gets better
    run = trained(run_config(model=MLP, epochs=9, optimizer=lr, early_stopping={"patience": 3}), few)
    assert [epoch.epoch for epoch in run.epochs] == [1, 2, 3, 4] and run.best.epoch == 1
    never = run_config(model=MLP, epochs=9, optimizer=lr, early_stopping={"patience": 9})
    assert len(trained(never, few).epochs) == 9


def test_a_plateau_lowers_the_rate(run_config, few):
    config = run_config(
        model=MLP,
        epochs=8,
        optimizer={"name": "sgd", "lr": 1e-9},
        schedule={"name": "plateau", "patience": 2, "factor": 0.1},
    )
    assert [epoch.lr for epoch in trained(config, few).epochs] == pytest.approx([1e-9] * 4 + [1e-10] * 3 + [1e-11])


def test_the_mean_of_weights_is_what_is_measured_and_kept(run_config, few):
    config = run_config(model=MLP, epochs=1, batch_size=32, ema=0.75, optimizer={"lr": 0.01})
    run, seen = Run(config, few), []
    plain = Run(config.model_copy(update={"ema": None}), few)
    plain.state.optimizer.register_step_post_hook(lambda *_: seen.append(plain.network[2].weight.detach().clone()))
    run.step()
    plain.step()
    mean = torch.zeros_like(seen[0])
    for count, weight in enumerate(seen):
        decay = min(0.75, count / (count + 9))
        mean = decay * mean + (1 - decay) * weight
    assert torch.allclose(run.best_state["2.weight"], mean, atol=1e-6)
    assert torch.equal(run.network[2].weight, plain.network[2].weight) and run.best.val_loss != plain.best.val_loss


def test_label_smoothing_is_for_training_alone(run_config, few):
    run = trained(run_config(model=MLP, epochs=1, loss={"label_smoothing": 0.2}), few)
    run.network.eval()
    logits = run.network(torch.from_numpy(few.validation.at(slice(None))))
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(few.validation.targets)).item()
    assert run.best.val_loss == pytest.approx(loss, abs=1e-6)


def test_bf16_trains_as_well_in_other_digits(run_config, few):
    full = trained(run_config(model=CNN, epochs=6, batch_size=32), few)
    half = trained(run_config(model=CNN, epochs=6, batch_size=32, precision="bf16"), few)
    assert not torch.equal(weights(full), weights(half))
    assert half.best.val_accuracy > 0.5 and all(
        parameter.dtype == torch.float32 for parameter in half.network.parameters()
    )


def test_augmentation_is_for_training_alone(run_config, few):
    plain = trained(run_config(model=MLP, epochs=1), few)
    flipped = Run(run_config(model=MLP, epochs=1, augment={"flip": True}), few)
    flipped.step()
    assert not torch.equal(weights(plain), weights(flipped))
    assert flipped.score(few.validation) == (flipped.best.val_loss, flipped.best.val_accuracy)


@pytest.mark.parametrize("kind, targets", [
    ("binary", lambda n: np.arange(n) % 2), ("multilabel", lambda n: np.eye(3, dtype=np.float32)[np.arange(n) % 3]),
    ("regression", lambda n: np.linspace(0, 1, n, dtype=np.float32)),
])  # fmt: skip
def test_every_kind_learns_rows_of_a_table(run_config, kind, targets):
    rows = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
    wanted = targets(120)
    rows[:, 0] += 3 * (wanted if wanted.ndim == 1 else wanted[:, 0])
    classes = {"binary": ("no", "yes"), "multilabel": ("a", "b", "c"), "regression": ("price",)}[kind]
    dealt = splits.split(
        Dataset("rows", classes, rows, wanted, None, kind), DataConfig(name="digits", validation=30, holdout=0)
    )
    run = trained(run_config(model=MLP, epochs=15, batch_size=16, optimizer={"lr": 0.01}), dealt)
    assert run.best.val_loss < run.epochs[0].val_loss * 0.9
    assert math.isnan(run.best.val_accuracy) == (kind == "regression")
    assert "val_accuracy" in run.best.metrics() or kind == "regression"


@pytest.mark.parametrize("changes", [{}, {"accumulate": 2, "ema": 0.9}])
@pytest.mark.parametrize(("unit", "zero"), [(1e-4, 0.0), (60.0, 1.7e9)])
def test_the_unit_of_what_is_predicted_does_not_matter(run_config, unit, zero, changes):
    inputs = np.random.default_rng(0).normal(size=(120, 4))
    numbers = inputs[:, 0] * inputs[:, 1]
    config = run_config(model=MLP, epochs=10, batch_size=16, optimizer={"lr": 0.01}, **changes)
    epochs = []
    for targets in (numbers, unit * numbers + zero):
        made = Dataset("rows", ("price",), inputs, targets, None, "regression")
        dealt = splits.split(made, DataConfig(name="diabetes", validation=30, holdout=0, test=1))
        epochs.append(trained(config, dealt).epochs[-1])
    plain, scaled = epochs
    assert scaled.train_loss == pytest.approx(unit**2 * plain.train_loss, rel=1e-3)
    assert scaled.val_loss == pytest.approx(unit**2 * plain.val_loss, rel=1e-3)
    assert plain.val_loss < 0.8 * numbers.var()


def test_the_zero_of_a_column_does_not_matter(run_config):
    column = np.random.default_rng(0).uniform(-60, 60, (400, 1))
    accuracies = []
    for inputs in (column, column + 1.7e9):  # seconds since 1970, within minutes of each other
        made = Dataset("dates", ("early", "late"), inputs, (column[:, 0] > 0).astype(np.int64), None, "binary", ("t",))
        dealt = splits.split(made, DataConfig(name="digits", validation=100, holdout=0))
        config = run_config(model={"family": "linear"}, epochs=10, batch_size=16, optimizer={"lr": 0.1})
        accuracies.append(trained(config, dealt).best.val_accuracy)
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.02) and min(accuracies) > 0.95


def test_the_network_of_the_best_epoch_is_given_out(run_config, few):
    run = trained(run_config(model=MLP, epochs=6, optimizer={"lr": 0.3}), few)
    assert run.best.epoch < 6
    run.network.load_state_dict(run.best_state)
    assert run.score(few.validation) == (run.best.val_loss, run.best.val_accuracy)
