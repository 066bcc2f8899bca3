"""Many processes at one registry."""

import time

from registry import aliases, history
from registry.core import Registry
from registry.history import Move
from tailorbird.errors import Conflict, Unavailable
from tailorbird.settings import Settings

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


def test_of_fifty_that_promote_one_wins_though_the_server_is_restarted(postgres, embedded, register, race):
    """Who was cut off asks again; one that had won, and was cut off before it was told, is told that it is taken."""
    settings = Settings(home=embedded.home, database_url=postgres.database(), _env_file=None)
    with Registry(settings) as registry:
        for _ in range(51):
            register(registry)
        aliases.promote(registry, "fashion", 1, **WHO)

    def act(n):
        if n == 50:
            time.sleep(0.5)
            postgres.stop()
            return postgres.start()
        time.sleep(n / 25)
        deadline = time.monotonic() + 60
        while True:
            try:
                with Registry(settings) as registry:
                    return aliases.promote(registry, "fashion", n + 2, expected=1, **WHO)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    came = race(act, 51)
    assert None in came, "the server was not restarted"
    one_won(settings, [one for one in came if one is not None], 50)
