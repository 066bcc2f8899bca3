import io

import pytest
from rich.console import Console

from tailorbird import terminal
from tuning import spec as specs
from tuning import summary
from tuning.progress import LiveTable


@pytest.fixture
def spec(given):
    return specs.parse(given)


def test_without_a_terminal_each_ended_trial_is_a_line(spec):
    console = Console(file=io.StringIO(), width=80)
    with LiveTable(spec, console) as table:
        table.report(1, {"epoch": 1, "val_accuracy": 0.512345})
        table.end(1, "stopped")
        table.end(2, "failed")
    first, second = console.file.getvalue().splitlines()
    assert first.startswith(f"trial 1/4 stopped after 1/{spec.configs[0].epochs} epochs: val_accuracy 0.5123 (depth ")
    assert second.startswith("trial 2/4 failed after 0/")
    assert "val_accuracy - (" in second


def test_on_a_terminal_rows_and_a_bar_are_drawn_and_taken_away_again(spec):
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    with LiveTable(spec, console) as table:
        table.report(3, {"epoch": 1, "val_accuracy": 0.512345})
        table.end(3, "stopped")
    drawn = console.file.getvalue()
    assert "0.5123" in drawn
    assert "tiny" in drawn
    assert "epochs" in drawn
    assert "\x1b[2K" in drawn  # transient: erased at the end


def test_epochs_that_are_spared_leave_the_bar(spec):
    with LiveTable(spec, Console(file=io.StringIO())) as table:
        for number, config in enumerate(spec.configs, 1):
            table.report(number, {"epoch": 1, "val_accuracy": 0.5})
            table.end(number, "stopped" if config.epochs > 1 else "finished")
        (task,) = table._bar.tasks
        assert (task.completed, task.total) == (4, 4)


def test_of_many_trials_those_that_run_are_shown(given):
    spec = specs.parse({**given, "trials": 40})
    console = Console(file=io.StringIO(), width=120, height=40, force_terminal=True)
    with LiveTable(spec, console) as table:
        table.report(39, {"epoch": 1, "val_accuracy": 0.987654})
    assert "0.9877" in console.file.getvalue()


def test_brackets_in_names_and_problems_are_no_markup(given, capsys):
    del given["space"], given["trials"]
    names = ["sgd [no momentum]", "adam [/old recipe] :smile:"]
    runs = [{"name": name, "epochs": epochs} for epochs, name in enumerate(names, 1)]
    spec = specs.parse({**given, "runs": runs})
    summary.show_trials(spec, terminal.console())
    with LiveTable(spec, terminal.console()) as table:
        table.end(1, "finished")
        table.end(2, "failed", "closing tag [/x] is [red]")
    told = capsys.readouterr().out
    assert [told.count(name) for name in names] == [2, 2]
    assert "trial 2: closing tag [/x] is [red]\n" in told


def test_on_a_terminal_brackets_are_no_markup(given):
    del given["space"], given["trials"]
    spec = specs.parse({**given, "runs": [{"name": "adam [/old recipe]"}]})
    console = Console(file=io.StringIO(), width=120, force_terminal=True, markup=False)
    with LiveTable(spec, console) as table:
        table.report(1, {"epoch": 1, "val_accuracy": 0.5})
    assert "adam [/old recipe]" in console.file.getvalue()
    assert "\x1b[36mrunning" in console.file.getvalue()
