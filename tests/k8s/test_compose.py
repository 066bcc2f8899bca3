"""compose.yaml is what podman-compose takes, and runs nothing that is not hardened."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tailorbird.settings import PREFIX, Settings
from tests.k8s.manifests import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
SECRETS = {"TAILORBIRD_DATABASE_PASSWORD": "a-password", "TAILORBIRD_RECEIPT_KEY": "0123456789abcdef"}


def config(**environment):
    command = Path(sys.executable).with_name("podman-compose")
    program = str(command) if command.exists() else shutil.which("podman-compose")
    if program is None:
        pytest.skip("podman-compose is not installed")
    environment |= {"PATH": os.environ["PATH"]}
    arguments = [program, "--profile", "train", "config"]
    return subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def services():
    rendered = config(**SECRETS)
    assert rendered.returncode == 0, rendered.stderr
    return yaml.safe_load(rendered.stdout)["services"]


def test_secrets_have_no_default():
    refused = config()
    assert refused.returncode != 0
    assert "TAILORBIRD_DATABASE_PASSWORD" in refused.stderr


def test_our_services_are_hardened_and_of_this_version(services):
    ours = {name: service for name, service in services.items() if service["image"].startswith("tailorbird-")}
    assert ours.keys() == {"migrate", "serve", "watch", "train"}
    for service in ours.values():
        assert service["image"].endswith(f":{VERSION}")
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges"]


def test_variables_of_ours_are_settings(services):
    named = {key for service in services.values() for key in service.get("environment", {}) if key.startswith(PREFIX)}
    assert len(named) >= 5
    assert named <= {PREFIX + field.upper() for field in Settings.model_fields}


def test_nothing_listens_beyond_this_machine(services):
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_rules_of_the_cluster_are_rules_without_their_envelope(services, tmp_path):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: it comes with prometheus")
    (words,) = services["prometheus"]["command"]
    script = words.partition(" >")[0].replace("/rules/", f"{ROOT}/k8s/prometheus/").replace("$$", "$")
    plain = tmp_path / "rules.yaml"
    plain.write_bytes(subprocess.run(["sh", "-c", script], check=True, capture_output=True).stdout)
    checked = subprocess.run(["promtool", "check", "rules", plain], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_schema_is_migrated_before_anything_is_served(services):
    assert services["serve"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
