import os
import signal
import subprocess
import sys
import time

import pytest

from benchmarks import studies, study
from benchmarks.workers import ROOT
from registry import ledger
from registry.core import Registry
from tailorbird.settings import PREFIX, Settings


@pytest.fixture
def start(tmp_path):
    """Starts a round of studies in a home of its own."""

    def run(*words):
        clean = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "RAY_"))}
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks.studies", *words, "--out", tmp_path / "studies.md",
             "--pages", tmp_path / "pages"],
            cwd=ROOT, env=clean | {PREFIX + "HOME": str(tmp_path / "home")}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return run


@pytest.mark.long
def test_a_study_ends_as_a_page_of_tables_and_a_report(start, tmp_path):
    process = start("--quick", "iris-batching")
    _, err = process.communicate()
    assert process.returncode == 0, err
    text = (tmp_path / "studies.md").read_text()
    assert "## iris-batching" in text
    assert "cores" in text
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert {"full batch", "one sample"} <= lines.keys()
    accuracies = {name: line.split("|")[2].strip() for name, line in lines.items()}
    assert accuracies["full batch"] == accuracies["five batches of 20 accumulated"]
    pages = sorted(path.name.rpartition("-")[0] for path in (tmp_path / "pages").iterdir())
    assert pages == ["iris-batching"]
    assert not (tmp_path / "home").exists()  # a quick round has a ledger of its own


def test_what_this_ledger_does_not_hold_stays_on_the_page_as_it_is(tmp_path):
    page, here = tmp_path / "studies.md", Settings(home=tmp_path / "home", _env_file=None)
    both = [study.read(studies.STUDIES / f"{name}.yaml", quick=False) for name in ("mnist-linear", "mnist-mlp")]
    studies.write(page, both[:1], here)
    assert "## mnist-linear" in page.read_text() and "Not run yet." in page.read_text()
    page.write_text(page.read_text().replace("Not run yet.", "Run elsewhere.\n\n| a | b |"))
    studies.write(page, both, here)
    once = page.read_text()
    assert "Run elsewhere.\n\n| a | b |\n\n## mnist-mlp\n" in once and once.endswith("Not run yet.\n")
    studies.write(page, both, here)
    assert page.read_text() == once


def test_a_name_that_no_study_has_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["studies", "objectives-binary", "iris-typo"])
    with pytest.raises(SystemExit) as refused:
        studies.main()
    assert refused.value.code == 2 and "no study's name begins with 'iris-typo'" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_round_that_was_interrupted_goes_on_and_then_has_nothing_to_do(start, tmp_path):
    here = Settings(home=tmp_path / "home", _env_file=None)
    process = start("iris-batching")
    end = time.monotonic() + 300
    while time.monotonic() < end and not _finished(here):
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "run the same command again to continue" in err
    before = _finished(here)
    assert before
    for _ in range(2):
        process = start("iris-batching")
        _, err = process.communicate()
        assert process.returncode == 0, err
    with Registry(here) as registry:
        statuses = [sweep.status for sweep in ledger.sweeps(registry)]
    assert _finished(here) == 4  # none twice
    assert statuses in (["finished", "interrupted"], ["interrupted"])
    assert "iris-batching" in (tmp_path / "studies.md").read_text()


def _finished(here):
    if not (here.home / "tailorbird.db").exists():
        return 0
    with Registry(here) as registry:
        trials = [trial for sweep in ledger.sweeps(registry) for trial in ledger.trials(registry, sweep.id)]
    return sum(trial.status == "finished" for trial in trials)
