import math
from dataclasses import replace

import pytest

from training import tally
from training.loop import Diverged, Run

MLP = {"family": "mlp", "width": [24, 16]}


def test_a_run_that_diverges_says_in_which_epoch_at_which_lr(run_config, few):
    config = run_config(
        model={"family": "mlp", "depth": 6}, optimizer={"name": "sgd", "lr": 100.0, "momentum": 0.9}, epochs=3
    )
    with pytest.raises(
        Diverged,
        match=r"after step \d+, the last of epoch 1 \(train .*, validation nan\), at lr 100; lower optimizer\.lr",
    ):
        list(Run(config, few))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("validated", [True, False])
def test_what_the_last_batch_spoils_is_noticed(run_config, few, validated, value):
    """Its own loss was measured before it did; the weights would be kept as the best."""
    parts = few if validated else replace(few, validation=few.validation.only(slice(0)))
    left = [len(few.train)]

    def spoil(images):
        left[0] -= images
        if not left[0]:
            run.network[2].weight.data[0, 0] = value

    run = Run(run_config(epochs=1, batch_size=32, schedule={"name": "one_cycle"}), parts, on_batch=spoil)
    steps = math.ceil(len(few.train) / 32)
    message = (
        rf"after step {steps}, the last of epoch 1 \(train .*\), at lr 4e-09; .*; no epoch ended with finite weights"
    )
    with pytest.raises(Diverged, match=message):
        run.step()
    assert run.epochs == [] and run.best_state == {}


def test_a_loss_that_is_no_number_is_told_with_its_step_rate_and_last_good_epoch(run_config, few):
    run = Run(run_config(model=MLP, epochs=3, batch_size=32), few)
    run.step()
    losses = iter([1.0, math.nan, 1.0, 1.0, 1.0])
    run._loss = lambda logits, _: logits.sum() * 0 + next(losses)
    message = (
        "the loss is NaN or infinite in step 2 of epoch 2, at lr 0.001; lower optimizer.lr; "
        "the best weights before that are those of epoch 1"
    )
    with pytest.raises(Diverged, match=message):
        run.step()
    assert run.best.epoch == 1 and all(tensor.isfinite().all() for tensor in run.best_state.values())


def test_a_loss_that_is_no_number_is_noticed_within_the_epoch(run_config, few, monkeypatch):
    monkeypatch.setattr(tally, "LOOK_EVERY", 3)
    batches = []
    run = Run(
        run_config(model=MLP, epochs=1, batch_size=16, optimizer={"name": "sgd", "lr": 1e-3}),
        few,
        on_batch=batches.append,
    )
    run._loss = lambda logits, _: logits.sum() * math.nan
    with pytest.raises(
        Diverged, match=r"in step 1 of epoch 1, at lr 0\.001; lower optimizer\.lr; no epoch ended with finite weights"
    ):
        run.step()
    assert len(batches) == 3
