import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tailorbird import __version__
from tailorbird.cli import app

RUNNER = CliRunner()
COMMANDS = [
    ["demo"], ["doctor"], ["data"], ["train"], ["figure", "confusion"], ["report"], ["sweep"], ["serve"],
    ["sweeps", "list"], ["sweeps", "show"],
    *(["registry", name] for name in ("list", "show", "history", "verify", "promote", "export")),
]  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_ends_with_an_example_that_the_command_line_knows(command):
    told = RUNNER.invoke(app, [*command, "--help"])
    assert told.exit_code == 0
    example = re.search(r"Example: tailorbird (.+)", told.output)
    assert example
    assert example[1].split()[: len(command)] == command


def test_every_command_is_in_the_list_above():
    listed = {command[0] for command in COMMANDS}
    assert set(typer.main.get_command(app).commands) == listed


def test_help_loads_nothing_heavy():
    heavy = (
        "{'torch', 'ray', 'bentoml', 'onnx', 'onnxruntime', 'sqlalchemy', 'alembic', 'numpy', 'matplotlib', 'pydantic'}"
    )
    script = f"import sys; from tailorbird.cli import app; print(sorted({heavy} & sys.modules.keys()))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert told.stdout == "[]\n"


def test_nothing_happens_at_import(tmp_path):
    """No folder made, no Ray started, no metric registered, whichever module is imported."""
    rooms = ("tailorbird", "training", "tuning", "registry", "serving")
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for room in rooms
        for path in sorted((ROOT / room).rglob("*.py"))
        if path.name not in ("__main__.py", "env.py")
    ]
    script = (
        f"import importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
        "import ray, prometheus_client\n"
        "assert not ray.is_initialized()\n"
        "names = [m.name for m in prometheus_client.REGISTRY.collect()]\n"
        "assert not [n for n in names if n.startswith('tailorbird')], names"
    )
    environment = {"HOME": str(tmp_path), "PATH": "", "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert told.returncode == 0, told.stderr
    assert not list(tmp_path.rglob("*tailorbird*"))


def test_version():
    assert RUNNER.invoke(app, ["--version"]).output == f"tailorbird {__version__}\n"


def test_an_unknown_command_is_a_usage_error():
    assert RUNNER.invoke(app, ["fly"]).exit_code == 2
