"""Sweeps that are made longer come to the table of those that were so long from the start, whatever is killed."""

import pytest

from registry.repeats import FINAL
from tests.faults.sweeps.conftest import KINDS, ended
from tuning.report import results

MORE = 8
MEASURED = {"seconds", "accuracy_per_second"}


def comparable(table):
    """Without the final figures of a trial where it had ended before, in the middle of its curve."""
    return [(*trial, [_plain(report) for report in curve]) for *trial, curve in table]


def _plain(report):
    epoch, metrics, checkpoint = report
    return epoch, {name: value for name, value in metrics.items() if not name.startswith(FINAL)}, checkpoint


def rows(sweep):
    """The rows of its report, without times."""
    record = results.read(sweep.registry, sweep.name).record()["rows"]
    return [
        {**row, "figures": {name: figure for name, figure in row["figures"].items() if name not in MEASURED}}
        for row in record
    ]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["alone", "halving", "lanes"])
def test_a_sweep_that_is_made_longer_and_killed_comes_to_the_table_of_a_long_one(begin, kind):
    run = KINDS[kind]["run"]
    long = begin(kind, run={**run, "epochs": run["epochs"] + MORE})
    expected = long.finish()
    sweep = begin(kind)
    short = sum(len(row[-1]) for row in sweep.finish())
    process = sweep.extend("--epochs", f"+{MORE}")
    assert sweep.wait_for_reports(short + 2, process)
    process.kill()
    process.communicate()
    assert sweep.standing() == "abandoned"
    status, out = ended(sweep.extend("--epochs", f"+{MORE}"))
    refusal = f"error: --epochs: {kind} is abandoned; accepted: a sweep that is finished\n"
    assert (status, out) == (2, refusal)
    assert comparable(sweep.finish()) == comparable(expected)
    assert rows(sweep) == rows(long)
