"""Any sequence of verbs, some of them killed on the way, against a model of the registry in memory."""

import copy
import itertools
import os
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import Phase
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from registry import aliases, garbage, history, holds, packages, schema, verification, versions
from registry.core import Registry
from registry.requests import Promotion, Rollback
from tailorbird.errors import TailorbirdError
from tailorbird.package.lineage import Lineage
from tailorbird.package.measurements import Export, Parity

WINDOW = 2


# --- the model


@dataclass
class Shelf:
    """What is known of one model."""

    made: list[tuple[float, bool]] = field(default_factory=list)  # accuracy and soundness by number from 1
    deleted: set[int] = field(default_factory=set)
    stacks: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    moves: list[tuple[object, ...]] = field(default_factory=list)
    verdicts: list[tuple[object, ...]] = field(default_factory=list)
    holds: list[bool] = field(default_factory=list)

    def visible(self):
        return [number for number in range(1, len(self.made) + 1) if number not in self.deleted]

    def holder(self, alias):
        return self.stacks[alias][-1] if self.stacks[alias] else None

    def pointing(self, number):
        return sorted(alias for alias in self.stacks if self.holder(alias) == number)

    def earlier(self, alias):
        return [number for number in reversed(self.stacks[alias][:-1]) if number not in self.deleted]

    def held(self):
        return self.holds[-1:] == [True]

    def passes(self, number, holder):
        accuracy, sound = self.made[number - 1]
        return sound and (holder is None or accuracy >= self.made[holder - 1][0])


class Books:
    """The registry as it must be; each verb returns what the real one must answer."""

    def __init__(self):
        self.shelves = defaultdict(Shelf)

    def number(self, model, back):
        return len(self.shelves[model].made) + 1 - back

    def register(self, model, accuracy, sound, weights):
        self.shelves[model].made.append((accuracy, sound))
        return "registered", len(self.shelves[model].made)

    def promote(self, model, number, alias, expect, force, automatic):
        shelf = self.shelves[model]
        holder = shelf.holder(alias)
        if number not in shelf.visible():
            return "NotFound"
        if expect not in (None, holder or 0):
            return "Conflict"
        if number == holder:
            return "Refused"
        passed = shelf.passes(number, holder)
        shelf.verdicts.append((number, alias, holder, passed))
        if not (passed or force) or (automatic and shelf.held()):
            return "Refused"
        shelf.stacks[alias] = [one for one in shelf.stacks[alias] if one != number] + [number]
        return self._moved(shelf, (alias, "promote", holder, number, not passed))

    def rollback(self, model, alias, to, automatic):
        shelf = self.shelves[model]
        holder, before = shelf.holder(alias), shelf.earlier(alias)
        if not shelf.made:
            return "NotFound"
        if to is None and not before:
            return "Refused"
        if to is not None and to not in before:
            return "InvalidInput"
        target = to or before[0]
        shelf.verdicts.append((target, alias, holder, True))
        if automatic and shelf.held():
            return "Refused"
        del shelf.stacks[alias][shelf.stacks[alias].index(target) + 1 :]
        return self._moved(shelf, (alias, "rollback", holder, target, False))

    def hold(self, model, held):
        if not self.shelves[model].made:
            return "NotFound"
        self.shelves[model].holds.append(held)
        return "held", held

    def delete(self, model, number):
        shelf = self.shelves[model]
        if number not in shelf.visible():
            return "NotFound"
        for alias in shelf.stacks:
            if number in (shelf.holder(alias), *shelf.earlier(alias)[:WINDOW]):
                return "Refused"
        shelf.deleted.add(number)
        return "deleted"

    def collect(self):
        return "collected"

    def state(self):
        """All that can be seen, as `seen` gets it from the real one."""
        known = [(model, shelf) for model, shelf in sorted(self.shelves.items()) if shelf.made]
        return {
            "versions": [
                (model, number, shelf.made[number - 1][0], shelf.pointing(number))
                for model, shelf in known
                for number in shelf.visible()
            ],
            "last": [(model, len(shelf.made)) for model, shelf in known],
            "moves": [(model, *move) for model, shelf in known for move in shelf.moves],
            "verdicts": [(model, *verdict) for model, shelf in known for verdict in shelf.verdicts],
            "holds": [(model, held) for model, shelf in known for held in shelf.holds],
        }

    def _moved(self, shelf, move):
        shelf.moves.append(move)
        return "moved", move


