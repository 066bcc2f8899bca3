import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from tailorbird import __version__, cli
from tailorbird.cli import app

RUNNER = CliRunner()
ROOT = Path(__file__).resolve().parents[2]


def test_help_loads_nothing_heavy():
    heavy = (
        "{'torch', 'ray', 'bentoml', 'onnx', 'onnxruntime', 'sqlalchemy', 'alembic', 'numpy', 'matplotlib', 'pydantic'}"
    )
    script = f"import sys; from tailorbird.cli import app; print(sorted({heavy} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout == "[]\n"


def test_the_help_of_no_command_loads_what_trains_or_serves():
    tables = (cli.COMMANDS, cli.FIGURE, cli.SWEEPS, cli.REGISTRY)
    modules = sorted({target.partition(":")[0] for table in tables for target in table.values()})
    script = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "    heavy = {'torch', 'ray', 'bentoml', 'onnx', 'matplotlib'} & sys.modules.keys()\n"
        "    assert not heavy, f'{name} loads {heavy}'"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr


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
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.rglob("*tailorbird*"))


def test_version():
    assert RUNNER.invoke(app, ["--version"]).output == f"tailorbird {__version__}\n"


def test_an_unknown_command_is_a_usage_error():
    assert RUNNER.invoke(app, ["fly"]).exit_code == 2
