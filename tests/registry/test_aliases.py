import itertools
import json
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from registry import aliases, history, holds, names, schema, verification, versions
from registry.core import Registry
from registry.history import Move
from registry.requests import Promotion, Rollback
from tailorbird.errors import Conflict, InvalidInput, NotFound, Refused
from tailorbird.package.lineage import Lineage
from tailorbird.package.measurements import Export, Parity
from tailorbird.settings import SQLITE, Settings
from tests import stores


def promote(registry, number, **more):
    return aliases.promote(registry, Promotion("fashion", number, **{"why": "better", "who": "ada", **more}))


def rollback(registry, **more):
    return aliases.rollback(registry, Rollback("fashion", **{"why": "it errs", "who": "ada", **more}))


def verdicts(registry):
    """Every stored verdict, oldest first."""
    with registry.reading() as connection:
        return [*connection.execute(sa.select(schema.verdicts).order_by("id")).mappings()]


# --- one after another


def test_a_promotion_moves_the_alias_and_writes_what_why_and_who(registry, register):
    register(registry)
    register(registry, accuracy=0.95)
    first = promote(registry, 1, why="the first")
    second = promote(registry, 2, who="grace", expect=1)
    assert aliases.current(registry, "fashion") == 2
    assert history.moves(registry, "fashion") == [second, first]
    assert (second.alias, second.from_number, second.to_number) == ("champion", 1, 2)
    assert (second.why, second.who, second.forced) == ("better", "grace", False)
    assert {first.kind, second.kind} == {"promote"} and second.reasons == []
    assert [gate["name"] for gate in first.gates] == [
        "integrity", "parity", "accuracy", "calibration", "latency", "size",
    ]  # fmt: skip
    assert {"champion", "recall", "classes"} < {gate["name"] for gate in second.gates}
    assert all(gate["passed"] for gate in (*first.gates, *second.gates))
    assert (first.from_number, first.to_number, first.why) == (None, 1, "the first")
    assert first.moved < second.moved
    assert json.loads(json.dumps(first.record())) == first.record()


def test_aliases_of_a_model_move_apart(registry, register):
    for _ in range(3):
        register(registry)
    promote(registry, 1)
    promote(registry, 2, alias="challenger")
    promote(registry, 3)
    assert (aliases.current(registry, "fashion"), aliases.current(registry, "fashion", "challenger")) == (3, 2)
    assert aliases.current(registry, "fashion", "other") is None
    assert [move.from_number for move in history.moves(registry, "fashion")] == [1, None, None]


def test_an_alias_is_of_its_model(registry, register):
    register(registry, "fashion")
    register(registry, "letters")
    promote(registry, 1)
    assert aliases.current(registry, "letters") is None
    assert history.moves(registry, "letters") == []


@pytest.mark.parametrize("expected", [0, 2, 7])
def test_an_alias_that_is_elsewhere_is_a_conflict_that_names_where(registry, register, expected):
    register(registry)
    register(registry)
    promote(registry, 1)
    with pytest.raises(Conflict, match=r"fashion@champion is version 1, not (unset|version \d) as expected") as lost:
        promote(registry, 2, expect=expected)
    assert (lost.value.expected, lost.value.actual) == (expected, 1)
    assert aliases.current(registry, "fashion") == 1 and len(history.moves(registry, "fashion")) == 1


def test_an_unset_alias_is_a_conflict_for_who_expects_a_version(registry, register):
    register(registry)
    with pytest.raises(Conflict, match="fashion@champion is unset, not version 1 as expected"):
        promote(registry, 1, expect=1)
    assert promote(registry, 1, expect=0).from_number is None


@pytest.mark.parametrize("number", [0, 2, -1])
def test_a_version_that_is_not_there_is_not_found(registry, register, number):
    register(registry)
    with pytest.raises(NotFound, match=rf"there is no fashion:{number}; fashion has the aliases \(none\)"):
        promote(registry, number)


