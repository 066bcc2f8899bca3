import pytest

from tailorbird.drift import policy
from tailorbird.drift.policy import Policy
from tailorbird.errors import InvalidInput, NotFound


def load(tmp_path, text):
    path = tmp_path / "watch.yaml"
    path.write_text(text)
    return policy.load(path)


def test_without_a_file_it_only_alerts():
    assert (policy.load(None).labels, policy.load(None).estimate) == ("alert", "alert")


def test_an_empty_file_changes_nothing(tmp_path):
    assert load(tmp_path, "# nothing\n") == Policy()


def test_a_file_changes_what_it_names(tmp_path):
    read = load(tmp_path, "labels: roll_back\ncool_down: 90\nclass_mix: steady\n")
    assert (read.labels, read.cool_down, read.class_mix, read.drop) == ("roll_back", 90, "steady", 0.05)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("labels: rollback", "labels"),
        ("estimate: roll_back", "estimate"),
        ("drops: 0.1", "drops"),
        ("drop: 0", "drop"),
        ("drop: true", "drop"),
        ("window: .inf", "window"),
        ("predictions: 5", "predictions"),
        ("[1]", "must hold keys"),
        ("a: [", "is not YAML"),
        ("labels: roll_back\ncool_down: 5", "could roll back in a loop"),
        ("labels: roll_back\nevery: 2000", "could roll back in a loop"),
        ("labels: sweep", "names no spec"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(tmp_path, text, told):
    with pytest.raises(InvalidInput, match=told):
        load(tmp_path, text)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(NotFound, match=r"watch\.yaml"):
        policy.load(tmp_path / "watch.yaml")
