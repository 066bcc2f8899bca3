"""Photographs with a pretrained backbone as their owner uses it: two sweeps, a card, pictures, and an endpoint that
reaches no other machine."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tailorbird.settings import PREFIX
from tests import photos

ROOT = Path(__file__).resolve().parents[2]
BACKBONE = "mobilenet_v3_small"
OFFLINE = ("unshare", "--user", "--map-root-user", "--net")
ASK = """
ip link set lo up
"$0" -m tailorbird serve photos:1 --port {port} >serve.log 2>&1 &
server=$!
"$0" - <<'END'
import time, urllib.error, urllib.request
request = urllib.request.Request("http://127.0.0.1:{port}/predict", open("asked.png", "rb").read())
request.add_header("content-type", "image/png")
for _ in range(500):
    try:
        print(urllib.request.urlopen(request, timeout=30).read().decode())
        break
    except (urllib.error.URLError, ConnectionError):
        time.sleep(0.2)
END
kill $server
wait $server
"""


@pytest.fixture
def home(tmp_path):
    photos.write_photographs(tmp_path / "data" / "photos", 40)
    photos.keep_random_weights(tmp_path / "cache", BACKBONE)
    return tmp_path


def write_spec(home, preset, tune, epochs, trials):
    spec = yaml.safe_load((ROOT / "tuning" / "specs" / preset).read_text())
    spec["data"] |= {"path": "photos", "size": 64}
    spec["run"] |= {"epochs": epochs, "model": {"family": "pretrained", "backbone": BACKBONE, "tune": tune}}
    (home / "photos.yaml").write_text(yaml.safe_dump(spec | {"trials": trials}))


def environment(home):
    clean = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "RAY_"))}
    places = {"HOME": home / "home", "DATA_DIR": home / "data", "CACHE_DIR": home / "cache"}
    return clean | {PREFIX + name: str(folder) for name, folder in places.items()} | {"COLUMNS": "200"}


def tailorbird(home, *words):
    command = [sys.executable, "-m", "tailorbird", *words]
    result = subprocess.run(command, cwd=home, env=environment(home), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def kept(home):
    return {path.name: path.stat().st_mtime_ns for path in (home / "cache" / "features").glob("*.npy")}


@pytest.mark.long
def test_heads_are_swept_twice_on_features_that_are_computed_once_and_served_with_no_network(home):
    write_spec(home, "photos.yaml", "head", epochs=3, trials=6)
    record = json.loads(tailorbird(home, "sweep", "photos.yaml", "--json"))
    computed = kept(home)
    assert len(computed) == 1
    tailorbird(home, "sweep", "photos.yaml", "--set", "seed=1", "--json")
    assert kept(home) == computed
    assert record["evidence"]["parity"]["agreement"] == 1
    assert "photos:1 is reproduced" in tailorbird(home, "registry", "reproduce", "photos:1")
    shutil.rmtree(home / "cache")
    card = tailorbird(home, "registry", "card", "photos:1")
    assert "ImageNet-1k" in card and "https://download.pytorch.org/models/mobilenet_v3_small-" in card
    for picture in ("features", "layers", "graph"):
        tailorbird(home, "figure", picture, "photos:1", "--out", f"{picture}.png")
        assert (home / f"{picture}.png").stat().st_size > 10_000
    assert tailorbird(home, "registry", "verify", "photos:1")
    answer = json.loads(served_offline(home))
    assert answer["predictions"][0]["label"] in photos.COLOURS
    assert not (home / "cache" / "weights").exists()


@pytest.mark.long
@pytest.mark.parametrize("tune", ["last", "all"])
def test_a_tuned_backbone_is_served_with_no_network(home, tune):
    write_spec(home, "photos-tuned.yaml", tune, epochs=2, trials=1)
    record = json.loads(tailorbird(home, "sweep", "photos.yaml", "--json"))
    assert record["registered"] == "photos:1" and record["evidence"]["parity"]["agreement"] == 1
    shutil.rmtree(home / "cache")
    assert tailorbird(home, "registry", "verify", "photos:1")
    assert json.loads(served_offline(home))["predictions"][0]["label"] in photos.COLOURS
    assert not (home / "cache" / "weights").exists()


def served_offline(home):
    if not shutil.which("unshare") or subprocess.run([*OFFLINE, "true"], capture_output=True).returncode:
        pytest.skip("needs unshare(1), and the right to make a network of its own")
    shutil.copy(home / "data" / "photos" / "red" / "0.png", home / "asked.png")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [*OFFLINE, "sh", "-c", ASK.format(port=port), sys.executable]
    result = subprocess.run(command, cwd=home, env=environment(home), capture_output=True, text=True, timeout=120)
    assert result.stdout, result.stderr + (home / "serve.log").read_text()
    return result.stdout
