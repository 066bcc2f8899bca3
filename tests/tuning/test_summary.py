import io

import pytest
from rich.console import Console

from registry.ledger import Report, Trial
from registry.version import Version
from tailorbird.package.baseline import Score
from tailorbird.package.measurements import Measurements, Parity
from tuning import spec as specs
from tuning import summary
from tuning.outcome import Outcome, Promotion, Ranked


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=120)


@pytest.fixture
def printed(raw_spec, console):
    spec = specs.parse(raw_spec)

    def tell(promotion):
        ranked = []
        for number in range(1, 8):
            report = Report(2, {"val_accuracy": 1 - number / 100}, "digest")
            config = spec.configs[0].model_dump(mode="json")
            ranked.append(Ranked(Trial(number, config, "finished", None, [report, Report(6, {})]), report))
        summary.show_outcome(Outcome("tiny-1", ranked, promotion), spec, console)
        return console.file.getvalue()

    return tell


def version(difference=1e-6):
    evidence = Measurements(
        accuracy=0.9,
        standard_error=0.01,
        samples=9,
        test=Score(accuracy=0.875, samples=9),
        parity=Parity(agreement=1.0, max_difference=difference, samples=9),
    )
    return Version("tiny", 3, "manifest", {"evidence": evidence.record(), "lineage": {}}, "ada", "2026-01-01")


def test_the_best_five_are_shown(printed):
    lines = printed(None).splitlines()
    shown = [line.split()[0] for line in lines if "2/6" in line]
    assert shown == ["1", "2", "3", "4", "5"]
    assert "0.9900" in next(line for line in lines if "2/6" in line)


def test_what_was_registered_and_promoted_is_told(printed):
    text = printed(Promotion(version(), "champion", None))
    assert (
        "registered tiny:3: held-out accuracy 90.00% of 9 (95% interval 57.73% to 98.34%), test accuracy 87.5" in text
    )
    assert "promoted to tiny@champion" in text


def test_what_was_not_promoted_is_told_with_the_reason(printed):
    text = printed(Promotion(version(difference=None), "champion", "the export differs"))
    assert "not promoted: the export differs" in text
    assert "promoted to" not in text.replace("not promoted", "")


def test_trials_of_a_spec_are_listed(raw_spec, console):
    spec = specs.parse(raw_spec)
    summary.show_trials(spec, console)
    text = console.file.getvalue()
    assert "4 trials on digits" in text
    assert f"{spec.configs[3].optimizer.lr:.3g}" in text


def test_cells():
    assert summary.cells(None, 0.00123456, 12, "adam", [8, 16]) == ["-", "0.00123", "12", "adam", "[8, 16]"]
    assert (summary.figure(None), summary.figure(0.5)) == ("-", "0.5000")
