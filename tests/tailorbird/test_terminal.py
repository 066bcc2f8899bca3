"""With real processes: only a real standard output can be full, closed or left by its reader."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from registry import versions
from registry.core import Registry
from tailorbird.settings import PREFIX, Settings
from tests import packages

ROOT = Path(__file__).resolve().parents[2]
DIGITS = {"data": {"name": "digits"}, "model": {"family": "linear"}, "epochs": 2}
LINES = 10_000
SCRIPT = f"""
import sys
from pathlib import Path
from tailorbird import terminal

def command():
    for _ in range({LINES}):
        print("93.1% ± 0.2% of 木 …")
        print("progress", file=sys.stderr)
    terminal.console().print("names: [bold]:smile: 木")
    Path("deed").touch()
    if "product" in sys.argv:
        terminal.print_product("record")

terminal.run(command)
"""


@pytest.fixture
def process(tmp_path):
    """Runs Python in a process with these streams, without this session's settings; what it printed, as bytes."""

    def run(*words, environment=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE, closing=()):
        clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        clean |= {PREFIX + "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT), **(environment or {})}
        before = (lambda: [os.close(descriptor) for descriptor in closing]) if closing else None
        streams = {"stdout": stdout, "stderr": stderr}
        started = subprocess.Popen([sys.executable, *words], cwd=tmp_path, env=clean, preexec_fn=before, **streams)
        out, err = started.communicate()
        return SimpleNamespace(returncode=started.returncode, stdout=out, stderr=err)

    return run


@pytest.fixture
def pipe_without_reader():
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture
def full():
    with Path("/dev/full").open("wb") as disk:
        yield disk


@pytest.fixture
def deed(tmp_path):
    return tmp_path / "deed"


def test_a_reader_that_goes_away_ends_nothing_and_is_no_failure(process, pipe_without_reader, deed):
    ended = process("-c", SCRIPT, "product", stdout=pipe_without_reader)
    assert (ended.returncode, deed.exists()) == (0, True)
    assert ended.stderr == b"progress\n" * LINES


def test_readers_of_both_streams_may_go_away(process, pipe_without_reader, deed):
    ended = process("-c", SCRIPT, stdout=pipe_without_reader, stderr=pipe_without_reader)
    assert (ended.returncode, deed.exists()) == (0, True)


def test_a_reader_gets_what_it_wants_before_it_goes(process, tmp_path, deed):
    (tmp_path / "script.py").write_text(SCRIPT)
    shell = f"{sys.executable} script.py 2>errors | head -2; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["bash", "-c", shell], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True
    )
    assert (ended.returncode, deed.exists()) == (0, True)
    assert ended.stdout.decode() == "93.1% ± 0.2% of 木 …\n" * 2
    assert (tmp_path / "errors").read_text() == "progress\n" * LINES


def test_a_full_disk_under_the_log_ends_nothing_and_is_told(process, full, deed):
    ended = process("-c", SCRIPT, stdout=full)
    assert (ended.returncode, deed.exists()) == (0, True)
    assert ended.stderr.endswith(b"progress\nwarning: some output could not be written: No space left on device\n")


def test_a_record_that_a_full_disk_cuts_is_a_failure_of_what_is_done(process, full, deed):
    ended = process("-c", SCRIPT, "product", stdout=full)
    assert (ended.returncode, deed.exists()) == (1, True)
    assert ended.stderr.splitlines()[-1].startswith(b"error: the command finished, but its output could not be ")


def test_full_disks_under_both_streams_end_nothing(process, full, deed):
    ended = process("-c", SCRIPT, stdout=full, stderr=full)
    assert (ended.returncode, deed.exists()) == (0, True)


@pytest.mark.parametrize("closing", [(1,), (0, 1, 2)], ids=str)
def test_closed_streams_end_nothing_and_no_file_takes_their_place(process, deed, closing):
    check = (
        "from tailorbird import terminal\n"
        "terminal.run(lambda: print(open('file', 'w').fileno() > 2, file=open('above', 'w')))"
    )
    ended = process("-c", check, closing=closing)
    assert ended.returncode == 0 and (deed.parent / "above").read_text() == "True\n"
    ended = process("-c", SCRIPT, "product", closing=closing)
    assert (ended.returncode, deed.exists()) == (0, True)