def test_a_model_that_is_not_there_is_not_found(registry):
    with pytest.raises(NotFound):
        promote(registry, 1)
    for look in (
        lambda: history.moves(registry, "fashion"),
        lambda: rollback(registry),
        lambda: rollback(registry, to=1),
    ):
        with pytest.raises(
            NotFound, match="there is no model 'fashion'; list the models with `tailorbird registry list`"
        ):
            look()
    assert aliases.current(registry, "fashion") is None


TEXTS = [
    ("", "is empty; accepted: any text"),
    (" \n\t", "is empty"),
    ("a\0b", "holds a NUL character, which databases do not store"),
    ("half of \ud83d", "is not valid Unicode"),
]


@pytest.mark.parametrize(("field", "most"), [("why", "10,000"), ("who", "128")])
@pytest.mark.parametrize(("text", "problem"), [*TEXTS, ("a" * 10_001, "has 10,001 characters; accepted: at most ")])
def test_what_moves_an_alias_has_a_reason_and_a_name(local, register, field, most, text, problem):
    for number in (1, 2):
        register(local)
        promote(local, number)
    fields = {"why": "better", "who": "ada", field: text}
    problem += most if text.startswith("a" * 99) else ""
    for act in (
        lambda: promote(local, 1, **fields),
        lambda: promote(local, 1, force=True, **fields),
        lambda: aliases.rollback(local, Rollback("fashion", **fields)),
        lambda: holds.hold(local, "fashion", held=True, **fields),
    ):
        with pytest.raises(InvalidInput, match=f"^{field}: {problem}"):
            act()
    assert len(history.moves(local, "fashion")) == 2 == len(verdicts(local))
    assert holds.current(local, "fashion") is None


def test_the_longest_texts_are_kept(registry, register):
    register(registry)
    longest = {"why": "𝄞" * names.TEXT, "who": "é" * names.WHO}
    assert promote(registry, 1, **longest) == history.moves(registry, "fashion")[0]
    assert holds.hold(registry, "fashion", held=True, **longest) == holds.current(registry, "fashion")


@pytest.mark.parametrize("name", ["", "../champion", "a:b", "Champion"])
def test_aliases_and_models_have_names(local, name):
    for call in (
        lambda: promote(local, 1, alias=name),
        lambda: aliases.promote(local, Promotion(name, 1, why="better", who="ada")),
        lambda: aliases.current(local, "fashion", name),
        lambda: aliases.current(local, name),
        lambda: rollback(local, alias=name),
        lambda: aliases.rollback(local, Rollback(name, why="better", who="ada")),
        lambda: holds.hold(local, name, held=True, why="better", who="ada"),
        lambda: holds.current(local, name),
        lambda: history.moves(local, name),
    ):
        with pytest.raises(InvalidInput, match="is not a name"):
            call()


# --- refused and forced

PARITY_FAILS = [
    ({"agreement": 0.99}, "the export agrees with torch on 99.000% of labels, at least 99.9% needed"),
    ({"agreement": float("nan")}, "the export agrees with torch on nan% of labels"),
    ({"max_difference": 0.5}, "the export's probabilities differ from torch's by 0.5, at most 0.001 allowed"),
    ({"max_difference": float("nan")}, "the export's probabilities differ from torch's by nan"),
    ({"max_difference": float("inf")}, "the export's probabilities differ from torch's by nan"),
    ({"samples": 0}, "the export was not compared with torch on any image"),
]


@pytest.mark.parametrize(("parity", "reason"), PARITY_FAILS)
def test_a_version_whose_parity_fails_is_refused_even_as_the_first(local, register, parity, reason):
    register(local, **parity)
    with pytest.raises(Refused) as refused:
        promote(local, 1)
    assert str(refused.value).startswith(f"fashion:1 as champion was refused: {reason}")
    assert aliases.current(local, "fashion") is None and history.moves(local, "fashion") == []


def test_a_version_under_the_champion_is_refused(registry, register):
    register(registry, accuracy=0.9)
    register(registry, accuracy=0.88)
    promote(registry, 1)
    with pytest.raises(
        Refused, match=r"may be \d\.\d\d points worse, at most 1\.00 points allowed: right on 88\.00% of 1000"
    ):
        promote(registry, 2)
    assert aliases.current(registry, "fashion") == 1 and len(history.moves(registry, "fashion")) == 1


