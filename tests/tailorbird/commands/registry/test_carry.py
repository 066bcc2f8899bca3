import json

import pytest

from registry import packages as stored
from registry import versions
from registry.core import Registry
from tailorbird.settings import PREFIX, Settings
from tests import packages


@pytest.fixture
def home(tmp_path):
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture
def registered(home):
    """pets:1"""
    with Registry(home) as registry:
        return packages.register(registry)


@pytest.fixture
def elsewhere(tmp_path):
    return {PREFIX + "HOME": str(tmp_path / "elsewhere")}


@pytest.mark.parametrize(
    ("words", "name"), [([], "out"), (["--archive"], "out.tar"), (["--archive"], "out.tgz"), (["--oci"], "out")]
)
def test_a_version_is_carried(tailorbird, registered, elsewhere, tmp_path, words, name):
    result = tailorbird("registry", "export", "pets:1", name, *words)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"exported to {tmp_path / name}\n"
    result = tailorbird("registry", "import", name, "--who", "bob", **elsewhere)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"pets:1 is the package {registered.manifest[:12]} of pets\n"
    result = tailorbird("registry", "import", name, "--model", "owls", "--json", **elsewhere)
    assert (json.loads(result.stdout)["model"], json.loads(result.stdout)["number"]) == ("owls", 1)
    assert json.loads(result.stdout)["lineage"]["origin"]["manifest"] == registered.manifest
    assert tailorbird("registry", "verify", "--all", **elsewhere).stdout.count("verified") == 2
    shown = tailorbird("registry", "show", "pets:1", **elsewhere)
    assert shown.returncode == 0 and "by bob" in shown.stdout


def test_a_folder_is_a_package(tailorbird, registered, tmp_path):
    result = tailorbird("registry", "export", "pets:1", "out", "--json")
    assert json.loads(result.stdout) == {
        "version": "pets:1", "path": str(tmp_path / "out"), "form": "folder", "manifest": registered.manifest,
    }  # fmt: skip
    assert stored.read(tmp_path / "out", registered.manifest).model == "pets"


def test_what_was_carried_has_a_card(tailorbird, registered, elsewhere):
    tailorbird("registry", "export", "pets:1", "out")
    tailorbird("registry", "import", "out", **elsewhere)
    result = tailorbird("registry", "card", "pets:1", **elsewhere)
    assert result.returncode == 0 and registered.manifest in result.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["export", "pets:1", "there"], "error: path: {}/there already exists; accepted: a new path"),
        (["export", "pets:1", "x.zip", "--archive"], "error: path: {}/x.zip must end in .tar, .tar.gz or .tgz"),
        (["export", "pets:1", "x.tar", "--archive", "--oci"], "error: --oci: cannot be combined with --archive"),
        (["export", "pets:9", "x"], "error: version: there is no pets:9"),
        (["import", "nothing"], "error: nothing: there is no such file or folder"),
        (["import", "there"], "error: there: is not a package; accepted: a folder, archive or OCI layout that "),
        (["import", "out", "--model", "../x"], "error: model: '../x' is not a name"),
        (["import", "out", "--model", ""], "error: model: '' is not a name"),
        (["import", "out", "--who", " "], "error: who: is empty"),
    ],
)
def test_wrong_input_is_one_sentence(tailorbird, registered, home, tmp_path, words, sentence):
    (tmp_path / "there").mkdir()
    tailorbird("registry", "export", "pets:1", "out")
    result = tailorbird("registry", *words)
    assert result.returncode == 2
    assert result.stderr.startswith(sentence.format(tmp_path))
    assert result.stderr.count("\n") == 1
    with Registry(home) as registry:
        assert [str(version) for version in versions.every(registry)] == ["pets:1"]