@pytest.mark.parametrize(
    ("encoding", "line"),
    [
        ("utf-8", "93.1% ± 0.2% of 木 …"),
        ("latin-1", "93.1% ± 0.2% of \\u6728 ..."),
        ("ascii", "93.1% +/- 0.2% of \\u6728 ..."),
    ],
)
def test_characters_that_a_terminal_lacks_are_spelled(process, encoding, line):
    ended = process("-c", SCRIPT, environment={"PYTHONIOENCODING": encoding})
    lines = ended.stdout.decode(encoding).splitlines()
    assert (ended.returncode, set(lines[:-1])) == (0, {line})
    assert lines[-1] == "names: [bold]:smile: " + ("木" if encoding == "utf-8" else "\\u6728")


def test_a_file_name_that_is_no_text_can_be_printed(process):
    script = "from tailorbird import terminal\nterminal.run(lambda: print('a\\udcffb'))"
    assert process("-c", script).stdout == b"a\\udcffb\n"


def test_a_pipe_that_another_process_made_non_blocking_gets_everything(process):
    script = SCRIPT.replace("terminal.run", "import os; os.set_blocking(1, False)\nterminal.run", 1)
    assert process("-c", script).stdout.count(b"93.1%") == LINES


def test_a_terminal_that_is_closed_ends_nothing(process, deed):
    controlling, standing = pty.openpty()
    os.close(controlling)
    ended = process("-c", SCRIPT, stdout=standing)
    os.close(standing)
    assert (ended.returncode, deed.exists()) == (0, True)


def test_streams_are_as_they_were_afterwards(process):
    script = (
        "import sys\nfrom tailorbird import terminal\nbefore = sys.stdout, sys.stderr\n"
        "terminal.run(lambda: print('inside'))\nprint((sys.stdout, sys.stderr) == before)"
    )
    assert process("-c", script).stdout == b"inside\nTrue\n"


def test_nothing_is_left_to_the_garbage_collector_at_the_exit(process):
    script = (
        "import atexit, gc\nfrom tailorbird import terminal\n"
        "atexit.register(lambda: print(len(gc.get_objects()) < 100))\nterminal.run(lambda: None)"
    )
    assert process("-c", script).stdout == b"True\n"


# --- commands


@pytest.fixture
def pets(tmp_path):
    """A registry with two versions of `pets`, and a run config."""
    settings = Settings(home=tmp_path / "home", _env_file=None)
    with Registry(settings) as registry:
        packages.register(registry)
        packages.register(registry)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(DIGITS))
    return settings


COMMANDS = [
    ["--help"],
    ["data", "digits"],
    ["registry", "show", "pets:1"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_need_neither_a_reader_nor_unicode(process, pets, pipe_without_reader, words):
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    ended = process("-m", "tailorbird", *words, environment=ascii_only, stderr=pipe_without_reader)
    assert ended.returncode == 0 and ended.stdout.isascii() and len(ended.stdout) > 100


def test_names_are_utf8_where_the_locale_says_ascii(process, tmp_path):
    (tmp_path / "bäume.csv").write_text("größe,art\n" + "1,Äpfel\n2,Birnen\n" * 4, encoding="utf-8")
    words = ["-m", "tailorbird", "data", "bäume.csv", "--label", "art", "--json"]
    ended = process(*words, environment={"LC_ALL": "C", "PYTHONUTF8": "0"})
    record = json.loads(ended.stdout)
    assert (record["name"], record["columns"], record["classes"]) == ("bäume", ["größe"], ["Birnen", "Äpfel"])


def test_a_promotion_that_cannot_be_told_is_made(process, pets, full):
    words = ["registry", "promote", "pets:2", "--why", "newer", "--force"]
    assert process("-m", "tailorbird", *words, stdout=full, stderr=full).returncode == 0
    with Registry(pets) as registry:
        assert versions.resolve(registry, "pets@champion").number == 2


def test_a_training_that_cannot_be_told_is_trained(process, pets, tmp_path, pipe_without_reader):
    words = ["train", "run.yaml", "--out", "out"]
    ended = process("-m", "tailorbird", *words, stdout=pipe_without_reader, stderr=pipe_without_reader)
    assert ended.returncode == 0 and (tmp_path / "out" / "model.onnx").exists()


@pytest.mark.long
def test_a_sweep_that_cannot_be_told_is_swept(process, pets, tmp_path, full):
    spec = {"name": "quiet", "run": DIGITS, "data": {"name": "digits"}, "space": {"optimizer.lr": {"choice": [0.01]}}}
    spec["run"] = {key: value for key, value in DIGITS.items() if key != "data"}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump({**spec, "trials": 1, "promote": {"model": "quiet"}}))
    ended = process(str(ROOT / "tuning" / "sweep.py"), "spec.yaml", stdout=full, stderr=full)
    assert ended.returncode == 0
    with Registry(pets) as registry:
        assert versions.resolve(registry, "quiet:1").number == 1