def test_the_verdict_of_a_refusal_is_kept(registry, register):
    register(registry, accuracy=0.9)
    register(registry, accuracy=0.8, agreement=0.5)
    promote(registry, 1)
    with pytest.raises(Refused) as refused:
        promote(registry, 2, who="grace")
    first, second = verdicts(registry)
    assert (first["passed"], first["holder"], first["number"], first["who"]) == (True, None, 1, "ada")
    assert (second["passed"], second["holder"], second["number"], second["who"]) == (False, 1, 2, "grace")
    assert (second["model"], second["alias"]) == ("fashion", "champion")
    assert second["policy"]["parity"] == {"agreement": 0.999, "max_difference": 0.001}
    failed = [gate for gate in second["gates"] if not gate["passed"]]
    assert [gate["message"] for gate in failed] == refused.value.reasons
    assert [gate["name"] for gate in failed] == ["parity", "champion", "recall"]
    assert failed[0]["measured"]["agreement"] == 0.5
    assert first["split"] == second["split"] and len(first["split"]) == 64
    assert first["judged"] < second["judged"]
    assert aliases.current(registry, "fashion") == 1 and len(history.moves(registry, "fashion")) == 1


def test_a_conflict_has_no_verdict(registry, register):
    register(registry)
    with pytest.raises(Conflict):
        promote(registry, 1, expect=1)
    assert verdicts(registry) == []


def test_how_often_the_held_out_images_have_judged_other_versions_is_told(registry, register):
    def judged_before(move):
        return {gate["name"]: gate["measured"] for gate in move.gates}["champion"]["judged_before"]

    for _ in range(3):
        register(registry)
    register(registry, "letters")
    promote(registry, 1)
    assert judged_before(promote(registry, 2)) == 1
    aliases.promote(registry, Promotion("letters", 1, why="the same images", who="ada"))
    assert judged_before(promote(registry, 1)) == 2
    last = promote(registry, 3)
    assert judged_before(last) == 3
    told = {gate["name"]: gate["message"] for gate in last.gates}["champion"]
    assert "this held-out split was used to judge 3 candidates before" in told


def test_another_split_has_judged_nothing(registry, register, package_files):
    register(registry)
    promote(registry, 1)
    files = package_files(0.95, samples=940)  # the champion was right on the first 900 of these
    export = Export(parity=Parity(agreement=1.0, max_difference=0.0, samples=940))
    versions.register(registry, "fashion", files, export, Lineage(), who="ada")
    move = promote(registry, 2, force=True)
    assert {gate["name"]: gate["measured"] for gate in move.gates}["champion"]["judged_before"] == 0
    assert len({verdict["split"] for verdict in verdicts(registry)}) == 2


POLICY = """
default: {accuracy: {at_least: 0.95}}
challenger: {accuracy: {at_least: 0.5}, champion: null, recall: null}
fashion@canary: {accuracy: {at_least: 0.85}}
"""


def test_a_policy_file_says_what_each_alias_takes(settings, register, tmp_path):
    gates = tmp_path / "gates.yaml"
    gates.write_text(POLICY)
    with Registry(settings.model_copy(update={"gates": gates})) as registry:
        register(registry, accuracy=0.9)
        register(registry, accuracy=0.8)
        register(registry, "letters", accuracy=0.9)
        with pytest.raises(Refused, match=r"held-out accuracy 90\.00% is 5\.00 points below the required 95%"):
            promote(registry, 1)
        assert promote(registry, 1, alias="canary").reasons == []
        with pytest.raises(Refused, match="letters:1 as canary was refused"):
            aliases.promote(registry, Promotion("letters", 1, alias="canary", why="first", who="ada"))
        promote(registry, 1, alias="challenger")
        worse = promote(registry, 2, alias="challenger")
        assert {"champion", "recall"}.isdisjoint(gate["name"] for gate in worse.gates)
        assert [verdict["policy"]["accuracy"]["at_least"] for verdict in verdicts(registry)] == [
            0.95, 0.85, 0.95, 0.5, 0.5,
        ]  # fmt: skip


