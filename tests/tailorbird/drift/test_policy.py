import pytest

from tailorbird.drift import policy
from tailorbird.errors import InvalidInput


def load(tmp_path, text):
    path = tmp_path / "watch.yaml"
    path.write_text(text)
    return policy.load(path)


def test_without_a_file_it_only_alerts():
    assert (policy.load(None).labels, policy.load(None).estimate) == ("alert", "alert")


def test_a_file_changes_what_it_names(tmp_path):
    read = load(tmp_path, "labels: roll_back\ncool_down: 90\nlabel_window: 90\nclass_mix: steady\n")
    assert (read.labels, read.cool_down, read.class_mix, read.drop) == ("roll_back", 90, "steady", 0.05)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels: rollback", "labels"),
        ("estimate: roll_back", "estimate"),
        ("drops: 0.1", "drops"),
        ("drop: 0", "drop"),
        ("drop: true", "drop"),
        ("window: .inf", "window"),
        ("predictions: 5", "predictions"),
        ("# nothing", "must be a mapping, as in `labels: roll_back`"),
        ("labels: roll_back\nlabels: alert", "'labels' is given twice"),
        ("labels: roll_back\ncool_down: 1\nwindow: 1\nevery: 1", "cool_down is 1 minutes and label_window 1440"),
        ("labels: roll_back\ncool_down: 5", "could roll back in a loop"),
        ("labels: roll_back\nevery: 2000", "could roll back in a loop"),
        ("labels: sweep", "requires a spec"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(tmp_path, text, message):
    with pytest.raises(InvalidInput, match=message):
        load(tmp_path, text)
