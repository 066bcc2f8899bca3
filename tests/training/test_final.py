from dataclasses import replace

import pytest

from training import checkpoint, final, splits
from training.config import DataConfig
from training.loop import Run
from training.network import restored


def test_figures_are_those_of_the_kept_weights_on_test_and_training(run_config, blobs):
    config = run_config(model={"family": "mlp", "dropout": 0.3}, epochs=3)
    dealt = splits.split(blobs(images=200, noise=90), DataConfig(name="digits", validation=20, holdout=0, test=40))
    run = Run(config, dealt)
    list(run)
    figures = final.figures(config, dealt, checkpoint.encode(run.best_state))
    run.network.load_state_dict(run.best_state)
    assert (figures["test_loss"], figures["test_accuracy"]) == pytest.approx(run.score(dealt.test))
    assert (figures["fit_loss"], figures["fit_accuracy"]) == pytest.approx(run.score(dealt.train))
    assert {"test_nll", "test_macro_f1"} & figures.keys()


def test_without_a_test_split_there_are_none(run_config, few):
    run = Run(run_config(), few)
    run.step()
    nothing = replace(few, test=few.test.only(slice(0)))
    assert final.figures(run.config, nothing, checkpoint.encode(run.best_state)) == {}


def test_each_split_goes_through_the_network_once(monkeypatch, run_config, few):
    run = Run(run_config(), few)
    run.step()
    passed = []

    def counted(*arguments):
        network = restored(*arguments)
        network.register_forward_hook(lambda module, inputs, outputs: passed.append(len(outputs)))
        return network

    monkeypatch.setattr(final, "restored", counted)
    final.figures(run.config, few, checkpoint.encode(run.best_state))
    assert sum(passed) == len(few.train) + len(few.validation) + len(few.test)