def test_a_policy_that_cannot_be_read_moves_nothing(embedded, register, tmp_path):
    gates = tmp_path / "gates.yaml"
    with Registry(embedded.model_copy(update={"gates": gates})) as local:
        register(local)
        with pytest.raises(NotFound, match="there is no such file"):
            promote(local, 1)
        gates.write_text("champion: {acuracy: {}}")
        with pytest.raises(InvalidInput, match=r"champion\.acuracy: is not a known key"):
            promote(local, 1, force=True)
        assert history.moves(local, "fashion") == [] == verdicts(local)


def test_the_conflict_is_told_before_the_refusal(registry, register):
    register(registry, accuracy=0.9)
    register(registry, accuracy=0.1)
    promote(registry, 1)
    with pytest.raises(Conflict):
        promote(registry, 2, expect=0)


def test_a_forced_promotion_is_written_as_forced_with_its_verdict(registry, register):
    register(registry, accuracy=0.9)
    register(registry, accuracy=0.8, agreement=0.5)
    promote(registry, 1)
    move = promote(registry, 2, force=True, why="the old one leaks")
    assert move.forced and len(move.reasons) == 3 and "agrees with torch on 50.000%" in move.reasons[0]
    assert history.moves(registry, "fashion")[0] == move
    assert move.why == "the old one leaks" and aliases.current(registry, "fashion") == 2
    assert [verdict["passed"] for verdict in verdicts(registry)] == [True, False]


@pytest.mark.parametrize("how", ["flipped", "deleted"])
def test_force_never_takes_a_version_that_does_not_verify(registry, register, how):
    version = register(registry)
    stores.damage(registry.blobs, version.manifest, how)
    with pytest.raises(Refused, match=r"^fashion:1 as champion was refused: fashion:1 does not verify: manifest\.json"):
        promote(registry, 1, force=True)
    [verdict] = verdicts(registry)
    assert not verdict["passed"] and [gate["name"] for gate in verdict["gates"]] == ["integrity"]
    assert aliases.current(registry, "fashion") is None and history.moves(registry, "fashion") == []


def test_a_damaged_champion_can_be_replaced(registry, register):
    champion = register(registry)
    register(registry, weights=b"others")
    promote(registry, 1)
    stores.damage(registry.blobs, champion.manifest, "cut")
    move = promote(registry, 2)
    assert move.to_number == 2 and not move.forced
    assert any("not compared image by image, since fashion:1 does not verify" in gate["message"] for gate in move.gates)


def test_force_that_was_not_needed_is_not_written_as_forced(registry, register):
    register(registry)
    assert not promote(registry, 1, force=True).forced


def test_force_is_no_way_round_a_conflict(registry, register):
    register(registry)
    register(registry)
    promote(registry, 1)
    with pytest.raises(Conflict):
        promote(registry, 2, expect=2, force=True)


@pytest.mark.parametrize("more", [{}, {"force": True}, {"expect": 2}, {"automatic": True}])
def test_a_version_that_has_the_alias_is_refused_and_nothing_is_written(settings, register, more):
    told = {"webhooks": ["https://example.org/hook"], "webhook_key": SecretStr("0123456789abcdef")}
    with Registry(settings.model_copy(update=told)) as registry:
        for number in (1, 2):
            register(registry)
            promote(registry, number)
        with pytest.raises(
            Refused, match=r"^fashion:2 as champion was refused: fashion:2 is fashion@champion already$"
        ):
            promote(registry, 2, **more)
        with pytest.raises(Conflict):
            promote(registry, 2, **more | {"expect": 1})
        assert len(history.moves(registry, "fashion")) == len(verdicts(registry)) == 2
        with registry.reading() as connection:
            assert len(connection.execute(schema.outbox.select()).all()) == 2
        assert promote(registry, 2, alias="challenger").to_number == 2
        assert rollback(registry).to_number == 1


# --- rolled back


