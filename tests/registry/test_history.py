import itertools
import json
import time
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from registry import aliases, history, holds, schema, versions
from registry.requests import Promotion
from tailorbird.errors import InvalidInput, NotFound


def promote(registry, number, **more):
    return aliases.promote(registry, Promotion("fashion", number, **{"why": "better", "who": "ada", **more}))


def earlier(registry, alias="champion"):
    with registry.reading() as connection:
        return [*history.earlier(connection, "fashion", alias)]


def needed(registry):
    with registry.reading() as connection:
        return history.needed(connection, "fashion")


def log(registry, steps, alias="champion", model="fashion"):
    """Moves as rows alone: pairs of a kind and a number."""
    with registry.atomic() as connection:
        before = 0
        for kind, number in steps:
            row = {"model": model, "alias": alias, "who": "ada"}
            judged = {"number": number, "passed": True, "policy": {}, "gates": [], "judged": schema.now()}
            table = schema.verdicts
            verdict = connection.execute(table.insert().values(**row, **judged).returning(table.c.id)).scalar_one()
            moved = {"kind": kind, "from_number": before, "to_number": number, "forced": False, "moved": schema.now()}
            entry = history.enter(connection, model)
            connection.execute(schema.moves.insert().values(id=entry, **row, **moved, why="test", verdict=verdict))
            before = number


def delete(registry, *numbers):
    """Deletions as rows alone."""
    row = {"model": "fashion", "why": "old", "who": "ada", "deleted": schema.now()}
    with registry.atomic() as connection:
        for number in numbers:
            entry = history.enter(connection, "fashion")
            connection.execute(schema.deletions.insert().values(id=entry, **row, number=number))


def add_versions(registry, last, model="fashion"):
    """Versions that are rows alone."""
    row = {"model": model, "manifest": "0" * 64, "evidence": {}, "lineage": {}, "who": "ada", "created": schema.now()}
    with registry.atomic() as connection:
        connection.execute(schema.models.insert().values(name=model, last_number=last, created=schema.now()))
        for number in range(1, last + 1):
            entry = history.enter(connection, model)
            connection.execute(schema.versions.insert().values(**row, id=entry, number=number))


# --- the log


def test_a_log_is_told_newest_first_and_of_one_model(registry, register):
    for model in ("fashion", "letters"):
        register(registry, model)
        aliases.promote(registry, Promotion(model, 1, why=f"the first {model}", who="ada"))
    promoted = [promote(registry, 1, alias=alias, why=alias) for alias in ("challenger", "canary")]
    moves = history.moves(registry, "fashion")
    assert moves[:2] == promoted[::-1]
    assert [move.why for move in moves] == ["canary", "challenger", "the first fashion"]
    assert [move.why for move in history.moves(registry, "letters")] == ["the first letters"]
    assert [move.moved for move in moves] == sorted((move.moved for move in moves), reverse=True)
    assert json.loads(json.dumps(moves[0].record())) == moves[0].record()


def test_a_log_is_in_its_own_order_where_a_clock_goes_backwards(registry, register, monkeypatch):
    for _ in range(2):
        register(registry)
    days = iter(range(31, 0, -1))
    monkeypatch.setattr(schema, "now", lambda: f"2026-01-{next(days):02}T00:00:00.000000Z")
    for number in (1, 2):
        promote(registry, number)
    moves = history.moves(registry, "fashion")
    assert [move.to_number for move in moves] == [2, 1] and moves[0].moved < moves[1].moved
    assert versions.resolve(registry, "fashion@champion").number == 2
    assert earlier(registry) == [1]


def test_a_log_is_told_up_to_a_limit(registry):
    add_versions(registry, 3)
    log(registry, itertools.islice(itertools.cycle([("promote", 1), ("promote", 2), ("promote", 3)]), 104))
    assert history.PAGE == 100
    assert [move.to_number for move in history.moves(registry, "fashion", limit=4)] == [2, 1, 3, 2]
    assert len(history.moves(registry, "fashion")) == 100
    assert len(history.moves(registry, "fashion", limit=1000)) == 104


