import itertools
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from registry import aliases, schema, versions
from registry.aliases import ANY, Move
from registry.core import Registry
from tailorbird.errors import Conflict, InvalidInput, NotFound, Refused
from tailorbird.settings import Settings


def promote(registry, number, **more):
    return aliases.promote(registry, "fashion", number, **{"why": "better", "who": "ada", **more})


# --- one after another


def test_a_promotion_moves_the_alias_and_writes_what_why_and_who(registry, register):
    register(registry)
    register(registry, accuracy=0.95)
    first = promote(registry, 1, why="the first")
    second = promote(registry, 2, who="grace", expected=1)
    assert aliases.current(registry, "fashion") == 2
    assert aliases.history(registry, "fashion") == [second, first]
    assert (second.alias, second.from_number, second.to_number) == ("champion", 1, 2)
    assert (second.why, second.who, second.forced) == ("better", "grace", False)
    assert second.verdict == {"passed": True, "reasons": []}
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
    assert [move.from_number for move in aliases.history(registry, "fashion")] == [1, None, None]


def test_an_alias_is_of_its_model(registry, register):
    register(registry, "fashion")
    register(registry, "letters")
    promote(registry, 1)
    assert aliases.current(registry, "letters") is None
    assert aliases.history(registry, "letters") == []


@pytest.mark.parametrize("expected", [None, 2, 7])
def test_an_alias_that_is_elsewhere_is_a_conflict_that_names_where(registry, register, expected):
    register(registry)
    register(registry)
    promote(registry, 1)
    with pytest.raises(Conflict, match=r"fashion@champion is version 1, not (unset|version \d) as expected") as lost:
        promote(registry, 2, expected=expected)
    assert (lost.value.expected, lost.value.actual) == (expected, 1)
    assert aliases.current(registry, "fashion") == 1 and len(aliases.history(registry, "fashion")) == 1


def test_an_unset_alias_is_a_conflict_for_who_expects_a_version(registry, register):
    register(registry)
    with pytest.raises(Conflict, match="fashion@champion is unset, not version 1 as expected"):
        promote(registry, 1, expected=1)
    assert promote(registry, 1, expected=None).from_number is None


@pytest.mark.parametrize("number", [0, 2, -1])
def test_a_version_that_is_not_there_is_not_found(registry, register, number):
    register(registry)
    with pytest.raises(NotFound, match=rf"there is no fashion:{number}; `tailorbird registry list fashion` shows"):
        promote(registry, number)


def test_a_model_that_is_not_there_is_not_found(registry):
    with pytest.raises(NotFound):
        promote(registry, 1)
    with pytest.raises(NotFound, match="there is no model 'fashion'; `tailorbird registry list` shows"):
        aliases.history(registry, "fashion")
    assert aliases.current(registry, "fashion") is None


@pytest.mark.parametrize("why", ["", " ", "\n\t"])
def test_a_promotion_has_a_reason(registry, register, why):
    register(registry)
    with pytest.raises(InvalidInput, match=r"^why: is empty"):
        promote(registry, 1, why=why)


@pytest.mark.parametrize("name", ["", "../champion", "a:b", "Champion"])
def test_aliases_and_models_have_names(registry, name):
    for call in (
        lambda: promote(registry, 1, alias=name),
        lambda: aliases.promote(registry, name, 1, why="better", who="ada"),
        lambda: aliases.current(registry, "fashion", name),
        lambda: aliases.current(registry, name),
        lambda: aliases.history(registry, name),
    ):
        with pytest.raises(InvalidInput, match="is not a name"):
            call()


# --- refused and forced

PARITY_FAILS = [
    ({"agreement": 0.99}, "the export agrees with torch on 99.000% of labels"),
    ({"agreement": float("nan")}, "the export agrees with torch on nan% of labels"),
    ({"max_difference": 0.5}, "the export's probabilities differ from torch's by 5.0e-01"),
    ({"max_difference": float("nan")}, "the export's probabilities differ from torch's by nan"),
    ({"max_difference": float("inf")}, "the export's probabilities differ from torch's by nan"),
    ({"samples": 0}, "the export was not compared with torch on any image"),
]