def test_a_rollback_goes_back_step_by_step_until_there_is_none(registry, register):
    for number in (1, 2, 3):
        register(registry)
        promote(registry, number)
    move = rollback(registry, why="mistakes shirts for coats", who="grace")
    assert (move.kind, move.from_number, move.to_number, move.forced) == ("rollback", 3, 2, False)
    assert (move.why, move.who) == ("mistakes shirts for coats", "grace")
    assert history.moves(registry, "fashion")[0] == move
    assert rollback(registry).to_number == 1 == aliases.current(registry, "fashion")
    with pytest.raises(Refused, match="rolling back fashion@champion was refused: it has no previous version"):
        rollback(registry)
    assert aliases.current(registry, "fashion") == 1 and len(history.moves(registry, "fashion")) == 5


def test_a_rollback_from_elsewhere_than_expected_is_a_conflict(registry, register):
    for number in (1, 2, 3):
        register(registry)
        promote(registry, number)
    with pytest.raises(Conflict, match="fashion@champion is version 3, not version 2 as expected"):
        rollback(registry, to=1, expect=2)
    assert aliases.current(registry, "fashion") == 3
    assert rollback(registry, to=1, expect=3).to_number == 1


def test_a_rollback_has_a_verdict_of_integrity_alone(registry, register):
    register(registry, accuracy=0.8)
    register(registry, accuracy=0.9)
    for number in (1, 2):
        promote(registry, number)
    assert [gate["name"] for gate in rollback(registry).gates] == ["integrity"]
    verdict = verdicts(registry)[-1]
    assert (verdict["passed"], verdict["number"], verdict["holder"], verdict["policy"]) == (True, 1, 2, {})


def test_what_was_rolled_back_from_is_not_gone_back_to(registry, register):
    for _ in range(4):
        register(registry)
    for number in (1, 2, 3):
        promote(registry, number)
    rollback(registry)
    promote(registry, 4)
    assert [rollback(registry).to_number, rollback(registry).to_number] == [2, 1]
    assert promote(registry, 3).to_number == 3
    assert rollback(registry).to_number == 1


def test_a_version_that_was_promoted_again_is_gone_back_to_once(registry, register):
    for _ in range(3):
        register(registry)
    for number in (1, 2, 3, 2):
        promote(registry, number)
    assert [rollback(registry).to_number, rollback(registry).to_number] == [3, 1]
    with pytest.raises(Refused):
        rollback(registry)


def test_a_rollback_goes_to_any_earlier_version_that_is_named(registry, register):
    for number in (1, 2, 3, 4):
        register(registry)
        promote(registry, number)
    assert rollback(registry, to=2).to_number == 2
    assert rollback(registry).to_number == 1


def test_a_rollback_goes_nowhere_where_the_alias_was_not_before(registry, register):
    for _ in range(4):
        register(registry)
    promote(registry, 1)
    promote(registry, 3)
    promote(registry, 2, alias="challenger")
    for to in (0, 2, 3, 4, 9):
        with pytest.raises(
            InvalidInput,
            match=rf"^to: fashion@champion cannot be rolled back to version {to}; "
            f"accepted: 1;",
        ):
            rollback(registry, to=to)
    assert aliases.current(registry, "fashion") == 3 and len(verdicts(registry)) == 3


def test_what_was_rolled_back_from_is_promoted_again(registry, register):
    for number in (1, 2):
        register(registry)
        promote(registry, number)
    rollback(registry)
    with pytest.raises(InvalidInput, match="promote any other version with `tailor"):
        rollback(registry, to=2)
    assert promote(registry, 2).to_number == 2
    assert rollback(registry).to_number == 1


def test_an_alias_that_is_unset_is_not_rolled_back(registry, register):
    register(registry)
    with pytest.raises(Refused, match="it has no previous version"):
        rollback(registry)
    with pytest.raises(InvalidInput, match="accepted: none; "):
        rollback(registry, to=1)