def test_a_model_without_moves_has_an_empty_log_and_an_unknown_one_none(registry, register):
    register(registry)
    assert history.moves(registry, "fashion") == []
    with pytest.raises(NotFound, match="there is no model 'letters'; list the models with `tailorbird registry list`"):
        history.moves(registry, "letters")
    with pytest.raises(InvalidInput, match="is not a name"):
        history.moves(registry, "../fashion")


def test_reasons_are_what_the_gates_that_failed_say(registry, register):
    register(registry, agreement=0.5)
    move = promote(registry, 1, force=True)
    [read] = history.moves(registry, "fashion")
    assert read == move
    assert read.reasons == [gate["message"] for gate in read.gates if gate["name"] == "parity"]


# --- what can be rolled back to

WALKS = [
    ("1", [], "one promotion"),
    ("1 2 3", [2, 1], "promotions"),
    ("1 2 3 r2", [1], "a rollback takes back a step"),
    ("1 2 3 r1", [], "or several"),
    ("1 2 3 r2 r1 2", [1], "and begins anew"),
    ("1 2 3 r2 4", [2, 1], "what was taken back is not gone back to"),
    ("1 2 1", [2], "a version that comes again stands where it came last"),
    ("1 2 3 2", [3, 1], "in the middle too"),
    ("1 1 1", [], "or where it was already"),
    ("1 2 1 r2", [], "and a rollback from it"),
    ("1 2 2 r1", [], "is one step"),
    ("1 2 3 4 r3 3 r2 5 r1", [], "together"),
]


@pytest.mark.parametrize(("steps", "back", "_"), WALKS)
def test_where_an_alias_can_go_back_to(local, steps, back, _):
    add_versions(local, 5)
    log(local, [("rollback" if step[0] == "r" else "promote", int(step[-1])) for step in steps.split()])
    assert earlier(local) == back


def test_where_one_alias_was_is_nothing_to_another(registry):
    add_versions(registry, 4)
    log(registry, [("promote", 1), ("promote", 2)])
    log(registry, [("promote", 3), ("promote", 4)], alias="challenger")
    add_versions(registry, 9, model="letters")
    log(registry, [("promote", 7), ("promote", 9)], model="letters")
    assert (earlier(registry), earlier(registry, "challenger"), earlier(registry, "other")) == ([1], [3], [])


def test_what_was_deleted_cannot_be_gone_back_to(registry):
    add_versions(registry, 3)
    log(registry, [("promote", 1), ("promote", 2), ("promote", 3)])
    add_versions(registry, 3, model="letters")
    row = {"why": "old", "who": "ada", "deleted": schema.now()}
    with registry.atomic() as connection:
        for model, number in (("fashion", 1), ("letters", 2)):
            entry = history.enter(connection, model)
            connection.execute(schema.deletions.insert().values(id=entry, model=model, number=number, **row))
    assert earlier(registry) == [2]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=30))
def test_a_log_that_is_walked_backwards_tells_where_the_alias_has_been(steps):
    rows, stack = [], []
    for back, number in steps:
        if back and stack[:-1]:  # as `rollback` chooses: only to where it could go
            number = stack[:-1][number % len(stack[:-1])]
            stack = stack[: stack.index(number) + 1]
        else:
            back, stack = False, [one for one in stack if one != number] + [number]
        rows.append(SimpleNamespace(kind="rollback" if back else "promote", to_number=number))
    assert [row.to_number for row in history._walked(reversed(rows))] == stack[::-1]


def test_a_long_log_of_many_versions_is_walked_at_once():
    rows = [SimpleNamespace(kind="promote", to_number=number) for number in range(100_000)]
    start = time.process_time()
    assert len([*history._walked(rows + rows)]) == 100_000
    assert time.process_time() - start < 5  # 0.1 where each step costs the same, minutes where it costs a search


@pytest.mark.parametrize("chunk", [1, 2, 3])
@pytest.mark.parametrize(("steps", "back", "_"), WALKS[5:])
def test_a_log_is_read_in_pieces(registry, monkeypatch, steps, back, _, chunk):
    monkeypatch.setattr(history, "CHUNK", chunk)
    add_versions(registry, 5)
    log(registry, [("rollback" if step[0] == "r" else "promote", int(step[-1])) for step in steps.split()])
    assert earlier(registry) == back


