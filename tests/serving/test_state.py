from dataclasses import replace

import pytest

from registry.version import Version
from serving.state import Stale, State, StateFile, decode
from tailorbird.errors import Corrupt
from tests.packages import ABOUT, COLUMNS


def version(number, manifest="0" * 64):
    return Version("demo", number, manifest, COLUMNS, "tester", ABOUT.created, aliases=("champion",))


STATE = State(version(1), "champion", version(2), stale=Stale.now("the database is away")).with_failure(version(3), "x")


def test_comes_back_as_it_was(tmp_path):
    file = StateFile(tmp_path)
    assert file.read() is None
    file.write(STATE)
    assert StateFile(tmp_path).read() == file.read() == STATE


def test_a_change_by_another_process_is_seen(tmp_path):
    mine, others = StateFile(tmp_path), StateFile(tmp_path)
    mine.write(STATE)
    assert others.read() == STATE
    for number in range(5):
        mine.write(replace(STATE, version=version(number)))
        assert others.read().version.number == number


@pytest.mark.parametrize("record", [{}, [], {"version": {}}, STATE.record() | {"version": 1}])
def test_what_is_no_state(record):
    with pytest.raises(Corrupt):
        decode(record)


def test_one_leads_until_it_ends(tmp_path):
    first, second = StateFile(tmp_path), StateFile(tmp_path)
    assert first.lead()
    assert first.lead()
    assert not second.lead()
    first.close()
    assert second.lead()


def test_of_failures_those_are_remembered_that_aliases_point_at():
    state = STATE.with_failure(version(4), "y")
    assert state.failed(version(3))
    assert not state.failed(version(3, "1" * 64))
    followed = state.followed(version(4), None)
    assert [failure.version.number for failure in followed.failures] == [4]
    assert followed.stale is None
