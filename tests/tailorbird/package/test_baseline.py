import pytest

from tailorbird.errors import Corrupt
from tailorbird.package.baseline import Baseline

BASELINE = {
    "accuracy": 0.75, "standard_error": 0.07, "samples": 40, "nll": 0.5, "nll_uncalibrated": 0.6,
    "calibration_error": 0.02, "confusion": [[18, 2], [8, 12]],
    "bins": {"cat": {"0": {"count": 20, "correct": 15}, "0.999": {"count": 6, "correct": 3}}},
    "test": {"accuracy": 0.8, "samples": 90},
}  # fmt: skip


def test_what_is_written_is_read():
    baseline = Baseline.of(BASELINE)
    assert baseline.record() == BASELINE
    assert Baseline.parse(baseline.encode()) == baseline
    assert baseline.check(("cat", "dog")) is baseline


def test_losses_and_calibration_need_not_have_been_measured():
    rest = {
        key: value for key, value in BASELINE.items() if key not in ("nll", "nll_uncalibrated", "calibration_error")
    }
    assert Baseline.of(rest).calibration_error is None


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"accuracy": None}, "accuracy"), ({"accuracy": "0.9"}, "accuracy"), ({"accuracy": True}, "accuracy"),
        ({"accuracy": float("nan")}, "accuracy"), ({"accuracy": 90.1}, "accuracy"), ({"accuracy": -0.1}, "accuracy"),
        ({"standard_error": None}, "standard_error"), ({"samples": "40"}, "samples"), ({"samples": 1.5}, "samples"),
        ({"samples": 10**400}, "samples"), ({"calibration_error": 1.1}, "calibration_error"),
        ({"calibration_error": float("nan")}, "calibration_error"), ({"test": None}, "test"),
        ({"test": {"accuracy": 1}}, "test.samples"), ({"test": {"accuracy": 2, "samples": 1}}, "test.accuracy"),
        ({"confusion": None}, "confusion"), ({"confusion": [[1, -1], [0, 0]]}, "confusion.0.1"),
        ({"confusion": [[1, 0.5], [0, 0]]}, "confusion.0.1"), ({"bins": None}, "bins"),
        ({"bins": {"cat": []}}, "bins.cat"),
        ({"bins": {"cat": {"0.9": {"count": "many", "correct": 1}}}}, "bins.cat.0.9.count"),
        ({"bins": {"cat": {"0.9": {"count": 1, "correct": 2}}}}, "bins.cat.0.9"),
        ({"bins": {"cat": {"0.123": {"count": 1, "correct": 1}}}}, "bins.cat.0.123"),
    ],
)  # fmt: skip
def test_what_is_no_baseline_is_told_by_its_key(changes, key):
    with pytest.raises(Corrupt) as refused:
        Baseline.of({**BASELINE, **changes})
    assert str(refused.value).startswith(f"baseline.json: {key}: ")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"confusion": [[1, 2]]}, "its confusion must be 2 rows of 2 counts"),
        ({"confusion": [[1, 2], [3]]}, "its confusion must be 2 rows of 2 counts"),
        ({"bins": {"owl": {}}}, "its bins are of 'owl', which is not a class"),
    ],
)
def test_it_is_of_the_classes_of_its_model(changes, problem):
    with pytest.raises(Corrupt, match=rf"^baseline\.json: {problem}$"):
        Baseline.of({**BASELINE, **changes}).check(("cat", "dog"))
