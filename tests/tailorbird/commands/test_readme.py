"""The commands of the README: each is run in its order, or, if that takes a network, a cluster or minutes, checked."""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image
from ray.dashboard.modules.job.cli import submit

from registry import aliases
from registry.core import Registry
from registry.requests import Promotion
from serving.routes import ROUTES
from tailorbird.settings import PREFIX, Settings
from tests import packages
from tests.serving.conftest import Toy, register, start  # noqa: F401

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    shlex.split(command, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for command in block.replace("\\\n", "").splitlines()
]
MENTIONED = [shlex.split(text) for text in re.findall(r"`((?:tailorbird|make|python -m) [^`]+)`", README)]
SHIPPED = "AAEAAAABAAkL…"
"""The receipt that the README shows."""
STATUS = {"watch demo": 11, "sweep --resume": 2, "report fashion-mlp-1f0c2b": 2}
"""Exit status where it is not 0: nothing has been predicted, and the sweep that the README names is not there."""
LONG = {"drill demo": "test_drill.py", "registry reproduce": "registry/test_reproduce.py"}
"""Commands that take minutes, and the tests that run them."""


@pytest.fixture
def home(tmp_path, register):  # noqa: F811
    """Settings of a registry with the models that the README names, and the files that it names in `tmp_path`."""
    settings = Settings(_env_file=None, home=tmp_path / "home")
    for name in ("demo", "photos"):
        register(settings, name, Toy.make((8, 8)).files())
    with Registry(settings) as registry:
        for _ in range(4):
            packages.register(registry, "fashion")
        aliases.promote(registry, Promotion("fashion", 3, alias="champion", why="first", who="ada"))
    (tmp_path / "tuning").symlink_to(ROOT / "tuning")
    (tmp_path / "new").mkdir()
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for index, name in enumerate(("cat", "cat", "dog", "dog")):
            picture = tmp_path / "new" / f"{index}.png"
            Image.linear_gradient("L").rotate(90 * index).resize((8, 8)).save(picture)
            archive.write(picture, f"{name}/{index}.png")
    return settings


def test_commands_run_in_their_order(home, tailorbird, start, tmp_path):  # noqa: F811
    url, receipt = "", ""
    for words in COMMANDS:
        known = {"fashion_mnist": "digits", "/srv/photos.zip": str(tmp_path / "photos.zip"), SHIPPED: receipt}
        known |= {"Sneaker": "one", "127.0.0.1:3000": urlsplit(url).netloc}
        changed = words
        for shown, own in known.items():
            changed = [word.replace(shown, own) for word in changed]
        match words[0], " ".join(words[1:3]):
            case "tailorbird", "serve demo":
                url = start(home, command=[sys.executable, "-P", "-m", *changed, "--port", "{port}"]).wait().url
            case "tailorbird", named if named not in LONG:
                dry = ["--dry-run"] if "tuning/specs" in named else []
                result = tailorbird(*changed[1:], *(word for word in dry if word not in changed))
                assert result.returncode == STATUS.get(named, 0), result.stderr
            case "curl", _:
                ran = subprocess.run(changed, cwd=tmp_path, check=True, capture_output=True, text=True)
                answer = json.loads(ran.stdout)
                receipt = receipt or answer["predictions"][0]["receipt"]
    assert answer["accepted"] == 1
    for name in ("boot.png", "sheet.png", "answers.csv", "fashion.html", "fashion-4.tar.gz"):
        assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize("words", [*COMMANDS, *MENTIONED], ids=" ".join)
def test_command_is_known_with_its_options(words, tailorbird):
    match words:
        case ["tailorbird", *rest]:
            result = tailorbird(*rest, "--help")
            assert result.returncode == 0, result.stderr
            assert (Path(__file__).parent / LONG.get(" ".join(rest[:2]), "")).exists()
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case ["python", "-m", module]:
            assert importlib.util.find_spec(module)
        case ["curl", *rest]:
            assert urlsplit(rest[-1]).path in ROUTES
        case ["ray", "job", "submit", *rest]:
            parsed = submit.make_context("submit", rest).params
            assert all(name.startswith(PREFIX) for name in json.loads(parsed["runtime_env_json"])["env_vars"])
            assert all((ROOT / path).exists() for path in parsed["entrypoint"][1:])
        case ["docker", "build", "--target", target, "--tag", _, "."]:
            assert re.search(rf"^FROM .* AS {target}$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        case ["docker", "run", *_, image]:
            assert ["docker", "build", "--target", image.removeprefix("tailorbird-"), "--tag", image, "."] in COMMANDS
        case _:
            pytest.fail(f"no test runs {words[0]}")


def test_it_is_short():
    assert len(README.split()) <= 1600