def test_a_piece_that_names_only_what_is_known_or_deleted_is_not_the_last(registry, monkeypatch):
    monkeypatch.setattr(history, "CHUNK", 2)
    add_versions(registry, 4)
    log(registry, [("promote", number) for number in (1, 2, 3, 4, 3, 4, 3, 4)])
    assert earlier(registry) == [3, 2, 1]
    delete(registry, 2, 3)
    assert earlier(registry) == [1]


FILLED = {
    "of a few versions": [("promote", 1), ("promote", 2)],
    "of a version that is rolled back each time": [("promote", 1), ("promote", 2), ("rollback", 1)],
    "of many versions": [("promote", 1 + n % 50) for n in range(100)],
}


@pytest.mark.parametrize("steps", FILLED.values(), ids=FILLED.keys())
@pytest.mark.parametrize("deleted", [(), (51,)], ids=["", "and one that was deleted"])
def test_no_more_of_a_long_log_is_read_than_is_needed(registry, monkeypatch, steps, deleted):
    monkeypatch.setattr(history, "CHUNK", 10)
    add_versions(registry, 51)
    log(registry, [*(("promote", number) for number in deleted), *itertools.islice(itertools.cycle(steps), 300)])
    delete(registry, *deleted)
    with registry.atomic() as connection:
        connection.execute(schema.aliases.insert().values(model="fashion", alias="champion", number=2))
        asked = []
        sa.event.listen(connection, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
        assert history.needed(connection, "fashion")
    assert len(asked) <= 3, "the alias, one piece of the log, and whether there is more"


# --- what must stay


def test_needed_is_what_aliases_point_to_and_their_windows(registry, register, monkeypatch):
    monkeypatch.setattr(history, "WINDOW", 2)
    for number in range(1, 6):
        register(registry)
        promote(registry, number)
    promote(registry, 2, alias="challenger")
    promote(registry, 5, alias="challenger")
    assert needed(registry) == {
        5: "fashion@champion points to it",
        4: "fashion@champion could be rolled back to it",
        3: "fashion@champion could be rolled back to it",
        2: "fashion@challenger could be rolled back to it",
    }


def test_a_model_without_aliases_needs_nothing(registry, register):
    assert needed(registry) == {}
    register(registry)
    assert needed(registry) == {}


# --- rows that are only added

CHANGES = {
    "sqlite": ["UPDATE {table} SET model = model", "DELETE FROM {table}", "REPLACE INTO {table} SELECT * FROM {table}"],
    "postgresql": ["UPDATE {table} SET model = model", "DELETE FROM {table}", "TRUNCATE {table} CASCADE"],
}


def rows(registry, table):
    with registry.reading() as connection:
        return connection.exec_driver_sql(f"SELECT * FROM {table}").all()


@pytest.fixture
def filled(registry, register):
    """A registry with a row in every table that is only added to."""
    for number in (1, 2):
        register(registry)
        promote(registry, number)
    register(registry)
    versions.delete(registry, "fashion", 3, why="old", who="ada")
    holds.hold(registry, "fashion", held=True, why="audit", who="ada")
    return registry


def test_rows_that_are_only_added_are_never_changed(filled):
    with filled.reading() as connection:
        changes = CHANGES[connection.dialect.name]
    for table, change in itertools.product(("versions", "deletions", "verdicts", "log", "moves", "holds"), changes):
        before = rows(filled, table)
        assert before
        with pytest.raises(sa.exc.DBAPIError, match=r"rows of \w+ are only added"), filled.atomic() as connection:
            connection.exec_driver_sql(change.format(table=table))
        assert rows(filled, table) == before


def test_a_table_that_may_change_does(filled):
    with filled.atomic() as connection:
        connection.execute(schema.tags.insert().values(model="fashion", number=1, key="a", value="b"))
        connection.execute(schema.tags.update().values(value="c"))
        connection.execute(schema.tags.delete())
        connection.execute(schema.aliases.update().values(number=1))
