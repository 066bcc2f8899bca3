import subprocess
import sys

import pytest

from tailorbird.errors import InvalidInput, NotFound
from training import candidate, checkpoint, code
from training.config import RunConfig
from training.loop import Run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory, as a console script sees it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one not in ("", str(tmp_path))])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def refusal(reference, field="model.function"):
    with pytest.raises(InvalidInput) as refused:
        code.load(reference, field)
    assert refused.value.field == field
    return refused.value.problem


def test_a_function_is_found_in_the_working_directory(folder):
    (folder / "own_net.py").write_text("def build(x):\n    return x + 1\n")
    (folder / "own_package").mkdir()
    (folder / "own_package/nets.py").write_text("class Net: pass\n")
    assert code.load("own_net:build", "model.function")(1) == 2
    assert code.load("own_package.nets:Net", "model.function").__name__ == "Net"


def test_a_function_is_found_among_what_is_installed():
    assert code.load("os.path:join", "data.name")("a", "b") == "a/b"


def test_no_file_of_the_working_directory_stands_in_for_an_installed_module(folder, monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    (folder / "colorsys.py").write_text("def rgb_to_hls(): pass\nraise RuntimeError\n")
    assert code.load("colorsys:rgb_to_hls", "data.name")(0, 0, 0) == (0.0, 0.0, 0.0)


def test_the_working_directory_is_added_once(folder):
    for _ in range(2):
        code.load("os.path:join", "data.name")
    assert sys.path.count(str(folder)) == 1


def test_what_is_missing_is_told_with_where_it_was_looked_for(folder):
    (folder / "own_net2.py").write_text("size = 3\n")
    (folder / "own_package2").mkdir()
    nowhere = f"neither in {folder} nor installed"
    assert refusal("own_nothing:build") == f"there is no module own_nothing, {nowhere}"
    assert refusal("own_package2.nets:build") == f"there is no module own_package2.nets, {nowhere}"
    assert refusal("own_net2:build", "data.name") == f"own_net2 ({folder}/own_net2.py) has no build"
    assert refusal("own_package2:build") == "own_package2 (a package without a file) has no build"
    assert refusal("own_net2:size") == "own_net2:size must be a function, not int"
    assert "own_net2.deep" in refusal("own_net2.deep:build")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "import math\nimport own_nothing3\n",
            "ModuleNotFoundError: No module named 'own_nothing3' (own_bad.py, line 2)",
        ),
        ("from math import nothing\n", "ImportError: cannot import name 'nothing' from 'math'"),
        ("\n\n1 / 0\n", "ZeroDivisionError: division by zero (own_bad.py, line 3)"),
        ("def build(:\n", "SyntaxError: invalid syntax (own_bad.py, line 1)"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3 (own_bad.py, line 2)"),
        ("import json\njson.loads('{')\n", "(own_bad.py, line 2)"),
        ("raise KeyError\n", "KeyError (own_bad.py, line 1)"),
        ("raise ValueError('two\\nlines')\n", "ValueError: two lines (own_bad.py, line 1)"),
    ],
)
def test_what_goes_wrong_within_a_module_is_told_with_its_line(folder, text, problem):
    (folder / "own_bad.py").write_text(text)
    message = refusal("own_bad:build")
    assert message.startswith("own_bad cannot be imported: ") and problem in message


def test_what_a_function_raises_is_its_own_fault(folder):
    (folder / "own_raises.py").write_text("import json\n\n\ndef build():\n    json.loads('{')\n")
    build = code.load("own_raises:build", "data.name")
    with pytest.raises(InvalidInput) as refused, code.blamed("own_raises:build", "data.name"):
        build()
    assert str(refused.value).startswith("data.name: own_raises:build raised JSONDecodeError: Expecting property name")
    assert str(refused.value).endswith("(own_raises.py, line 5)")


def test_what_it_says_in_our_own_words_stays_as_it_is():
    with pytest.raises(NotFound, match=r"^folder: is empty$"), code.blamed("own:build", "data.name"):
        raise NotFound("folder", "is empty")


def test_a_console_script_finds_it_too(tmp_path):
    (tmp_path / "own_script_net.py").write_text("def build():\n    return 'built'\n")
    result = subprocess.run(
        [sys.executable, "-I", "-c", "from training import code; print(code.load('own_script_net:build', 'x')())"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert result.stdout == "built\n", result.stderr


NETS = """
from torch import nn

class Tied(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, outputs)
        self.second.weight = self.first.weight

    def forward(self, inputs):
        return self.last(self.second(self.first(inputs.flatten(1)).relu()).relu())

class Length(nn.Linear):
    def forward(self, inputs):
        return super().forward(inputs.reshape(len(inputs), -1))

class Late(nn.Linear):
    def forward(self, inputs):
        if self.training and len(inputs) > 2:
            raise KeyError("late")
        return super().forward(inputs.flatten(1))

def tied(shape, outputs):
    return Tied(outputs)

def length(shape, outputs):
    return Length(64, outputs)

def late(shape, outputs):
    return Late(64, outputs)
"""


@pytest.fixture
def run(tmp_path, monkeypatch, digit_splits):
    """Trains two epochs of a model of the user's own, as `tailorbird train` does."""
    (tmp_path / "nets_of_tests.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)

    def trained(name):
        model = {"family": "custom", "function": f"nets_of_tests:{name}"}
        config = RunConfig(data={"name": "digits"}, model=model, epochs=2, device="cpu")
        made = Run(config, digit_splits)
        for _ in made:
            assert made.snapshot().pack()
        return candidate.make(config, digit_splits, checkpoint.encode(made.best_state), made.epochs, made.best.epoch)

    yield trained
    sys.modules.pop("nets_of_tests", None)


def test_weights_may_be_tied(run):
    assert run("tied").holdout.accuracy > 0.5


def test_an_export_for_one_input_is_told(run):
    with pytest.raises(InvalidInput, match=r"^model: its export accepts only one input at a time; .* len\(inputs\)"):
        run("length")


def test_what_a_module_raises_in_training_is_told_as_its_own(run):
    with pytest.raises(InvalidInput, match=r"^model\.function: nets_of_tests:late raised KeyError: 'late' \(nets_of_"):
        run("late")
