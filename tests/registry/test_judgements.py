import pytest

from registry import judgements
from tailorbird.errors import InvalidInput, NotFound

FALLEN = {"state": "drifted", "reasons": ["labels say 71%"], "evidence": {"labels": 300}, "who": "watch"}


def add(registry, number=1, **changes):
    return judgements.add(registry, "fashion", number, **{"action": "none", **FALLEN, **changes})


def test_a_change_of_judgement_is_a_row_and_the_same_again_is_none(registry, register):
    register(registry)
    register(registry)
    first = add(registry)
    assert (first.state, first.reasons, first.evidence) == ("drifted", ["labels say 71%"], {"labels": 300})
    assert add(registry, evidence={"labels": 301}) is None
    assert add(registry, state="healthy") is not None
    assert add(registry, number=2, state="healthy") is not None
    assert [(row.number, row.state) for row in judgements.page(registry, "fashion")] == [
        (2, "healthy"),
        (1, "healthy"),
        (1, "drifted"),
    ]


def test_what_was_done_is_written_down_once(registry, register):
    register(registry)
    add(registry)
    assert add(registry, action="rolled back") is not None
    assert add(registry, action="rolled back") is None
    assert [row.action for row in judgements.page(registry, "fashion", limit=1)] == ["rolled back"]


def test_of_a_model_that_was_never_registered_there_is_nothing(registry):
    with pytest.raises(NotFound):
        judgements.page(registry, "fashion")


def test_of_a_version_that_never_was_nothing_is_written(registry, register):
    register(registry)
    with pytest.raises(NotFound):
        add(registry, number=7)


def test_who_judged_is_named(registry, register):
    register(registry)
    with pytest.raises(InvalidInput, match="who"):
        add(registry, who="")
