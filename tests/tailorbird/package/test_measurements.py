import math

import pytest

from tailorbird.errors import Corrupt
from tailorbird.package.baseline import Baseline
from tailorbird.package.measurements import Export, Latency, Measurements, Parity

PARITY = {"agreement": 1.0, "max_difference": 3e-7, "samples": 40}
LATENCY = {"p50_ms": 0.5, "p99_ms": 0.9, "runs": 200, "threads": 1}
SCORES = {"accuracy": 0.75, "standard_error": 0.07, "samples": 40, "calibration_error": 0.02}
TEST = {"accuracy": 0.8, "samples": 90}


def test_a_row_keeps_what_the_held_out_split_said_and_what_was_measured_of_the_export():
    baseline = Baseline.of({**SCORES, "nll": 0.5, "confusion": [], "bins": {}, "test": TEST})
    export = Export(parity=Parity(**PARITY), batches=Parity(**PARITY), latency=Latency(**LATENCY))
    kept = Measurements.of_package(baseline, export)
    assert kept.record() == {**SCORES, "test": TEST, "parity": PARITY, "batches": PARITY, "latency": LATENCY}
    assert Measurements.of(kept.record(), "evidence") == kept
    assert Measurements.of_package(baseline, kept) == kept


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_figure_that_is_not_finite_is_kept_as_none(value):
    assert Parity(**{**PARITY, "max_difference": value}).record() == {**PARITY, "max_difference": None}
    assert Latency(**{**LATENCY, "p99_ms": value}).encode() == Latency(**{**LATENCY, "p99_ms": None}).encode()


def test_parity_as_people_read_it():
    assert str(Parity(**PARITY)) == "export agrees with torch on 100.00% of labels, probabilities within 3e-07"
    assert "nan%" in str(Parity(agreement=None, max_difference=None, samples=0))


@pytest.mark.parametrize(
    ("export", "problem"),
    [
        ({}, "parity: is missing"),
        ({"parity": 1.0}, "parity: must be keys with values, not 1.0"),
        ({"parity": {"agreement": 1.0}}, "parity.max_difference: is missing"),
        ({"parity": {**PARITY, "agreement": "1"}}, "parity.agreement: must be a valid number, not '1'"),
        ({"parity": {**PARITY, "samples": True}}, "parity.samples: must be a valid integer, not True"),
        ({"parity": {**PARITY, "max_difference": -1e-9}}, "parity.max_difference: must be greater than"),
        ({"parity": PARITY, "latency": {}}, "latency.p50_ms: is missing"),
        (
            {"parity": PARITY, "latency": {**LATENCY, "p50_ms": -1}},
            "latency.p50_ms: must be greater than or equal to 0",
        ),
    ],
)
def test_measurements_of_another_form_are_told_by_their_key(export, problem):
    with pytest.raises(Corrupt) as refused:
        Export.of(export, "export")
    assert str(refused.value).startswith(f"export: {problem}")


@pytest.mark.parametrize("agreement", [None, 1])
def test_nothing_is_said_of_answers_that_depend_on_their_example_alone(agreement):
    whole = Parity.of({"agreement": 1, "max_difference": 0, "samples": 9}, "parity")
    batches = Parity.of({"agreement": agreement, "max_difference": 0, "samples": 9}, "batches")
    assert Export(parity=whole, batches=batches).caution is None
    assert Export(parity=whole).caution is None


def test_answers_that_depend_on_their_batch_are_told():
    whole = Parity.of({"agreement": 1, "max_difference": 0, "samples": 64}, "parity")
    batches = Parity.of({"agreement": 0.40625, "max_difference": 1, "samples": 64}, "batches")
    assert "in 40.62% of cases" in Export(parity=whole, batches=batches).caution