@pytest.mark.parametrize("how", ["flipped", "deleted"])
def test_a_rollback_to_what_does_not_verify_is_refused_and_its_verdict_kept(registry, register, how):
    versions = [register(registry, weights=b"%d" % n) for n in range(3)]
    for version in versions:
        promote(registry, version.number)
    stores.damage(registry.blobs, versions[1].manifest, how)
    with pytest.raises(Refused, match=r"^fashion:2 as champion was refused: fashion:2 does not verify: manifest\.json"):
        rollback(registry)
    assert aliases.current(registry, "fashion") == 3 and len(history.moves(registry, "fashion")) == 3
    assert not verdicts(registry)[-1]["passed"] and len(verdicts(registry)) == 4
    assert rollback(registry, to=1).to_number == 1


def test_versions_that_were_deleted_are_not_rolled_back_to(registry, register, monkeypatch):
    monkeypatch.setattr(history, "WINDOW", 1)
    for number in (1, 2, 3):
        register(registry)
        promote(registry, number)
    versions.delete(registry, "fashion", 1, why="old", who="ada")
    with pytest.raises(InvalidInput, match="to version 1; accepted: 2; "):
        rollback(registry, to=1)
    assert rollback(registry).to_number == 2
    with pytest.raises(Refused, match="it has no previous version"):
        rollback(registry)


# --- held


def test_a_hold_stops_automatic_moves_and_says_who_and_why(registry, register):
    for number in (1, 2):
        register(registry)
        promote(registry, number)
    register(registry)
    held = holds.hold(registry, "fashion", held=True, why="audit until Friday", who="grace")
    assert holds.current(registry, "fashion") == held
    assert (held.model, held.held, held.why, held.who) == ("fashion", True, "audit until Friday", "grace")
    assert json.loads(json.dumps(held.record())) == held.record()
    why = rf"fashion is on hold by grace since {held.since[:19]} UTC \(audit until Friday\)"
    message = f"{why}: only people move its aliases"
    with pytest.raises(Refused, match=f"^fashion:3 as champion was refused: {message}$"):
        promote(registry, 3, automatic=True)
    with pytest.raises(Refused, match=f"^fashion:1 as champion was refused: {message}$"):
        rollback(registry, automatic=True)
    with pytest.raises(Refused, match=message):
        promote(registry, 3, automatic=True, force=True, alias="challenger")
    assert aliases.current(registry, "fashion") == 2 and len(history.moves(registry, "fashion")) == 2
    with registry.reading() as connection:
        judged = connection.execute(sa.select(schema.verdicts.c.number).order_by("id")).scalars().all()
    assert judged == [1, 2, 3, 1, 3], "verdicts are kept also where a hold stopped the move"


def test_people_move_what_is_held(registry, register):
    for number in (1, 2):
        register(registry)
        promote(registry, number)
    holds.hold(registry, "fashion", held=True, why="audit", who="grace")
    assert rollback(registry).to_number == 1
    assert promote(registry, 2).to_number == 2


def test_what_is_released_moves_by_itself_again(registry, register):
    register(registry)
    for held, why in ((True, "one"), (True, "two"), (False, "done")):
        hold = holds.hold(registry, "fashion", held=held, why=why, who="grace")
        assert holds.current(registry, "fashion") == (hold if held else None)
    assert promote(registry, 1, automatic=True).to_number == 1
    with registry.reading() as connection:
        rows = connection.execute(sa.select(schema.holds.c.held, schema.holds.c.why).order_by("id")).all()
    assert rows == [(True, "one"), (True, "two"), (False, "done")]


def test_a_hold_is_of_its_model(registry, register):
    register(registry, "fashion")
    register(registry, "letters")
    holds.hold(registry, "letters", held=True, why="audit", who="grace")
    assert holds.current(registry, "fashion") is None
    assert promote(registry, 1, automatic=True).to_number == 1


def test_a_model_that_is_not_there_is_not_held(registry):
    with pytest.raises(NotFound, match="there is no model 'fashion'"):
        holds.hold(registry, "fashion", held=True, why="audit", who="grace")
    assert holds.current(registry, "fashion") is None


# --- at once, and cut off


