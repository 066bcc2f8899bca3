import os
import signal

import pytest

from serving import folder, standin


@pytest.fixture
def room(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MEMORY", str(tmp_path))
    monkeypatch.setattr(folder, "ROOM_BYTES", 0)
    return tmp_path


@pytest.fixture
def left(room, die):
    """The folder of a server that was killed."""

    def serve():
        with folder.own():
            os.kill(os.getpid(), signal.SIGKILL)

    assert die(serve, 10**6)[0]
    [left] = room.iterdir()
    return left


def test_what_a_killed_server_left_is_removed_by_the_next(room, left):
    with folder.own() as first, folder.own() as second:
        assert set(room.iterdir()) == {first, second}  # and nobody's who lives
    assert list(room.iterdir()) == []


def test_it_stays_while_a_worker_lives(left):
    worker = standin.alive(left)
    with folder.own():
        assert left.exists()
    os.close(worker)
    with folder.own():
        assert not left.exists()


def test_a_folder_without_an_owner_is_left_alone(room):
    other = room / f"{folder.PREFIX}1-other"
    other.mkdir()
    with folder.own():
        assert other.exists()


def test_without_room_in_memory_it_is_among_temporary_files(room, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setattr(folder.tempfile, "tempdir", str(elsewhere))
    monkeypatch.setattr(folder, "ROOM_BYTES", 2**60)
    with folder.own() as own:
        assert own.parent == elsewhere
