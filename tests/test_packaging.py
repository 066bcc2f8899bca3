import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tailorbird

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
ROOMS = {"tailorbird", "training", "tuning", "registry", "serving"}
DIRECT = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]


def pins():
    lines = (line.strip() for line in (ROOT / "constraints.txt").read_text().splitlines())
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def run(unpacked, elsewhere, *arguments):
    environment = os.environ | {"PYTHONPATH": str(unpacked), "TAILORBIRD_HOME": str(elsewhere / "home")}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_rooms_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == ROOMS | {f"tailorbird-{PROJECT['version']}.dist-info"}


def test_the_wheel_holds_every_file_of_the_rooms(wheel):
    listed = subprocess.run(["git", "ls-files", *ROOMS], cwd=ROOT, check=True, capture_output=True, text=True)
    assert set(listed.stdout.splitlines()) <= set(zipfile.ZipFile(wheel).namelist())


def test_commands_run_from_the_wheel(unpacked, tmp_path):
    assert "sweep" in run(unpacked, tmp_path, "-m", "tailorbird", "--help")


def test_a_registry_opens_from_the_wheel(unpacked, tmp_path):
    use = "registry.core.Registry(settings.load()).database; print(registry.__file__)"
    script = f"import registry.core; from tailorbird import settings; {use}"
    assert run(unpacked, tmp_path, "-c", script).strip() == str(unpacked / "registry" / "__init__.py")
    assert (tmp_path / "home" / "tailorbird.db").exists()


@pytest.mark.parametrize("line", DIRECT)
def test_constraints_pin_every_dependency_within_its_range(line):
    requirement = Requirement(line)
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


def test_constraints_fit_every_machine():
    names = pins()
    assert not [name for name, version in names.items() if "+" in version]  # a build for one kind of machine
    assert not [name for name in names if re.match(r"cuda|triton|nvidia-(?!ml-py)", name)]


def test_import_rules_look_at_every_module_of_every_leaf():
    contracts = SETTINGS["tool"]["importlinter"]["contracts"]
    [leaves] = [contract["source_modules"] for contract in contracts if contract["name"].startswith("The leaves")]
    folders = [name for name in leaves if "." in name and (ROOT / name.replace(".", "/")).is_dir()]
    assert folders and {f"{name}.*" for name in folders} <= set(leaves)


def test_the_version_is_the_same_everywhere():
    version = PROJECT["version"]
    assert tailorbird.__version__ == version
    assert f'org.opencontainers.image.version="{version}"' in (ROOT / "Dockerfile").read_text()
    assert re.search(r"^## \[(.+?)]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == version


def test_serving_image_installs_what_was_tested_by_hash():
    locked = (ROOT / "requirements-serve.txt").read_text().replace("\\\n", " ")
    versions = dict(re.findall(r"^([\w.-]+)==(\S+)", locked, re.MULTILINE))
    assert all("--hash=sha256:" in line for line in locked.splitlines() if line and not line.startswith("#"))
    tested = {canonicalize_name(name): version for name, version in pins().items()}
    assert {name: version for name, version in versions.items() if tested.get(canonicalize_name(name)) != version} == {}
    extras = PROJECT["optional-dependencies"]
    wanted = {
        canonicalize_name(Requirement(line).name)
        for line in (*PROJECT["dependencies"], *extras["serve"], *extras["postgres"], *extras["s3"])
    }
    assert wanted <= {canonicalize_name(name) for name in versions}, "run `make constraints`"
