import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tailorbird import lazy
from tailorbird.cli import app
from tailorbird.errors import Unavailable

ROOT = Path(__file__).resolve().parents[2]
SOURCE = '''"""A module."""

import sys

print("imported", file=sys.stderr)


def hello(name: str, shout: bool = False) -> None:
    """Greet somebody.

    Example: tailorbird hello you
    """
    print(name.upper() if shout else name)
'''
NEEDY = '''import a_library_that_nobody_has


def hello() -> None:
    """Greet nobody."""
'''
MODULES = {"hello": "greeting", "needy": "needy", "late": "late"}
LATE = '''def hello() -> None:
    """Greet nobody."""
    import a_library_that_nobody_has
'''


def commands(group, words=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


@pytest.fixture
def greeting(tmp_path, monkeypatch):
    """A command line of two lazy commands whose modules are not imported yet."""
    (tmp_path / "greeting_module.py").write_text(SOURCE)
    (tmp_path / "needy_module.py").write_text(NEEDY)
    (tmp_path / "late_module.py").write_text(LATE)
    monkeypatch.syspath_prepend(tmp_path)
    root = typer.Typer()
    group = lazy.group({name: f"{module}_module:hello" for name, module in MODULES.items()})
    root.add_typer(typer.Typer(cls=group), name="say")
    yield lambda *words: CliRunner().invoke(root, ["say", *words])
    for module in MODULES.values():
        sys.modules.pop(f"{module}_module", None)


def test_a_command_is_imported_when_it_is_run_and_not_for_the_help_of_all(greeting):
    listing = greeting("--help")
    assert "Greet somebody." in listing.output and "Greet nobody." in listing.output
    assert "greeting_module" not in sys.modules
    answer = greeting("hello", "you", "--shout")
    assert (answer.exit_code, answer.stdout) == (0, "YOU\n")
    assert "Example: tailorbird hello you" in greeting("hello", "--help").output


def test_a_command_refuses_options_that_it_does_not_have(greeting):
    assert greeting("hello", "you", "--whisper").exit_code == 2


@pytest.mark.parametrize("command", ["needy", "late"])
def test_a_library_that_is_not_installed_is_named(greeting, command):
    refusal = greeting(command).exception
    assert isinstance(refusal, Unavailable) and "a_library_that_nobody_has, which is not installed" in str(refusal)


@pytest.mark.parametrize(("words", "command"), [*commands(typer.main.get_command(app))], ids=str)
def test_every_command_has_the_summary_of_its_docstring_and_an_example(words, command):
    assert command.help and command.load().help.startswith(command.help)
    help_page = CliRunner().invoke(app, [*words, "--help"])
    assert help_page.exit_code == 0 and f"Example: tailorbird {' '.join(words)}" in help_page.output


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("tailorbird re", ["report", "registry"]),
        ("tailorbird registry roll", ["rollback"]),
        ("tailorbird train --res", ["--resume"]),
    ],
)
def test_a_shell_completes_commands_and_their_options(typed, completed):
    environment = {
        "_TAILORBIRD_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    script = "import sys; sys.argv = ['tailorbird']; from tailorbird.cli import main; main()"
    command = [sys.executable, "-c", script]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert sorted(answer.stdout.split()) == sorted(completed)
