"""docs/kubernetes.md: what it tells to run is there, and its Secrets are those that the manifests ask for."""

import re
import shlex
import subprocess

import pytest

from tests.k8s.manifests import OVERLAYS, ROOT, name, of_kind, pods, render, secrets_named

GUIDE = (ROOT / "docs" / "kubernetes.md").read_text()
BLOCKS = re.findall(r"```sh (\w+)\n(.*?)```", GUIDE, re.DOTALL)


def secrets():
    """Name -> keys of the Secrets that the guide makes, by running it with a kubectl that prints its arguments."""
    script = "\n".join(block for kind, block in BLOCKS if kind == "secrets")
    echo = "kubectl() { printf '%s\\n' \"$(printf '%q ' \"$@\")\"; }\n"
    ran = subprocess.run(["bash", "-euc", echo + script], check=True, capture_output=True, text=True)
    made = {}
    for line in ran.stdout.splitlines():
        words = shlex.split(line)
        literals = [word.removeprefix("--from-literal=") for word in words if word.startswith("--from-literal=")]
        made[words[5]] = dict(literal.split("=", 1) for literal in literals)
    return made


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_that_are_asked_for_are_made(overlay):
    made = secrets()
    for secret, key in secrets_named(render(overlay)):
        assert secret in made
        assert key is None or key in made[secret]


def test_secrets_are_random_and_long():
    first, second = secrets(), secrets()
    values = [(secret, key) for secret, keys in first.items() for key in keys]
    assert all(first[secret][key] != second[secret][key] for secret, key in values)
    assert all(len(first[secret][key]) >= 32 for secret, key in values)


def test_objects_that_are_named_are_there():
    there = {name(item).lower() for overlay in OVERLAYS for item in render(overlay)}
    commands = "\n".join(block for kind, block in BLOCKS if kind == "cluster")
    named = set(re.findall(r"(?:job|deployment|service|cronjob)/[\w-]+", commands))
    assert named
    assert named <= there


def test_folders_that_are_named_are_there():
    named = set(re.findall(r"k8s/[\w./-]+", GUIDE))
    assert {folder for folder in named if not (ROOT / folder).exists()} == set()
    assert {f"k8s/overlays/{overlay}" for overlay in OVERLAYS} <= named


def test_sizes_are_those_of_the_manifests():
    serving = next(item for item in of_kind(render("cluster"), "Deployment") if name(item).endswith("serving"))
    (container,) = next(pods([serving])).spec["containers"]
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    row = next(line for line in GUIDE.splitlines() if line.startswith("| serving |"))
    assert f"{requests['cpu']}, {requests['memory'].replace('Mi', ' MiB')}" in row
    assert limits["memory"].replace("Mi", " MiB") in row
