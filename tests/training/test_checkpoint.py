import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tailorbird.errors import Corrupt
from training import checkpoint, models
from training.config import CnnConfig, MlpConfig


def network(width=6, family="cnn"):
    config = CnnConfig(family="cnn", width=width) if family == "cnn" else MlpConfig(family="mlp", width=width)
    return models.build(config, (8, 8), 3, models.Normalize([80.0], [50.0])).to(memory_format=torch.channels_last)


def used():
    """A network whose statistics are no longer those it began with."""
    made = network()
    made.train()(torch.randint(0, 256, (4, 8, 8), dtype=torch.uint8))
    return made


WEIGHTS = checkpoint.encode(used().state_dict())


def test_a_network_that_is_restored_is_the_same_bit_for_bit():
    made, restored = used(), network()
    checkpoint.restore(restored, checkpoint.encode(made.state_dict()))
    states = made.state_dict(), restored.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    pixels = torch.randint(0, 256, (4, 8, 8), dtype=torch.uint8)
    assert torch.equal(made.eval()(pixels), restored.eval()(pixels))


def test_the_same_weights_are_the_same_bytes():
    state = used().state_dict()
    assert checkpoint.encode(state) == checkpoint.encode({name: tensor.clone() for name, tensor in state.items()})


@pytest.mark.parametrize("length", [0, 1, 7, 8, 100, len(WEIGHTS) - 1])
def test_a_truncated_checkpoint_is_corrupt(length):
    with pytest.raises(Corrupt, match=r"^the checkpoint does not fit its config: "):
        checkpoint.restore(network(), WEIGHTS[:length])


@pytest.mark.parametrize("other", [network(7), network(family="mlp"), nn.Linear(2, 2)], ids=["width", "family", "any"])
def test_the_checkpoint_of_another_network_is_corrupt(other):
    with pytest.raises(Corrupt, match="does not fit its config"):
        checkpoint.restore(other, WEIGHTS)


def test_a_pickle_is_corrupt_and_is_not_run(tmp_path):
    mark = tmp_path / "mark"

    class Touch:
        def __reduce__(self):
            return mark.touch, ()

    torch.save(used().state_dict(), tmp_path / "weights.pt")
    for data in (pickle.dumps(Touch()), (tmp_path / "weights.pt").read_bytes()):
        with pytest.raises(Corrupt):
            checkpoint.restore(network(), data)
    assert not mark.exists()


@given(st.binary(max_size=100) | st.tuples(st.integers(0, 600), st.binary(min_size=1, max_size=4)))
def test_any_other_bytes_are_weights_of_the_right_shapes_or_corrupt(damage):
    data = (
        damage
        if isinstance(damage, bytes)
        else WEIGHTS[: damage[0]] + damage[1] + WEIGHTS[damage[0] + len(damage[1]) :]
    )
    restored = network()
    try:
        checkpoint.restore(restored, data)
    except Corrupt:
        return
    assert restored(torch.zeros((2, 8, 8), dtype=torch.uint8)).shape == (2, 3)