# --- the real one


def register(registry, package_files, model, accuracy, sound, weights):
    files = package_files(accuracy, b"weights %d" % weights)
    export = Export(parity=Parity(agreement=1.0 if sound else 0.5, max_difference=0.0, samples=10))
    return "registered", versions.register(registry, model, files, export, Lineage(), who="ada").number


def promote(registry, _, model, number, **more):
    return moved(aliases.promote(registry, Promotion(model, number, why="because", who="ada", **more)))


def rollback(registry, _, model, **more):
    return moved(aliases.rollback(registry, Rollback(model, why="because", who="ada", **more)))


def moved(move):
    return "moved", (move.alias, move.kind, move.from_number, move.to_number, move.forced)


def hold(registry, _, model, held):
    return "held", holds.hold(registry, model, held=held, why="because", who="ada").held


def delete(registry, _, model, number):
    versions.delete(registry, model, number, why="because", who="ada")
    return "deleted"


def collect(registry, _):
    garbage.collect(registry, age=garbage.timedelta())
    return "collected"


ACTS = {act.__name__: act for act in (register, promote, rollback, hold, delete, collect)}


def seen(registry):
    """All that can be seen of a registry, each kind by model and then in the order in which it came."""
    known = sorted(versions.every(registry), key=lambda version: (version.model, version.number))
    models, moves, verdicts, holds = (schema.models.c, schema.moves.c, schema.verdicts.c, schema.holds.c)
    queries = {
        "last": sa.select(models.name, models.last_number).order_by(models.name),
        "moves": sa.select(
            moves.model, moves.alias, moves.kind, moves.from_number, moves.to_number, moves.forced
        ).order_by(moves.model, moves.id),
        "verdicts": sa.select(
            verdicts.model, verdicts.number, verdicts.alias, verdicts.holder, verdicts.passed
        ).order_by(verdicts.model, verdicts.id),
        "holds": sa.select(holds.model, holds.held).order_by(holds.model, holds.id),
    }
    with registry.reading() as connection:
        rows = {name: [tuple(row) for row in connection.execute(query)] for name, query in queries.items()}
    return {
        "versions": [
            (version.model, version.number, version.evidence.accuracy, list(version.aliases)) for version in known
        ],
        **rows,
    }


def packaged(registry):
    """The digests of all that can be seen, after every bit of it was verified."""
    digests = set()
    for version in versions.every(registry):
        assert verification.verify(registry, version) == []
        files = packages.manifest(registry.blobs, version.manifest).files
        digests |= {version.manifest, *(entry.sha256 for entry in files.values())}
    return digests


# --- any sequence

MODELS = st.sampled_from(["fashion", "fashion", "letters"])
NAMES = st.sampled_from(["champion", "champion", "challenger"])
ACCURACIES = st.sampled_from([0.75, 0.95])
BACK = st.integers(0, 4)
"""How far back from the newest version; one beyond it at 0."""
STEPS = st.one_of(st.none(), st.integers(1, 50))
"""Where a verb is killed: at a step as the fixture `die` counts them, or not at all."""


