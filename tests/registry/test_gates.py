import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import gates
from registry.gates import Verdict


def evidence(accuracy=0.9, agreement=1.0, max_difference=0.0, samples=100):
    parity = {"agreement": agreement, "max_difference": max_difference, "samples": samples}
    return {"accuracy": accuracy, "parity": parity}


ANY_NUMBER = st.floats() | st.integers(-1, 1000)


def test_the_first_version_of_a_model_needs_parity_alone():
    assert gates.judge(evidence(accuracy=0.0), None) == Verdict(True, [])


@pytest.mark.parametrize("accuracy", [0.9, 0.9000001, 1.0])
def test_an_accuracy_not_under_the_champions_passes(accuracy):
    assert gates.judge(evidence(accuracy), evidence(0.9)).passed


def test_an_accuracy_under_the_champions_fails_with_its_distance():
    verdict = gates.judge(evidence(0.885), evidence(0.9))
    assert verdict == Verdict(False, ["held-out accuracy 88.50% is 1.50 points under the champion's 90.00%"])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"agreement": 0.998}, "agrees with torch on 99.800% of labels, at least 99.9% needed"),
        ({"agreement": math.nan}, "agrees with torch on nan% of labels"),
        ({"agreement": None}, "agrees with torch on nan% of labels"),
        ({"max_difference": 0.0011}, "differ from torch's by 1.1e-03, at most 1e-03 allowed"),
        ({"max_difference": math.inf}, "differ from torch's by inf"),
        ({"max_difference": math.nan}, "differ from torch's by nan"),
        ({"max_difference": None}, "differ from torch's by nan"),
        ({"samples": 0}, "was not compared with torch on any image"),
        ({"samples": None}, "was not compared with torch on any image"),
    ],
)
def test_parity_fails_with_its_reason(wrong, reason):
    verdict = gates.judge(evidence(**wrong), None)
    assert not verdict.passed and len(verdict.reasons) == 1 and reason in verdict.reasons[0]


def test_the_limits_themselves_pass():
    assert gates.judge(evidence(agreement=0.999, max_difference=1e-3, samples=1), None).passed


def test_every_gate_that_fails_is_told():
    assert len(gates.judge(evidence(0.5, agreement=0.5), evidence(0.9)).reasons) == 2


@given(st.floats(0, 1), ANY_NUMBER, ANY_NUMBER, ANY_NUMBER, st.none() | st.floats(0, 1))
def test_what_passes_is_within_every_limit(accuracy, agreement, difference, samples, champion):
    candidate = evidence(accuracy, agreement, difference, samples)
    verdict = gates.judge(candidate, None if champion is None else evidence(champion))
    within = agreement >= 0.999 and difference <= 1e-3 and samples > 0 and (champion is None or accuracy >= champion)
    assert verdict.passed == within
    assert verdict.passed == (not verdict.reasons)
    assert json.loads(json.dumps(verdict.record(), allow_nan=False)) == verdict.record()
