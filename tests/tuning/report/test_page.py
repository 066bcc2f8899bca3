import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from registry import ledger
from registry.core import Registry
from registry.leases import Lease
from registry.ledger import Change, Report
from tests import sweeps
from tests.browsers import CHROMIUM, opened
from tuning import spec as specs
from tuning.report import page, pictures, results


@pytest.fixture
def drawn(settings):
    def draw(sweep="tiny-1"):
        with Registry(settings) as registry:
            return page.html(registry, settings, results.read(registry, sweep))

    return draw


@pytest.fixture
def entered(settings):
    """Enters trials that reported once, with no weights, in the ledger."""

    def enter(raw_spec, figures):
        spec = specs.parse(raw_spec)
        with Registry(settings) as registry:
            configs = [config.model_dump(mode="json") for config in spec.configs]
            sweeps.begin(registry, "tiny-1", spec.model_dump(mode="json", exclude_none=True), configs, None, "ada")
            for number in range(1, len(configs) + 1):
                for epoch in (1, 2):
                    sweeps.report(registry, "tiny-1", number, Report(epoch, figures))
                sweeps.set_trial(registry, "tiny-1", number, "finished")
            sweeps.end(registry, "tiny-1", "finished")

    return enter


@pytest.fixture
def searched(settings, raw_spec):
    """Enters a search of so many trials, each better than the one before; every third is trained to its end."""

    def enter(trials):
        raw_spec["trials"] = trials
        raw_spec["space"]["optimizer.weight_decay"] = {"loguniform": [1e-6, 1e-2]}
        raw_spec["space"]["model.dropout"] = {"uniform": [0.0, 0.5]}
        spec = specs.parse(raw_spec)
        with Registry(settings) as registry:
            configs = [config.model_dump(mode="json") for config in spec.configs]
            sweeps.begin(registry, "tiny-1", spec.plain(), configs, None, "ada")
            lease = Lease("tiny-1", 1)
            ledger.enter(registry, lease, [Change(number, "running") for number in range(1, trials + 1)])
            for number, config in enumerate(configs, 1):
                epochs = 1 if number % 3 else config["epochs"]
                figures = {"train_loss": 1.25, "val_loss": 1.5, "val_accuracy": 0.5 + number / 1_250, "seconds": 1.5}
                changes = [Change(number, report=Report(epoch, figures)) for epoch in range(1, epochs + 1)]
                ledger.enter(registry, lease, [*changes, Change(number, "paused" if number % 3 else "finished")])
            sweeps.end(registry, "tiny-1", "finished")

    return enter


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.sources = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]


def sections(text):
    return re.findall("<h2>(.*?)</h2>", text)


def captions(text):
    return re.findall("<figcaption>(.*?)</figcaption>", text)


def test_a_study_is_one_page_with_tables_and_pictures(swept, study, drawn):
    swept(study)
    text = drawn()
    result = Page(text)
    assert sections(text) == [
        "Results", "Search", "First and last epoch", "Loss curves", "Learning curves", "Answers", "Spec",
    ]  # fmt: skip
    assert result.tags.count("script") == 1  # which sorts tables
    pictures = [source for source in result.sources if source != "data:,"]  # no icon
    assert all(source.startswith(("data:image/png;base64,", "data:image/svg+xml,")) for source in pictures)
    assert pictures
    assert "digits: validation 0.2, holdout 0, split seed 0" in text
    assert "4; 2 configs, with several seeds" in text
    assert "narrow (2 seeds)" in text
    assert "made up" in text
    matrices = [caption for caption in captions(text) if caption.startswith("Confusion matrix")]
    assert len(matrices) == 2  # of each row, not of each seed


def test_whatever_stands_in_a_spec_is_text(entered, study, drawn):
    evil = '<script>alert("1")</script>'
    study["runs"][0]["name"] = study["source"] = evil
    study["seeds"] = 1
    entered(study, {"train_loss": 0.5})
    text = drawn()
    assert Page(text).tags.count("script") == 1
    assert text.count("&lt;script&gt;") >= 3


def test_what_may_be_promoted_is_drawn_on_validation(swept, study, drawn):
    swept({**study, "data": {**study["data"], "holdout": 0.1}, "promote": {"model": "tiny"}, "seeds": 1})
    text = drawn()
    assert "validation accuracy" in text
    assert "test accuracy" not in text
    with_answers = [caption for caption in captions(text) if caption.startswith("Confusion")]
    assert len(with_answers) == 2


def test_ties_are_told_with_the_trial_that_the_sweep_ranks_first(settings, study):
    spec = specs.parse({**study, "data": {**study["data"], "holdout": 0.1}, "promote": {"model": "tiny"}, "seeds": 1})
    with Registry(settings) as registry:
        configs = [config.model_dump(mode="json") for config in spec.configs]
        lease = sweeps.begin(registry, "tiny-1", spec.plain(), configs)
        for number, loss in ((1, 0.9), (2, 0.4)):  # of the same accuracy
            weights, answers = registry.blobs.put_all([b"%d" % number, np.packbits([True] * 7 + [False]).tobytes()])
            report = Report(1, {"val_accuracy": 0.875, "val_loss": loss}, weights)
            sweeps.set_trial(registry, "tiny-1", number, "finished")
            ledger.enter(registry, lease, [Change(number, report=report, answers=answers)])
        told = page._ties(registry, results.read(registry, "tiny-1"))
    assert told.startswith("Of the best 2, trial 1 is not significantly worse than trial 2 on validation")


