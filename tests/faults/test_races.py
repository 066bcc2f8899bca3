"""Many processes at one registry."""

import threading
import time

import pytest

from registry import aliases, history, versions
from registry.core import Registry
from registry.history import Move
from tailorbird.errors import Conflict, Unavailable

WHO = {"why": "because", "who": "ada"}


def one_won(settings, came, racers):
    """One racer moved the alias from version 1; all others were told to which."""
    with Registry(settings) as registry:
        log = history.moves(registry, "fashion")
        assert aliases.current(registry, "fashion") == log[0].to_number
    assert [move.from_number for move in log] == [1, None]
    won = [one for one in came if isinstance(one, Move)]
    lost = [one for one in came if isinstance(one, Conflict)]
    assert len(won) + len(lost) == racers, came
    assert {conflict.actual for conflict in lost} == {log[0].to_number}
    assert all(f"fashion@champion is version {log[0].to_number}, not version 1" in str(one) for one in lost)
    assert won in ([log[0]], [])
    return won


def test_of_fifty_that_promote_one_wins_and_49_are_told_who(settings, register, race):
    with Registry(settings) as registry:
        for _ in range(51):
            register(registry)
        aliases.promote(registry, "fashion", 1, **WHO)

    def promote(n):
        with Registry(settings) as registry:
            return aliases.promote(registry, "fashion", n + 2, expected=1, **WHO)

    assert len(one_won(settings, race(promote, 50), 50)) == 1


def test_of_fifty_that_promote_one_wins_though_the_server_is_restarted(request, postgres, embedded, register, race):
    """Who was cut off asks again; one that had won, and was cut off before it was told, is told that it is taken."""
    settings = embedded.model_copy(update={"database_url": postgres.database()})
    settings.__dict__.pop("database", None)
    with Registry(settings) as registry:
        for _ in range(51):
            register(registry)
        aliases.promote(registry, "fashion", 1, **WHO)

    def promote(n):
        time.sleep(n / 25)
        deadline = time.monotonic() + 60
        while True:
            try:
                with Registry(settings) as registry:
                    return aliases.promote(registry, "fashion", n + 2, expected=1, **WHO), n
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def restart():
        postgres.stop()
        postgres.start()

    timer = threading.Timer(0.05, restart)
    timer.start()
    came = race(promote, 50)
    timer.join()
    one_won(settings, [one[0] if isinstance(one, tuple) else one for one in came], 50)


@pytest.mark.timeout(600)
def test_a_hundred_that_register_get_the_numbers_from_1_to_100(settings, register, race):
    def add(n):
        with Registry(settings) as registry:
            return register(registry, weights=b"%d" % n).number

    came = race(add, 100)
    assert sorted(came) == list(range(1, 101))
    with Registry(settings) as registry:
        found = list(versions.every(registry, "fashion"))
        assert [version.number for version in found] == list(range(100, 0, -1))
        assert all(versions.verify(registry, version) == [] for version in found)
