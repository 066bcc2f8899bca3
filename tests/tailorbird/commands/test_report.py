import json

import pytest

from registry.core import Registry
from registry.ledger import Report
from tailorbird.settings import Settings
from tests import sweeps
from tuning import spec as specs


@pytest.fixture
def swept(tmp_path):
    spec = specs.parse(
        {
            "name": "tiny",
            "data": {"name": "digits", "validation": 0, "holdout": 0},
            "run": {"model": {"family": "linear"}},
            "runs": [{"name": "linear", "reference": {"test_accuracy": 0.8}}],
        }
    )
    with Registry(Settings(home=tmp_path / "home", _env_file=None)) as registry:
        configs = [config.model_dump(mode="json") for config in spec.configs]
        sweeps.begin(registry, "tiny-1", spec.model_dump(mode="json", exclude_none=True), configs, None, "ada")
        sweeps.report(registry, "tiny-1", 1, Report(1, {"train_loss": 0.5, "test_accuracy": 0.75, "seconds": 2.0}))
        sweeps.set_trial(registry, "tiny-1", 1, "finished")
        sweeps.end(registry, "tiny-1", "finished")


def test_a_report_is_written_into_the_home_or_where_it_is_wanted(tailorbird, swept, tmp_path):
    result = tailorbird("report", "tiny-1")
    usual = tmp_path / "home" / "reports" / "tiny-1.html"
    assert (result.returncode, result.stdout) == (0, f"report: {usual}\n")
    assert "<title>Sweep tiny-1</title>" in usual.read_text()
    assert tailorbird("report", "tiny-1", "--out", "there/page.html").returncode == 0
    assert (tmp_path / "there" / "page.html").read_text() == usual.read_text()


def test_a_report_for_machines(tailorbird, swept, tmp_path):
    record = json.loads(tailorbird("report", "tiny-1", "--json").stdout)
    assert (record["sweep"], record["status"], record["who"]) == ("tiny-1", "finished", "ada")
    (row,) = record["rows"]
    assert row["name"] == "linear"
    assert row["figures"]["accuracy_per_second"]["mean"] == 0.375
    assert row["behind"] == {"test_accuracy": 0.05}
    assert record["page"] == str(tmp_path / "home" / "reports" / "tiny-1.html")


def test_a_sweep_that_is_not_there(tailorbird, swept):
    result = tailorbird("report", "nothing")
    assert result.returncode == 2
    assert result.stderr == "error: sweep: there is no sweep 'nothing'; list the sweeps with `tailorbird sweeps list`\n"


def test_a_page_that_cannot_be_written(tailorbird, swept, tmp_path):
    (tmp_path / "file").touch()
    result = tailorbird("report", "tiny-1", "--out", "file/page.html")
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {tmp_path}/file/page.html cannot be written: ")
    assert "choose another file with --out" in result.stderr
