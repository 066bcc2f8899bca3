import pickle

import cloudpickle
import numpy as np
import pytest
import torch

from tailorbird.errors import Unavailable
from training.arrays import as_tensor
from training.datasets.mapped import Mapped, opened


@pytest.fixture
def stored(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (1000, 8, 8, 3), np.uint8)
    np.save(tmp_path / "a.npy", array)
    return tmp_path / "a.npy", array


def test_what_is_stored_is_read_and_cannot_be_written(stored):
    path, array = stored
    mapped = opened(path)
    assert isinstance(mapped, Mapped) and mapped.dtype == np.uint8 and (mapped == array).all()
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 0


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_it_is_sent_by_name(stored, pickler):
    path, array = stored
    sent = pickler.dumps(opened(path), protocol=5)
    assert len(sent) < 500
    received = pickle.loads(sent)
    assert isinstance(received, Mapped) and (received == array).all()
    assert len(pickler.dumps(received)) < 500


def test_two_of_it_are_sent_as_one(stored):
    mapped = opened(stored[0])
    one, other = pickle.loads(pickle.dumps((mapped, mapped)))
    assert one is other


@pytest.mark.parametrize(
    "part",
    [
        lambda array: array[10:20],
        lambda array: array[::2],
        lambda array: array[np.array([3, 1, 2])],
        lambda array: array.view(np.int8),
        lambda array: array + 1,
        lambda array: array.copy(),
        lambda array: array.transpose(0, 3, 1, 2),
    ],
)
def test_a_part_of_it_is_sent_as_what_it_holds(stored, part):
    path, array = stored
    received = pickle.loads(pickle.dumps(part(opened(path))))
    assert received.dtype == part(array).dtype and (received == part(array)).all()


def test_a_tensor_shares_it(stored):
    path, array = stored
    tensor = as_tensor(opened(path))
    assert (tensor.index_select(0, torch.tensor([5, 2])).numpy() == array[[5, 2]]).all()


def test_another_machine_without_the_file_is_told_what_to_do(stored):
    path, _ = stored
    sent = pickle.dumps(opened(path))
    path.unlink()
    with pytest.raises(Unavailable, match=f"{path} is not on this machine; TAILORBIRD_CACHE_DIR must name a folder"):
        pickle.loads(sent)


@pytest.mark.parametrize("length", [0, 5, 100, 128, 3000])
def test_a_cut_file_is_told(stored, length):
    path, _ = stored
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(Unavailable, match=r"cannot be read .*delete it to recreate it"):
        opened(path)


def test_an_empty_array_is_one(tmp_path):
    np.save(tmp_path / "none.npy", np.zeros((0, 8, 8), np.uint8))
    assert opened(tmp_path / "none.npy").shape == (0, 8, 8)


def test_objects_are_never_read(tmp_path):
    np.save(tmp_path / "code.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(Unavailable):
        opened(tmp_path / "code.npy")