@pytest.mark.parametrize("racers", [6, pytest.param(50, marks=pytest.mark.long)])
def test_of_many_that_race_one_wins_and_the_others_are_told_who(settings, register, race, racers):
    """Promise 2: many processes and one alias."""
    with Registry(settings) as registry:
        for _ in range(3):
            register(registry)
        promote(registry, 3)

    def run(n):
        with Registry(settings) as registry:
            return promote(registry, n % 2 + 1, expect=3, who=f"racer {n}")

    came = race(run, racers)
    [won] = [outcome for outcome in came if isinstance(outcome, Move)]
    lost = [outcome for outcome in came if isinstance(outcome, Conflict)]
    assert len(lost) == racers - 1, came
    for conflict in lost:
        assert conflict.actual == won.to_number
        assert f"fashion@champion is version {won.to_number}, not version 3 as expected" in str(conflict)
    with Registry(settings) as registry:
        assert aliases.current(registry, "fashion") == won.to_number
        assert history.moves(registry, "fashion")[0] == won and len(history.moves(registry, "fashion")) == 2
        assert len(verdicts(registry)) == 2


def test_of_many_that_move_it_wherever_it_is_all_do_one_after_another(settings, register, race):
    with Registry(settings) as registry:
        for _ in range(4):
            register(registry)

    def run(n):
        with Registry(settings) as registry:
            return promote(registry, n + 1)

    came = race(run, 4)
    assert all(isinstance(outcome, Move) for outcome in came), came
    with Registry(settings) as registry:
        assert sorted(move.to_number for move in whole(registry)) == [1, 2, 3, 4]


def test_of_many_that_roll_back_each_goes_one_step(settings, register, race):
    with Registry(settings) as registry:
        for number in range(1, 4):
            register(registry)
            promote(registry, number)

    def run(_):
        with Registry(settings) as registry:
            return rollback(registry)

    came = race(run, 3)
    moved = [outcome.to_number for outcome in came if isinstance(outcome, Move)]
    assert sorted(moved) == [1, 2] and sum(isinstance(outcome, Refused) for outcome in came) == 1, came
    with Registry(settings) as registry:
        whole(registry)


def test_of_many_that_race_for_an_unset_alias_one_wins(settings, register, race):
    with Registry(settings) as registry:
        register(registry)

    def run(_):
        with Registry(settings) as registry:
            return promote(registry, 1, expect=0)

    came = race(run, 4)
    assert sorted(type(outcome).__name__ for outcome in came) == ["Conflict", "Conflict", "Conflict", "Move"], came
    with Registry(settings) as registry:
        assert len(history.moves(registry, "fashion")) == 1


def meanwhile(monkeypatch, act):
    """Let `act` happen once, while a version is judged."""
    examined, acts = verification.examined, [act]

    def then(*arguments):
        evidence = examined(*arguments)
        while acts:
            acts.pop()()
        return evidence

    monkeypatch.setattr(verification, "examined", then)


def test_a_version_that_is_deleted_while_it_is_judged_is_not_promoted(settings, register, monkeypatch):
    with Registry(settings) as registry, Registry(settings) as other:
        register(registry)
        meanwhile(monkeypatch, lambda: versions.delete(other, "fashion", 1, why="old", who="grace"))
        with pytest.raises(NotFound, match="there is no fashion:1: it was deleted just now"):
            promote(registry, 1)
        assert aliases.current(registry, "fashion") is None and verdicts(registry) == []


def test_an_alias_that_moves_while_a_version_is_judged_is_judged_beside_again(settings, register, monkeypatch):
    with Registry(settings) as registry, Registry(settings) as other:
        register(registry, accuracy=0.95)
        register(registry, accuracy=0.8)
        meanwhile(monkeypatch, lambda: promote(other, 1))
        with pytest.raises(Refused, match="fashion:2 as champion was refused: "):
            promote(registry, 2)
        assert [(row["number"], row["holder"]) for row in verdicts(registry)] == [(1, None), (2, 1)]


