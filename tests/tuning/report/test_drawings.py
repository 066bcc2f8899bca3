import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest

from registry import schema
from registry.ledger import Report, Trial
from registry.news import Entry
from tuning import spec as specs
from tuning.report.drawings import Search


@pytest.fixture
def search(raw_spec):
    """A search of so many trials, the later the better, of which one failed."""

    def made(trials, epochs=4, key="val_accuracy"):
        raw_spec["space"]["epochs"] = {"choice": [epochs]}
        spec = specs.parse({**raw_spec, "trials": trials})
        news, rows = [], []
        moment = datetime(2030, 1, 1, tzinfo=UTC)
        for number, config in enumerate(spec.configs, 1):
            status = "finished" if number % 3 == 0 else "paused" if number != 4 else "failed"
            reports = [Report(e, {key: number * e / 10_000, "seconds": 1.0}) for e in range(1, config.epochs + 1)]
            rows.append(Trial(number, config.model_dump(mode="json"), status, None, reports))
            for report in reports:
                moment += timedelta(seconds=1)
                news.append(Entry(len(news) + 1, schema.timestamp(moment), number, report))
        return Search(spec, rows, news)

    return made


def test_a_search_has_a_drawing_of_each_kind(search):
    blocks = list(search(6).blocks())
    assert [block.caption.split(" ")[0] for block in blocks] == ["The", "All", "The", "The", "Reports"]
    for block in blocks:
        assert ET.fromstring(block.svg).tag.endswith("svg")
    curves = ET.fromstring(blocks[1].svg)
    paths = {one.get("class"): one.get("d") for one in curves.iter("{http://www.w3.org/2000/svg}path")}
    assert [paths[f"line {kind}"].count("M") for kind in ("good", "rest", "bad")] == [2, 3, 1]
    assert sum(one.get("class") == "line rung" for one in curves.iter("{http://www.w3.org/2000/svg}polyline")) == 2


def test_five_hundred_trials_make_no_large_page(search):
    assert sum(len(block.svg) for block in search(500, epochs=8).blocks()) * 4 / 3 < 300_000


def test_a_search_without_figures_is_not_drawn(search):
    assert list(search(6, key="train_loss").blocks()) == []


def test_names_of_values_are_text_and_not_markup(search, raw_spec):
    raw_spec["space"]["model.activation"] = {"choice": ["relu", "gelu"]}
    drawn = search(6)
    drawn.trials[0].config["model"]["activation"] = "<script>"
    for block in drawn.blocks():
        assert "<script>" not in block.svg
        ET.fromstring(block.svg)