@pytest.mark.parametrize(("parity", "reason"), PARITY_FAILS)
def test_a_version_whose_parity_fails_is_refused_even_as_the_first(registry, register, parity, reason):
    register(registry, **parity)
    with pytest.raises(Refused) as refused:
        promote(registry, 1)
    assert str(refused.value).startswith(f"fashion:1 as champion was refused: {reason}")
    assert aliases.current(registry, "fashion") is None and aliases.history(registry, "fashion") == []


def test_a_version_under_the_champion_is_refused(registry, register):
    register(registry, accuracy=0.9)
    register(registry, accuracy=0.89)
    promote(registry, 1)
    with pytest.raises(Refused, match=r"held-out accuracy 89\.00% is 1\.00 points under the champion's 90\.00%"):
        promote(registry, 2)
    assert aliases.current(registry, "fashion") == 1 and len(aliases.history(registry, "fashion")) == 1


def test_the_conflict_is_told_before_the_refusal(registry, register):
    register(registry, accuracy=0.9)
    register(registry, accuracy=0.1)
    promote(registry, 1)
    with pytest.raises(Conflict):
        promote(registry, 2, expected=None)


def test_a_forced_promotion_is_written_as_forced_with_its_verdict(registry, register):
    register(registry, accuracy=0.9)
    register(registry, accuracy=0.8, agreement=0.5)
    promote(registry, 1)
    move = promote(registry, 2, force=True, why="the old one leaks")
    assert move.forced and not move.verdict["passed"] and len(move.verdict["reasons"]) == 2
    assert aliases.history(registry, "fashion")[0] == move
    assert move.why == "the old one leaks" and aliases.current(registry, "fashion") == 2


def test_force_that_was_not_needed_is_not_written_as_forced(registry, register):
    register(registry)
    assert not promote(registry, 1, force=True).forced


def test_force_is_no_way_round_a_conflict(registry, register):
    register(registry)
    register(registry)
    promote(registry, 1)
    with pytest.raises(Conflict):
        promote(registry, 2, expected=2, force=True)


# --- at once, and cut off


def test_of_many_that_race_one_wins_and_the_others_are_told_who(settings, register, race):
    """Promise 2, eight processes and one alias."""
    with Registry(settings) as registry:
        for _ in range(9):
            register(registry)
        promote(registry, 9)

    def run(n):
        with Registry(settings) as registry:
            return promote(registry, n + 1, expected=9, who=f"racer {n + 1}")

    came = race(run, 8)
    [won] = [one for one in came if isinstance(one, Move)]
    lost = [one for one in came if isinstance(one, Conflict)]
    assert len(lost) == 7, came
    for conflict in lost:
        assert conflict.actual == won.to_number
        assert f"fashion@champion is version {won.to_number}, not version 9 as expected" in str(conflict)
    with Registry(settings) as registry:
        assert aliases.current(registry, "fashion") == won.to_number
        assert aliases.history(registry, "fashion")[0] == won and len(aliases.history(registry, "fashion")) == 2


def test_of_many_that_race_for_an_unset_alias_one_wins(settings, register, race):
    with Registry(settings) as registry:
        register(registry)

    def run(_):
        with Registry(settings) as registry:
            return promote(registry, 1, expected=None)

    came = race(run, 4)
    assert sorted(type(one).__name__ for one in came) == ["Conflict", "Conflict", "Conflict", "Move"], came
    with Registry(settings) as registry:
        assert len(aliases.history(registry, "fashion")) == 1


def whole(registry):
    """The alias is where the last line of history says, and every line has its verdict; returns the history."""
    history = aliases.history(registry, "fashion")
    assert aliases.current(registry, "fashion") == (history[0].to_number if history else None)
    for later, earlier in itertools.pairwise(history):
        assert later.from_number == earlier.to_number
    assert all(move.verdict == {"passed": True, "reasons": []} for move in history)
    return history


def test_a_promotion_that_dies_at_any_point_moved_all_or_nothing(settings, register, deaths):
    with Registry(settings) as registry:
        register(registry)
        register(registry)

    def move(step):
        with Registry(settings) as registry:
            return promote(registry, 1 + step % 2, why=f"step {step}")

    seen = []

    def all_or_nothing(acknowledged):
        with Registry(settings) as registry:
            history = whole(registry)
        assert len(history) - len(seen) in (0, 1)
        assert acknowledged is None or history[0] == acknowledged
        seen[:] = history

    assert deaths(move, all_or_nothing) > 5


