import re
import xml.etree.ElementTree as ET

import pytest

from registry import incidents, leases, ledger
from registry.core import Registry
from registry.ledger import Change, Report
from tests import sweeps
from tests.browsers import CHROMIUM, opened
from tuning import extension
from tuning import spec as specs
from tuning.report import page, results
from tuning.report.drawings import Search

NUMBER = "the loss is no number, <b>it is NaN</b>"


@pytest.fixture
def resumed(settings, raw_spec):
    """Opens a sweep of six trials that was interrupted, resumed and cancelled, and resumed again.

    Trial 2 failed after a report, trial 5 before its first.
    """
    spec = specs.parse({**raw_spec, "trials": 6})
    with Registry(settings) as registry:
        configs = [config.model_dump(mode="json") for config in spec.configs]
        lease = sweeps.begin(registry, "tiny-1", spec.plain(), configs)

        def train(number, *statuses, problem=None):
            ledger.enter(registry, lease, [Change(number, "running")])
            if number != 5:
                figures = {"val_accuracy": number / 10, "val_loss": 1.5, "train_loss": 1.25, "seconds": 1.5}
                ledger.enter(registry, lease, [Change(number, report=Report(1, figures))])
            ledger.enter(registry, lease, [Change(number, status, problem) for status in statuses])

        train(1, "finished")
        train(2, "failed", problem="out of memory")
        ledger.end(registry, lease, "interrupted")
        lease = leases.take(registry, "tiny-1", 60, "ada")
        train(3, "finished")
        train(5, "failed", problem=NUMBER)
        leases.cancel(registry, "tiny-1", "grace")
        lease = leases.take(registry, "tiny-1", 60, "grace <i>")
        train(4, "paused")
        train(6, "finished")
        ledger.end(registry, lease, "finished")
        yield registry


def clock(incident):
    return f"{incident.happened[11:19]} UTC"


def titles(registry):
    first, early, second, late = [clock(incident) for incident in incidents.of(registry, "tiny-1")]
    return [
        f"resumed {early} by ada, after it was interrupted",
        f"resumed {late} by grace <i>, after it was cancelled by grace",
        f"trial 2 failed {first}: out of memory",
        f"trial 5 failed {second}: {NUMBER}",
    ]


def timeline(registry):
    read = results.read(registry, "tiny-1")
    return list(Search(read.spec, read.trials, read.news, read.incidents).blocks())[-1]


def test_resumes_and_failures_are_drawn_with_their_reasons(resumed):
    block = timeline(resumed)
    assert [mark.title for mark in block.marks] == titles(resumed)
    drawn = ET.fromstring(block.svg)
    shapes = [(one.get("class"), one.get("points") or one.get("d")) for one in drawn if one.get("class")]
    lines = [points for name, points in shapes if name == "line resume" and points.endswith(",264.0")]
    assert len(lines) == 2  # the third is in the legend
    [reports] = [path for name, path in shapes if name == "dots bad"]
    assert reports.count("M") == 1  # of trial 2
    crosses = next(path for name, path in shapes if name == "line failed")
    assert crosses.count("M") == 2 * 2
    words = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"trial 1", "6", "report", "failed", "resumed"} <= set(words) and "extended" not in words


def test_an_extension_is_no_interruption(settings, raw_spec):
    spec = specs.parse({**raw_spec, "trials": 1})
    with Registry(settings) as registry:
        sweeps.begin(registry, "tiny-1", spec.plain(), [config.model_dump(mode="json") for config in spec.configs])
        sweeps.set_trial(registry, "tiny-1", 1, "finished")
        sweeps.end(registry, "tiny-1", "finished")
        extension.add_trials(registry, "tiny-1", 1, 60, "ada")
        leases.take(registry, "tiny-1", 60, "ada")
        text = page.html(registry, settings, results.read(registry, "tiny-1"))
    [extended] = re.findall(r"<dt>Extended</dt>\s*<dd>(.*?)</dd>", text)
    assert extended.startswith("once, ") and extended.endswith(" by ada")
    assert "<dt>Resumed</dt>" not in text


def test_a_sweep_without_incidents_has_neither_marks_nor_their_legend(settings, raw_spec):
    spec = specs.parse({**raw_spec, "trials": 1})
    with Registry(settings) as registry:
        sweeps.begin(registry, "tiny-1", spec.plain(), [config.model_dump(mode="json") for config in spec.configs])
        sweeps.report(registry, "tiny-1", 1, Report(1, {"val_accuracy": 0.5}))
        block = timeline(registry)
    assert block.marks == [] and "resume" not in re.sub("<style>.*</style>", "", block.svg)


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_pointer_over_a_mark_meets_its_title_at_every_width(resumed, settings, tmp_path):
    text = page.html(resumed, settings, results.read(resumed, "tiny-1"))
    assert "2 times, the last " in text and " by grace &lt;i&gt;, after it was cancelled by grace" in text
    (tmp_path / "page.html").write_text(text)
    with opened(tmp_path / "page.html") as windows:
        for window in windows:
            marks = window.locator(".drawn rect")
            assert marks.evaluate_all("all => all.map(one => one.textContent)") == titles(resumed)
            marks.last.hover()  # fails if anything else lies above it
            sizes = window.locator(".drawn:has(svg) > *").evaluate_all(
                "all => all.map(one => one.getBoundingClientRect()).map(box => [box.x, box.y, box.width, box.height])"
            )
            assert sizes[0] == sizes[1]  # the marks lie on the drawing