def test_an_alias_that_moves_while_a_version_is_judged_is_a_conflict(settings, register, monkeypatch):
    with Registry(settings) as registry, Registry(settings) as other:
        register(registry)
        register(registry)
        meanwhile(monkeypatch, lambda: promote(other, 1))
        with pytest.raises(Conflict, match="is version 1, not unset as expected"):
            promote(registry, 2, expect=0)
        assert len(history.moves(registry, "fashion")) == 1


def test_a_rollback_goes_back_from_where_the_alias_is_then(settings, register, monkeypatch):
    with Registry(settings) as registry, Registry(settings) as other:
        for number in (1, 2):
            register(registry)
            promote(registry, number)
        register(registry)
        meanwhile(monkeypatch, lambda: promote(other, 3))
        assert rollback(registry).to_number == 2


def test_a_rollback_goes_only_where_there_is_a_way_back_to_then(settings, register, monkeypatch):
    with Registry(settings) as registry, Registry(settings) as other:
        for _ in range(3):
            register(registry)
        for number in (1, 3, 2):
            promote(registry, number)

        def away_and_back():
            rollback(other, to=1)
            promote(other, 2)

        meanwhile(monkeypatch, away_and_back)
        assert rollback(registry).to_number == 1, "3 was rolled back from while it was verified"


def test_a_way_back_that_is_long_is_not_told_whole(registry, register):
    for number in range(1, 13):
        register(registry)
        promote(registry, number)
    with pytest.raises(InvalidInput, match=r"accepted: 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, …; promote any other"):
        rollback(registry, to=12)
    assert rollback(registry, to=1).to_number == 1


def whole(registry):
    """The alias is where the last line of history says, and every line has its verdict; returns the log."""
    log = history.moves(registry, "fashion")
    assert aliases.current(registry, "fashion") == (log[0].to_number if log else None)
    for later, earlier in itertools.pairwise(log):
        assert later.from_number == earlier.to_number
    assert all(move.gates and not move.reasons for move in log)
    assert len(verdicts(registry)) == len(log)
    return log


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.long), 9])
@pytest.mark.parametrize("verb", ["promote", "rollback"])
def test_a_move_that_dies_at_any_point_moved_all_or_nothing(settings, register, deaths, verb, every):
    with Registry(settings) as registry:
        for number in (1, 2):
            register(registry)
            promote(registry, number)
        seen = whole(registry)

    def move(step):
        with Registry(settings) as registry:
            if verb == "promote":
                return promote(registry, 3 - aliases.current(registry, "fashion"), why=f"step {step}")
            return rollback(registry, why=f"step {step}")

    messages = []

    def all_or_nothing(acknowledged):
        with Registry(settings) as registry:
            log = whole(registry)
            moved = len(log) - len(seen)
            assert moved in (0, 1) and (acknowledged is None or (moved and log[0] == acknowledged))
            if moved:
                assert log[0].from_number != log[0].to_number
                messages.append(acknowledged is not None)
            if verb == "rollback" and moved:
                promote(registry, 2)
            seen[:] = whole(registry)

    assert deaths(move, all_or_nothing, every) * every > 5
    assert messages[-1] and (every > 1 or False in messages), "none died between its commit and its answer"


def test_a_promotion_whose_log_is_cut_anywhere_moved_all_or_nothing(embedded, register, tmp_path):
    database = Path(embedded.database.removeprefix(SQLITE))
    with Registry(embedded) as registry:
        register(registry)
    with Registry(embedded) as registry:
        promote(registry, 1)
        log = database.with_name("tailorbird.db-wal").read_bytes()
        base = database.read_bytes()
    outcomes = set()
    cuts = {*range(0, len(log), 1031), len(log)}
    for cut in cuts:
        home = tmp_path / f"cut at {cut}"
        home.mkdir()
        (home / "tailorbird.db").write_bytes(base)
        (home / "tailorbird.db-wal").write_bytes(log[:cut])
        with Registry(Settings(home=home, storage_url=embedded.storage, _env_file=None)) as registry:
            outcomes.add(len(whole(registry)))
        shutil.rmtree(home)
    assert outcomes == {0, 1}
