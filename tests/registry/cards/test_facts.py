import pytest

from registry import aliases, versions
from registry.cards import facts
from registry.core import Registry
from registry.requests import Promotion, Rollback
from tailorbird.errors import Corrupt, Refused
from tailorbird.package.curves import Epoch
from tests import packages

BETTER = ((19, 1, 0), (1, 19, 0), (0, 1, 19))
WORSE = ((10, 10, 0), (10, 10, 0), (10, 0, 10))


@pytest.fixture
def small(embedded):
    with Registry(embedded) as opened:
        yield opened


def gather(registry, version):
    return facts.gather(registry, versions.resolve(registry, version))


def test_the_record_tells_moves_to_and_from_a_version_and_refusals(registry):
    for confusion in (BETTER, BETTER, WORSE):
        packages.register(registry, confusion=confusion)
    aliases.promote(registry, Promotion("pets", 1, why="first", who="ada"))
    with pytest.raises(Refused):
        aliases.promote(registry, Promotion("pets", 3, why="newer", who="bob"))
    aliases.promote(registry, Promotion("pets", 3, why="a try", who="bob", force=True))
    aliases.rollback(registry, Rollback("pets", why="it was worse", who="eve"))
    aliases.promote(registry, Promotion("pets", 2, alias="challenger", why="shadow", who="ada"))

    first, third = gather(registry, "pets:1").record, gather(registry, "pets:3").record
    message = [(event.alias, event.what, event.who, event.why) for event in first.events]
    assert message == [
        ("champion", "rolled back to it, was at version 3", "eve", "it was worse"),
        ("champion", "moved on to version 3", "bob", "a try"),
        ("champion", "moved to it, was unset", "ada", "first"),
    ]
    assert [event.reasons for event in first.events] == [(), (), ()]  # what failed then is said of the other version
    assert [event.what for event in third.events] == [
        "rolled back to version 1", "moved to it, was at version 1", "refused",
    ]  # fmt: skip
    assert third.events[1].reasons == third.events[2].reasons != ()
    assert third.events[0].reasons == ()
    assert [event.alias for event in gather(registry, "pets:2").record.events] == ["challenger"]
    assert all(len(one.when) == 27 for one in (*first.events, *third.events))


def test_the_gates_are_those_of_the_last_verdict_that_asked_them_all(registry):
    packages.register(registry, confusion=BETTER)
    packages.register(registry, confusion=WORSE)
    aliases.promote(registry, Promotion("pets", 1, why="first", who="ada"))
    aliases.promote(registry, Promotion("pets", 2, why="a try", who="ada", force=True))
    aliases.rollback(registry, Rollback("pets", why="back", who="ada"))
    assert {"integrity", "parity", "accuracy"} <= {gate["name"] for gate in gather(registry, "pets:1").record.gates}
    failed = [gate["name"] for gate in gather(registry, "pets:2").record.gates if not gate["passed"]]
    assert "champion" in failed


def test_how_many_other_versions_the_same_images_have_judged(registry):
    for first in (0, 0, 0, 1000):
        packages.register(registry, confusion=BETTER, first=first)
    assert gather(registry, "pets:1").record.judged_others == 0
    for number in (1, 2, 4):
        aliases.promote(registry, Promotion("pets", number, why="x", who="ada", alias=f"try-{number}"))
    aliases.promote(registry, Promotion("pets", 2, why="again", who="ada", alias="try-5"))
    others = [gather(registry, f"pets:{number}").record.judged_others for number in (1, 2, 3, 4)]
    assert others == [1, 1, 2, 0]


def test_another_model_has_a_record_of_its_own(small):
    packages.register(small, "pets")
    packages.register(small, "birds")
    aliases.promote(small, Promotion("birds", 1, why="x", who="ada"))
    record = gather(small, "pets:1").record
    assert (record.events, record.gates, record.judged_others) == ((), (), 1)


def test_what_else_is_gathered(small):
    version = packages.register(small)
    versions.tag(small, version, {"stage": "shadow"})
    facts = gather(small, "pets:1")
    assert facts.tags == {"stage": "shadow"}
    assert facts.kept == Epoch(epoch=2, train_loss=0.5, val_accuracy=0.8)
    assert facts.confidence == pytest.approx(50 / 60 + 0.02)
    assert list(facts.pictures) == ["confusion.png", "curves.png"]


def test_only_pictures_are_pictures(small):
    packages.register(small, curves_png=b"<svg onload=alert(1)>", lineage={"epoch": 7})
    facts = gather(small, "pets:1")
    assert list(facts.pictures) == ["confusion.png"]
    assert facts.kept is None


@pytest.mark.parametrize("curves", [b"{", b"3", b'["x"]', b'{"epoch": 1}'])
def test_curves_that_are_none_are_named(small, curves):
    packages.register_unread(small, curves_json=curves)
    with pytest.raises(Corrupt, match=r"curves\.json"):
        gather(small, "pets:1")
