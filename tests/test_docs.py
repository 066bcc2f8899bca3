"""The documents name what there is, and nothing that is not."""

import re
from importlib import resources
from pathlib import Path
from typing import get_args

import pytest
import typer
import yaml
from pydantic import BaseModel

from registry.policy import Policy
from serving.metrics import Metrics
from serving.routes import Routes
from tailorbird.cli import app
from tailorbird.settings import PREFIX, Settings
from training.config import (
    AugmentConfig,
    DataConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    Published,
    RunConfig,
    ScheduleConfig,
)
from tuning.spec import SweepSpec

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
README = (ROOT / "README.md").read_text()


FAMILIES = get_args(get_args(ModelConfig)[0])


def commands():
    root = typer.main.get_command(app)
    for name, command in root.commands.items():
        yield from (f"{name} {inner}" for inner in command.commands) if hasattr(command, "commands") else [name]


def rows(heading):
    section = REFERENCE.split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = [re.split(r"(?<!\\)\|", line)[1] for line in section.splitlines() if line.startswith("| ")][1:]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_command_is_documented_and_no_other():
    documented = {" ".join(re.findall(r"[a-z]+", row.removeprefix("tailorbird "))[:2]) for row in rows("Commands")}
    known = set(commands())
    assert {one for one in known if not any(row.startswith(one) for row in documented)} == set()
    assert {row for row in documented if not any(row.startswith(one) for one in known)} == set()


def test_every_setting_is_documented_and_no_other():
    assert rows("Settings") == {PREFIX + name.upper() for name in Settings.model_fields}


def test_every_key_of_a_run_is_documented_and_no_other():
    nested = {"data": [DataConfig], "model": FAMILIES, "optimizer": [OptimizerConfig], "schedule": [ScheduleConfig]}
    nested |= {"loss": [LossConfig], "augment": [AugmentConfig]}
    known = set(RunConfig.model_fields) - nested.keys()
    known |= {f"{key}.{name}" for key, kinds in nested.items() for kind in kinds for name in kind.model_fields}
    assert rows("Run config") == known


def test_every_family_of_models_is_documented_and_no_other():
    (row,) = [line for line in REFERENCE.splitlines() if line.startswith("| `model.family` |")]
    named = set(re.findall(r"`([a-z]+)`", row.split("|")[3]))
    assert named == {get_args(family.model_fields["family"].annotation)[0] for family in FAMILIES}


def test_every_published_data_set_is_documented_and_no_other():
    assert rows("Data sets") == {*get_args(Published), "images", "table", "package.module:name"}


def test_every_metric_is_documented_and_no_other():
    metrics = Metrics().registry.collect()
    assert rows("Metrics") == {
        f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in metrics
    }


def test_every_key_of_a_spec_is_documented_and_no_other():
    assert rows("Sweep spec") == set(SweepSpec.model_fields)


def test_every_gate_is_documented_with_its_keys_and_no_other():
    assert rows("Gates") == set(Policy.model_fields)
    keys = {key for _, limits in Policy() if isinstance(limits, BaseModel) for key, _ in limits}
    message = REFERENCE.split("## Gates\n")[1].split("\n## ")[0]
    assert {key for key in keys if f"`{key}`" not in message} == set()


def test_every_route_is_documented_and_no_other():
    assert {row.split()[1] for row in rows("HTTP")} == set(Routes(None).table())


def test_the_spec_in_the_readme_is_the_one_that_is_shipped():
    (shown,) = re.findall(r"```yaml\n(name: .*?)```", README, re.DOTALL)
    shipped = (resources.files("tuning") / "specs" / "fashion-mlp.yaml").read_text()
    assert yaml.safe_load(shown) == yaml.safe_load(shipped)


@pytest.mark.parametrize(
    "path",
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))],
    ids=lambda path: path.name,
)
def test_links_within_the_repository_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_picture_is_of_the_demo_that_is_shipped():
    picture = (ROOT / "docs" / "images" / "demo.svg").read_text().replace("&#160;", " ")
    spec = yaml.safe_load((resources.files("tuning") / "specs" / "demo.yaml").read_text())
    keys = ", ".join(key.rpartition(".")[2] for key in spec["space"])
    assert f"{spec['trials']} trials over {keys}" in picture
    best = re.findall(r">  +\d+ +0\.\d{4} [^<]* (\d+) *<", picture)
    assert len(best) == 5 and {int(epochs) for epochs in best} <= set(spec["space"]["epochs"]["choice"])


def test_every_benchmark_is_named_in_its_page():
    scripts = [path.stem for path in (ROOT / "benchmarks").glob("*.py") if "report.tell" in path.read_text()]
    assert scripts
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    assert {name for name in scripts if f"python -m benchmarks.{name}" not in page} == set()