def test_trials_that_failed_are_told(settings, study, drawn):
    spec = specs.parse(study)
    with Registry(settings) as registry:
        configs = [config.model_dump(mode="json") for config in spec.configs]
        sweeps.begin(registry, "tiny-1", spec.model_dump(mode="json", exclude_none=True), configs, None, "ada")
        sweeps.set_trial(registry, "tiny-1", 1, "failed", "the loss is no number")
        sweeps.end(registry, "tiny-1", "failed", problem="no trial succeeded")
    text = drawn()
    assert sections(text) == ["Trials that failed or were skipped", "Spec"]
    assert "4: 3 pending, 1 failed<" in text
    assert "the loss is no number" in text
    assert "failed: no trial succeeded" in text


def test_where_the_weights_are_gone_the_page_says_so(swept, study, settings, drawn):
    swept(study)
    for stored in (settings.home / "storage").rglob("*"):
        if stored.is_file():
            stored.unlink()
    text = drawn()
    assert "Not drawn of " in text  # each run's own weights
    assert not [caption for caption in captions(text) if caption.startswith("Confusion")]
    assert "narrow (2 seeds)" in text


def test_a_ledger_runs_no_code(entered, study, drawn, tmp_path, monkeypatch):
    (tmp_path / "intruder.py").write_text("def make(*_, **__):\n    raise SystemExit('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    entered({**study, "data": {"name": "intruder:make", "validation": 0}, "seeds": 1}, {"train_loss": 0.5})
    assert "intruder:make is custom code, which a report does not run" in drawn()
    assert "intruder" not in sys.modules


def test_a_ledger_runs_no_model(entered, study, drawn, tmp_path, monkeypatch):
    (tmp_path / "intruding.py").write_text("def make(*_, **__):\n    raise SystemExit('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    model = {"family": "custom", "function": "intruding:make"}
    changes = {**study, "run": {"model": model}, "runs": [{"name": "own"}], "seeds": 1}
    entered(changes, {"train_loss": 0.5})
    assert "intruding:make is custom code" in drawn()
    assert "intruding" not in sys.modules


def test_of_many_trials_the_best_alone_have_pictures(entered, study, drawn, monkeypatch):
    monkeypatch.setattr(page, "ROWS", 20)
    monkeypatch.setattr(pictures, "CURVES", 5)
    runs = [{"name": f"run {number}", "epochs": number} for number in range(1, 26)]
    entered({**study, "runs": runs, "seeds": 1}, {"train_loss": 0.5, "val_loss": 0.5, "val_accuracy": 0.5})
    text = drawn()
    assert text.count("<figure>") == 5 + 2 + pictures.BEST
    assert "The first 20 of 25 rows" in text
    assert "<td>run 20</td>" in text
    assert "<td>run 21</td>" not in text
    assert "The first 5 of 25 runs" in text


def test_the_trials_of_a_search_stand_best_first_with_their_settings(searched, drawn):
    searched(8)
    text = drawn()
    assert "8: 6 paused, 2 finished<" in text
    titles = re.findall('<th scope="col"[^>]*>(.*?)</th>', text.partition("</thead>")[0])
    assert titles[:2] == ["run", "validation accuracy"]
    assert titles[-7:] == ["epochs trained", "depth", "width", "lr", "epochs", "weight_decay", "dropout"]
    first = re.findall("<td[^>]*>(trial .*?)</td>", text.partition("</table>")[0])
    assert first == [f"trial {number}" for number in range(8, 0, -1)]


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("trials", [8, 500])
def test_the_page_of_a_search_fits_every_screen_and_is_small(searched, drawn, tmp_path, trials):
    searched(trials)
    text = drawn()
    assert "image/png" in text
    assert len(re.sub(r"data:image/png;base64,[^\"]*", "", text)) < 300_000
    (tmp_path / "page.html").write_text(text)
    with opened(tmp_path / "page.html") as windows:
        for window in windows:
            drawings = window.locator(".drawn img")
            assert drawings.count() == 5
            sizes = drawings.evaluate_all("all => all.map(one => [one.naturalWidth > 0, one.clientWidth >= 640])")
            assert sizes == [[True, True]] * 5  # so that the letters in it can be read


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_click_on_a_column_sorts_its_table(entered, study, drawn, tmp_path):
    runs = [{"name": f"run {number}", "epochs": number} for number in (9, 10, 2)]
    entered({**study, "runs": runs, "seeds": 1}, {"train_loss": 0.5, "val_loss": 0.5, "val_accuracy": 0.5})
    (tmp_path / "page.html").write_text(drawn())
    with opened(tmp_path / "page.html") as windows:
        for window in windows:
            table = window.locator("table", has=window.locator("th", has_text="epochs")).first
            orders = []
            for _ in range(2):
                table.locator("th", has_text="epochs").click()
                orders.append(table.locator("tbody td:last-child").all_inner_texts())
            assert orders == [["2", "9", "10"], ["10", "9", "2"]]