class AnySequence(RuleBasedStateMachine):
    def __init__(self, settings, package_files, die):
        super().__init__()
        self.settings, self.package_files, self.die = settings, package_files, die
        self.books = Books()
        self.registry = Registry(settings)

    def teardown(self):
        packaged(self.registry)
        self.registry.close()

    @initialize(accuracies=st.lists(ACCURACIES, min_size=2, max_size=4))
    def begin(self, accuracies):
        for number, accuracy in enumerate(accuracies, 1):
            self.do("register", None, {"model": "fashion", "accuracy": accuracy, "sound": True, "weights": number})
            self.promote(None, "fashion", 1, "champion", None, force=True, automatic=False)

    @rule(
        model=MODELS, accuracy=ACCURACIES, sound=st.sampled_from([True, True, False]), weights=st.integers(1, 3),
        step=STEPS,
    )  # fmt: skip
    def register(self, step, **asked):
        self.do("register", step, asked)

    @rule(
        model=MODELS, back=BACK, alias=NAMES, expect=st.sampled_from([None, None, None, None, 0, 1, 2]),
        force=st.booleans(), automatic=st.booleans(), step=STEPS,
    )  # fmt: skip
    def promote(self, step, model, back, alias, expect, force, automatic):
        asked = {"alias": alias, "expect": expect, "force": force, "automatic": automatic}
        self.do("promote", step, {"model": model, "number": self.books.number(model, back), **asked})

    @rule(model=MODELS, alias=NAMES, to=st.sampled_from([None, None, None, 1, 2]), automatic=st.booleans(), step=STEPS)
    def rollback(self, step, **asked):
        self.do("rollback", step, asked)

    @rule(model=MODELS, held=st.booleans(), step=STEPS)
    def hold(self, step, **asked):
        self.do("hold", step, asked)

    @rule(model=MODELS, back=BACK, step=STEPS)
    def delete(self, step, model, back):
        self.do("delete", step, {"model": model, "number": self.books.number(model, back)})

    @rule(step=STEPS)
    def collect(self, step):
        killed = self.do("collect", step, {})
        needed = packaged(self.registry)
        result = {blob.digest for blob in self.registry.blobs.listing()}
        assert needed <= result if killed else needed == result
        assert killed or list(self.registry.blobs.leftovers()) == []

    @invariant()
    def the_registry_is_as_the_books_say(self):
        assert seen(self.registry) == self.books.state()

    def do(self, verb, step, asked):
        """Do it in the books and in the registry; returns whether it was killed before it could answer."""
        after = copy.deepcopy(self.books)
        expected = getattr(after, verb)(**asked)
        killed, came = self.killed(verb, step, asked) if step else (False, self.answer(self.registry, verb, asked))
        assert killed or came == expected
        if not killed or seen(self.registry) == after.state():  # else it is as it was, which the invariant sees
            self.books = after
        return killed

    def answer(self, registry, verb, asked):
        """What came of it, in the words of the books."""
        try:
            return ACTS[verb](registry, self.package_files, **asked)
        except TailorbirdError as error:
            return type(error).__name__

    def killed(self, verb, step, asked):
        def act():
            with Registry(self.settings) as registry:
                return self.answer(registry, verb, asked)

        self.registry.close()  # no connection is shared with another process
        outcome = self.die(act, step)
        self.registry = Registry(self.settings)
        if verb == "register":
            packaged(self.registry)
        return outcome


@pytest.mark.parametrize(
    ("embedded_examples", "cluster_examples", "steps"),
    [(6, 2, 15), pytest.param(300, 60, 50, marks=[pytest.mark.long, pytest.mark.timeout(3600)])],
)
def test_any_sequence_of_verbs_and_deaths(
    make_settings, package_files, die, monkeypatch, embedded_examples, cluster_examples, steps
):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # nobody cuts the power here
    monkeypatch.setattr(history, "WINDOW", WINDOW)
    monkeypatch.setattr(garbage, "WRITING", timedelta(0))  # nobody writes while another collects
    names = (f"home{n}" for n in itertools.count())
    embedded = make_settings("first").database.startswith("sqlite")
    run_state_machine_as_test(
        lambda: AnySequence(make_settings(next(names)), package_files, die),
        settings=profile(
            max_examples=embedded_examples if embedded else cluster_examples,
            stateful_step_count=steps,
            phases=[Phase.reuse, Phase.generate],
        ),
    )
