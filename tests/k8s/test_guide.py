"""docs/kubernetes.md: each of its commands is run, as far as that goes without a cluster, and names what there is."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from serving.receipts import Receipts
from tailorbird.settings import Settings
from tests.k8s.manifests import OVERLAYS, ROOT, main_config, name, pick, pods, render, secrets_named
from tests.serving.conftest import Toy, register, start  # noqa: F401
from tests.waiting import wait_for

GUIDE = (ROOT / "docs" / "kubernetes.md").read_text()
COMMANDS = [
    command
    for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    for command in block.replace("\\\n", "").splitlines()
] + re.findall(
    r"`((?:kubectl|kind|minikube|docker|tailorbird) [^`]+)`", re.sub(r"```.*?```", "", GUIDE, flags=re.DOTALL)
)
THERE = {name(item).lower() for overlay in OVERLAYS for item in render(overlay)}
MADE = {
    f"{kind}{made}"
    for command in COMMANDS
    for made in re.findall(r"create job .* (\S+)$", command)
    for kind in ("job/", "rayjob/ray-")
}
"""Jobs that the guide makes, and the RayJobs that these make."""
NEEDS_NO_CLUSTER = ("tailorbird ", "curl ", "sh k8s/")
"""What other tests here run."""


def test_the_first_prediction_takes_ten_commands():
    (first,) = re.findall(r"## From an empty cluster to a prediction\n.*?```sh\n(.*?)```", GUIDE, re.DOTALL)
    assert len(first.splitlines()) == 10


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith(NEEDS_NO_CLUSTER)])
def test_command_is_one_that_a_cluster_takes(command):
    words = shlex.split(command.removesuffix("&"))
    images = {box["image"] for pod in pods(render("local")) for box in pod.spec["containers"]}
    match words[0]:
        case "docker":
            stages = re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
            assert words[1] == "build"
            assert words[words.index("--target") + 1] in stages
            assert words[words.index("--tag") + 1] in images
        case "kubectl":
            assert set(re.findall(r"(?:job|rayjob|deployment|service|cronjob)/[\w-]+", command)) <= THERE | MADE
            # it comes as far as to ask for the API server: commands and options are known, folders are rendered
            ran = subprocess.run([*words, "--server=http://127.0.0.1:1"], cwd=ROOT, capture_output=True, text=True)
            assert "127.0.0.1:1" in ran.stderr
        case "kind" | "minikube":
            assert set(words[3:]) == {image for image in images if image.startswith("tailorbird-")}
        case other:
            pytest.fail(f"no test runs {other}")


def test_forwarded_port_is_that_of_the_service():
    (remote,) = {words for command in COMMANDS for words in re.findall(r"port-forward \S+ \d+:(\d+)", command)}
    assert int(remote) in {
        port["port"] for port in pick(render("local"), "Service", "tailorbird-serving")["spec"]["ports"]
    }


def made_secrets(folder):
    """Name -> data of the Secrets of one node, by its script; kubectl makes each, and sends it nowhere."""
    kubectl = folder / "kubectl"
    kubectl.write_text(
        f'#!/bin/sh\n[ "$1" = apply ] && exit\nexec {shutil.which("kubectl")} "$@" --dry-run=client --output=yaml\n'
    )
    kubectl.chmod(0o755)
    (script,) = (command for command in COMMANDS if command.startswith("sh k8s/"))
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    ran = subprocess.run(shlex.split(script), cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return {
        item["metadata"]["name"]: item["data"]
        for item in yaml.safe_load_all(re.sub("(?m)^apiVersion", "---\napiVersion", ran.stdout))
        if item
    }


def test_secrets_of_one_node_are_those_that_its_manifests_ask_for(tmp_path):
    made = made_secrets(tmp_path)
    asked = set(secrets_named(render("local")))
    assert {secret for secret, _ in asked} == made.keys()
    assert {(secret, key) for secret, key in asked if key} == {
        (secret, key) for secret, keys in made.items() for key in keys
    }


def test_secrets_are_random_and_long(tmp_path):
    first, second = made_secrets(tmp_path), made_secrets(tmp_path)
    values = [(secret, key) for secret, keys in first.items() for key in keys]
    assert all(first[secret][key] != second[secret][key] for secret, key in values)
    assert all(len(first[secret][key]) >= 32 for secret, key in values)


def test_secrets_of_the_table_are_those_that_the_manifests_ask_for():
    rows = re.findall(r"^\| `(tailorbird-\w+)` \|(.*?)\|(.*?)\|", GUIDE, re.MULTILINE)
    keys = r"`([A-Z][A-Z0-9_]+|auth_token|password)`"
    required = {(secret, key) for secret, must, _ in rows for key in re.findall(keys, must)}
    assert {(secret, key) for overlay in OVERLAYS for secret, key in secrets_named(render(overlay)) if key} == required
    optional = {key for _, _, may in rows for key in re.findall(keys, may)}
    ours = {f"TAILORBIRD_{field.upper()}" for field in Settings.model_fields}
    assert {key for key in optional if key.startswith("TAILORBIRD_")} <= ours


def test_image_is_predicted_and_model_rolled_back(start, register, tmp_path):  # noqa: F811
    """With digits, which need no download."""
    settings = Settings(_env_file=None, home=tmp_path / "home")
    model = main_config(render("local"))["data"]["TAILORBIRD_MODEL"]
    for seed in range(2):
        register(settings, model, Toy.make((8, 8), seed=seed).files(), force=True)
    server = start(settings, model).wait()
    commands = [command for command in COMMANDS if command.startswith(("tailorbird ", "curl "))]
    assert len(commands) == 3
    script = "\n".join(commands).replace("127.0.0.1:3000", urlsplit(server.url).netloc)
    script = script.replace("data fashion_mnist", "data digits")
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment |= {"TAILORBIRD_HOME": str(settings.home)}
    ran = subprocess.run(
        ["bash", "-euc", script], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert '"version":2,"predictions":' in ran.stdout
    wait_for(lambda: server.client.get("/model").json()["version"] == 1)


def test_receipts_of_each_step_of_a_rotation_are_accepted_in_the_one_before_and_after():
    """While pods are replaced, both steps are there at once."""
    rows = re.findall(r"^\| (\d) \| (\w+) \| (\w*) ?\|", GUIDE, re.MULTILINE)
    steps = [Receipts([key.encode() for key in keys if key], "fashion", 30) for _, *keys in rows]
    assert [number for number, *_ in rows] == ["0", "1", "2", "3"]
    assert (rows[0][1:], rows[-1][1:]) == (("old", ""), ("new", ""))
    for step, following in pairwise(steps):
        for signing, reading in ((step, following), (following, step)):
            assert reading.read(*signing.make(1, [0], [0])).version == 1


def test_folders_that_are_named_are_there():
    named = set(re.findall(r"k8s/[\w./-]+", GUIDE))
    assert {folder for folder in named if not (ROOT / folder).exists()} == set()
    assert {f"k8s/overlays/{overlay}" for overlay in OVERLAYS} <= named


SIZED = {
    "serving": "serve",
    "watch": "watch",
    "migration": "migrate",
    "start of a sweep": "start",
    "submitter": "submitter",
    "autoscaler beside it": "autoscaler",
    "Ray head with driver": "ray-head",
    "Ray worker": "ray-worker",
}


def test_sizes_are_those_of_the_manifests():
    lines = [line for line in GUIDE.splitlines() if line.startswith("| ")]
    rows = {row[0]: row[1:] for row in (re.split(r" *\| *", line)[1:-1] for line in lines)}
    boxes = {box["name"]: box["resources"] for pod in pods(render("cluster")) for box in pod.spec["containers"]}
    assert set(SIZED.values()) == boxes.keys()
    for pod, container in SIZED.items():
        requests, limits = boxes[container]["requests"], boxes[container]["limits"]
        assert rows[pod][:2] == [f"{requests['cpu']}, {_size(requests['memory'])}", _size(limits["memory"])]


def _size(quantity):
    return re.sub(r"([KMG])i$", lambda unit: f" {unit[1]}iB", quantity)
