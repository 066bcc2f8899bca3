import io

import pytest
from rich.console import Console

from registry import ledger
from registry.core import Registry
from registry.ledger import Change, Report
from tailorbird import terminal
from tests import sweeps
from tuning import progress, space, summary
from tuning import spec as specs
from tuning.follower import Follower
from tuning.progress import LiveTable


@pytest.fixture
def follow(settings):
    """Enters a sweep of a spec, and shows what becomes of it on a console."""
    with Registry(settings) as registry:

        def following(spec, console, *changes):
            configs = [config.model_dump(mode="json") for config in spec.configs]
            lease = sweeps.begin(registry, "tiny-1", spec.model_dump(mode="json", exclude_none=True), configs)
            follower = Follower(registry, "tiny-1", spec)
            with LiveTable(spec, console) as table:
                table.show(follower, follower.poll())
                for change in changes:
                    ledger.enter(registry, lease, [Change(change.trial, "running"), change])
                    table.show(follower, follower.poll())
            return table, follower

        yield following


@pytest.fixture
def spec(raw_spec):
    return specs.parse(raw_spec)


FIRST = Report(1, {"val_accuracy": 0.512345})


def test_without_a_terminal_each_ended_trial_is_a_line(spec, follow):
    console = Console(file=io.StringIO(), width=80)
    follow(spec, console, Change(1, report=FIRST), Change(1, "stopped"), Change(2, "failed"))
    first, second = console.file.getvalue().splitlines()
    assert first.startswith(f"trial 1/4 stopped after 1/{spec.configs[0].epochs} epochs: val_accuracy 0.5123 (depth ")
    assert second.startswith("trial 2/4 failed after 0/")
    assert "val_accuracy - (" in second


def test_without_a_terminal_there_is_a_line_now_and_then(spec, follow, monkeypatch):
    monkeypatch.setattr(progress, "FIRST_LINE", 0)
    monkeypatch.setattr(progress, "NEXT_LINE", 0)
    console = Console(file=io.StringIO(), width=80)
    follow(spec, console, Change(1, report=FIRST), Change(1, report=Report(2, {"val_accuracy": 0.25})))
    lines = console.file.getvalue().splitlines()
    assert lines[0].startswith("tiny-1: 0/4 trials ended or paused, 0/")
    assert ", best val_accuracy 0.5123 (trial 1), about " in lines[2]
    assert lines[2].endswith(" s left")


def test_on_a_terminal_rows_and_a_bar_are_drawn_and_taken_away_again(spec, follow):
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    follow(spec, console, Change(3, report=FIRST), Change(3, "stopped"))
    drawn = console.file.getvalue()
    assert "0.5123" in drawn
    assert "tiny" in drawn
    assert "epochs" in drawn
    assert "\x1b[2K" in drawn  # transient: erased at the end


def test_after_its_end_the_table_shows_nothing(spec, follow, monkeypatch):
    monkeypatch.setattr(progress, "FIRST_LINE", 0)
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    table, follower = follow(spec, console, Change(1, "stopped"))
    drawn = console.file.getvalue()
    table.show(follower, follower.poll())
    assert console.file.getvalue() == drawn


def test_trials_that_are_suggested_later_count(raw_spec, follow, monkeypatch):
    monkeypatch.setattr(progress, "FIRST_LINE", 0)
    spec = specs.parse({**raw_spec, "search": "tpe", "trials": 12})
    console = Console(file=io.StringIO(), width=80)
    summary.show_trials(spec, console)
    follow(spec, console, Change(1, "stopped"))
    shown = console.file.getvalue()
    assert "tiny: 12 trials on digits, 4 of them suggested later" in " ".join(shown.split())
    assert "tiny-1: 0/12 trials ended or paused" in shown and "trial 1/12 stopped" in shown


def test_a_grid_is_laid_out_once_to_count_its_trials(raw_spec, follow, monkeypatch):
    del raw_spec["trials"], raw_spec["space"]["optimizer.lr"]
    spec = specs.parse({**raw_spec, "search": "grid"})
    laid, grid = [], space.grid
    monkeypatch.setattr(space, "grid", lambda domains, point=None: laid.append(point) or grid(domains, point))
    console = Console(file=io.StringIO(), width=80)
    follow(spec, console, *(Change(number, "stopped") for number in range(1, 9)))
    assert "trial 8/8 stopped" in console.file.getvalue()
    assert laid.count(None) == 1


def test_of_many_trials_those_that_run_are_shown(raw_spec, follow):
    spec = specs.parse({**raw_spec, "trials": 40})
    console = Console(file=io.StringIO(), width=120, height=40, force_terminal=True)
    follow(spec, console, Change(39, report=Report(1, {"val_accuracy": 0.987654})))
    assert "0.9877" in console.file.getvalue()


def test_brackets_in_names_and_problems_are_no_markup(raw_spec, follow, capsys):
    del raw_spec["space"], raw_spec["trials"]
    names = ["sgd [no momentum]", "adam [/old recipe] :smile:"]
    runs = [{"name": name, "epochs": epochs} for epochs, name in enumerate(names, 1)]
    spec = specs.parse({**raw_spec, "runs": runs})
    summary.show_trials(spec, terminal.console())
    follow(spec, terminal.console(), Change(1, "finished"), Change(2, "failed", "closing tag [/x] is [red]"))
    message = capsys.readouterr().out
    assert [message.count(name) for name in names] == [2, 2]
    assert "trial 2: closing tag [/x] is [red]\n" in message


def test_on_a_terminal_brackets_are_no_markup(raw_spec, follow):
    del raw_spec["space"], raw_spec["trials"]
    spec = specs.parse({**raw_spec, "runs": [{"name": "adam [/old recipe]"}]})
    console = Console(file=io.StringIO(), width=120, force_terminal=True, markup=False)
    follow(spec, console, Change(1, report=FIRST))
    assert "adam [/old recipe]" in console.file.getvalue()
    assert "\x1b[36mrunning" in console.file.getvalue()


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (89, "89 s"), (120, "2 min"), (7200, "2.0 h")])
def test_a_span_of_time_is_said_shortly(seconds, said):
    assert progress.clock(seconds) == said
