"""Many processes at one registry."""

import random
import time

from registry import aliases, history, schema
from registry.core import Registry
from registry.history import Move
from registry.requests import Promotion
from tailorbird.errors import Conflict, Unavailable
from tailorbird.settings import Settings
from tests.waiting import BOUND_SECONDS

WHO = {"why": "because", "who": "ada"}
RACERS = 12
ROUNDS = 6
LATEST = 0.3
"""Seconds after the start by which the server is stopped."""


def one_won(settings, came, racers, holder=1):
    """One racer moved the alias away from its holder, and all others were told to which; returns the move, and who was
    told that it is theirs."""
    with Registry(settings) as registry:
        move, *_ = history.moves(registry, "fashion")
        assert aliases.current(registry, "fashion") == move.to_number
    assert move.from_number == holder != move.to_number
    won = [outcome for outcome in came if isinstance(outcome, Move)]
    lost = [outcome for outcome in came if isinstance(outcome, Conflict)]
    assert len(won) + len(lost) == racers, came
    assert {conflict.actual for conflict in lost} == {move.to_number}
    assert all(f"fashion@champion is version {move.to_number}, not version {holder}" in str(one) for one in lost)
    assert won in ([move], [])
    return move, won


def test_of_fifty_that_promote_one_wins_and_49_are_told_who(settings, register, race):
    with Registry(settings) as registry:
        for _ in range(51):
            register(registry)
        aliases.promote(registry, Promotion("fashion", 1, **WHO))

    def promote(n):
        with Registry(settings) as registry:
            return aliases.promote(registry, Promotion("fashion", n + 2, expect=1, **WHO))

    move, won = one_won(settings, race(promote, 50), 50)
    assert won == [move]


def test_of_many_that_promote_one_wins_though_the_server_is_restarted(postgres, embedded, register, race):
    """Who was cut off asks again; one that had won, and was cut off before it was told, is told that it is taken.

    The server stops before the first commit, in the midst of the race, and after it: from round to round a bit later.
    """
    settings = Settings(home=embedded.home, database_url=postgres.database(), _env_file=None)
    with Registry(settings) as registry:
        for _ in range(RACERS + 1):
            register(registry)
        aliases.promote(registry, Promotion("fashion", 1, **WHO))

    def act(n):
        if n == RACERS:
            time.sleep(delay)
            stopped = schema.now()
            postgres.stop()
            postgres.start()
            return stopped
        deadline = time.monotonic() + BOUND_SECONDS
        while True:
            try:
                with Registry(settings) as registry:
                    return aliases.promote(registry, Promotion("fashion", others[n], expect=holder, **WHO))
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    holder, early = 1, []
    for number in range(ROUNDS):
        delay = (number + random.random()) * LATEST / ROUNDS
        others = [number for number in range(1, RACERS + 2) if number != holder]
        came = race(act, RACERS + 1)
        [stopped] = [outcome for outcome in came if isinstance(outcome, str)]
        move, _ = one_won(settings, [outcome for outcome in came if outcome != stopped], RACERS, holder)
        early.append(stopped < move.moved)
        holder = move.to_number
    with Registry(settings) as registry:
        log = history.moves(registry, "fashion")
    assert len(log) == ROUNDS + 1
    assert any(early), "in every round somebody had won before the server stopped"