def test_a_promotion_whose_log_is_cut_anywhere_moved_all_or_nothing(settings, register, tmp_path):
    with Registry(settings) as registry:
        register(registry)
    with Registry(settings) as registry:
        promote(registry, 1)
        log = settings.database.with_name("tailorbird.db-wal").read_bytes()
        base = settings.database.read_bytes()
    outcomes = set()
    cuts = {*range(0, len(log), 1031), len(log)}
    for cut in cuts:
        home = tmp_path / f"cut at {cut}"
        home.mkdir()
        (home / "tailorbird.db").write_bytes(base)
        (home / "tailorbird.db-wal").write_bytes(log[:cut])
        with Registry(Settings(home=home, storage_url=str(settings.storage), _env_file=None)) as registry:
            outcomes.add(len(whole(registry)))
        shutil.rmtree(home)
    assert outcomes == {0, 1}


# --- any sequence


class AnySequence(RuleBasedStateMachine):
    """Registrations and promotions in any order, against a model in memory."""

    models = st.sampled_from(["fashion", "letters"])
    names = st.sampled_from(["champion", "challenger"])

    def __init__(self, package_files):
        super().__init__()
        self.package_files = package_files
        self.home = Path(tempfile.mkdtemp())
        self.registry = Registry(Settings(home=self.home, _env_file=None))
        self.versions = {"fashion": [], "letters": []}  # accuracy and soundness of each, by number from 1
        self.history = {"fashion": [], "letters": []}

    def teardown(self):
        self.registry.close()
        shutil.rmtree(self.home)

    @rule(model=models, accuracy=st.sampled_from([0.75, 1.0]), sound=st.sampled_from([True, True, False]))
    def add(self, model, accuracy, sound):
        parity = {"agreement": 1.0 if sound else 0.5, "max_difference": 0.0, "samples": 10}
        version = versions.register(self.registry, model, self.package_files(accuracy), parity, {}, who="ada")
        self.versions[model].append((accuracy, sound))
        assert version.number == len(self.versions[model])

    @rule(
        model=models,
        alias=names,
        number=st.integers(1, 4),
        expected=st.sampled_from([ANY, ANY, ANY, None, 1, 2]),
        force=st.booleans(),
    )
    def move(self, model, alias, number, expected, force):
        before = self.where(model, alias)
        known = number <= len(self.versions[model])
        conflict = expected not in (ANY, before)
        passes = known and self.passes(model, number, before)
        try:
            made = aliases.promote(
                self.registry, model, number, alias=alias, expected=expected, force=force, why="because", who="ada"
            )
        except Conflict as error:
            assert conflict and error.actual == before
        except NotFound:
            assert not conflict and not known
        except Refused:
            assert not conflict and known and not passes and not force
        else:
            assert not conflict and known and (passes or force)
            assert made.forced == (not passes) and made.from_number == before
            self.history[model].append(made)

    def where(self, model, alias):
        return next((move.to_number for move in reversed(self.history[model]) if move.alias == alias), None)

    def passes(self, model, number, champion):
        accuracy, sound = self.versions[model][number - 1]
        return sound and (champion is None or accuracy >= self.versions[model][champion - 1][0])

    @invariant()
    def the_registry_is_as_the_model_says(self):
        for model, known in self.versions.items():
            if not known:
                continue
            assert [v.number for v in versions.list_all(self.registry, model)] == [*range(len(known), 0, -1)]
            assert aliases.history(self.registry, model) == self.history[model][::-1]
            for alias in ("champion", "challenger"):
                assert aliases.current(self.registry, model, alias) == self.where(model, alias)
                chain = [move for move in self.history[model] if move.alias == alias]
                assert [move.from_number for move in chain] == [None, *(move.to_number for move in chain)][: len(chain)]
        with self.registry.reading() as connection:
            assert connection.execute(schema.aliases.select().order_by("model", "alias")).all() == [
                (model, alias, where)
                for model in ("fashion", "letters")
                for alias in ("challenger", "champion")
                if (where := self.where(model, alias)) is not None
            ]


def test_any_sequence_of_registrations_and_promotions(package_files, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # nobody cuts the power here
    run_state_machine_as_test(
        lambda: AnySequence(package_files),
        settings=profile(max_examples=10, stateful_step_count=20, phases=[Phase.reuse, Phase.generate]),
    )
