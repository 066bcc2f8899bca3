"""Weights of backbones: from a server of the test's own, from files, and refused where they are something else."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tailorbird import settings
from tailorbird.errors import InvalidInput, Unavailable
from training import backbones
from training.config import PretrainedConfig
from training.models import pretrained
from training.vision import torchvision

CONFIG = PretrainedConfig(family="pretrained", backbone="mobilenet_v3_small")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Random weights as torchvision publishes its own: a .pth with the head, and its bytes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("published") / "net.pth"
    torch.save(torchvision("models").get_model(CONFIG.backbone, weights=None).state_dict(), path)
    return path.read_bytes()


class Weights(BaseHTTPRequestHandler):
    body: bytes = b""
    announced: int | None = None
    asked: list

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(self.announced or len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(published, monkeypatch, tmp_path):
    """A server that sends the weights, in the place of torchvision's; its class holds the body and what was asked."""
    handler = type("Handler", (Weights,), {"body": published, "asked": []})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    digest = hashlib.sha256(published).hexdigest()[:8]
    url = f"http://127.0.0.1:{listening.server_address[1]}/net-{digest}.pth"
    chosen = type("Chosen", (), {"url": url})
    models = type("Models", (), {"get_model_weights": staticmethod(lambda _: type("All", (), {"DEFAULT": chosen}))})
    monkeypatch.setattr(backbones, "torchvision", lambda _: models)
    monkeypatch.setenv("TAILORBIRD_HOME", str(tmp_path))
    handler.url = url
    yield handler
    listening.shutdown()
    listening.server_close()


def body():
    return pretrained.backbone_of(CONFIG).body


def kept(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache" / "weights").glob("*") if path.suffix != ".sha256")


def test_weights_are_fetched_once_and_kept_without_code(server, published, tmp_path):
    first, second = body(), body()
    provenance = backbones.load(first, CONFIG, settings.load())
    backbones.load(second, CONFIG, settings.load())
    assert len(server.asked) == 1
    (name,) = kept(tmp_path)
    assert name.endswith(".safetensors")
    assert (provenance.backbone, provenance.source) == (CONFIG.backbone, server.url)
    whole = safetensors.torch.load_file(tmp_path / "cache" / "weights" / name)
    assert all(torch.equal(value, whole[key]) for key, value in first.state_dict().items())
    assert all(torch.equal(value, whole[key]) for key, value in second.state_dict().items())


@pytest.mark.parametrize("cut", [lambda data: data[:-1000], lambda data: b"<html>", lambda data: data[::-1]])
def test_what_is_cut_or_another_file_is_refused_and_not_kept(cut, server, published, tmp_path):
    server.body = cut(published)
    with pytest.raises(Unavailable, match=f"{server.url} cannot be downloaded: its SHA-256 sum does not begin with"):
        backbones.load(body(), CONFIG, settings.load())
    assert kept(tmp_path) == []


def test_a_connection_that_breaks_off_leaves_nothing_and_the_next_try_is_whole(server, published, tmp_path):
    server.body, server.announced = published[:-1000], len(published)
    with pytest.raises(Unavailable, match="cannot be downloaded: "):
        backbones.load(body(), CONFIG, settings.load())
    assert kept(tmp_path) == []
    server.body = published
    backbones.load(body(), CONFIG, settings.load())
    assert len(kept(tmp_path)) == 1


def test_weights_that_were_changed_where_they_are_kept_are_fetched_anew(server, tmp_path):
    backbones.load(body(), CONFIG, settings.load())
    (name,) = kept(tmp_path)
    path = tmp_path / "cache" / "weights" / name
    whole = path.read_bytes()
    weights = safetensors.torch.load(whole)
    path.write_bytes(safetensors.torch.save({key: value * 0 for key, value in weights.items()}))
    backbones.load(body(), CONFIG, settings.load())
    assert (path.read_bytes(), len(server.asked)) == (whole, 2)


def test_another_file_that_was_put_there_by_hand_is_refused(server, tmp_path):
    place = tmp_path / "cache" / "weights" / Path(server.url).name
    place.parent.mkdir(parents=True)
    place.write_bytes(b"another")
    with pytest.raises(Unavailable, match=f"{place} is not {server.url}: its SHA-256 sum does not begin with"):
        backbones.load(body(), CONFIG, settings.load())
    assert (place.read_bytes(), server.asked) == (b"another", [])


def test_where_nothing_can_be_fetched_the_file_and_its_place_are_named(server, published, tmp_path, monkeypatch):
    unreachable = server.url.replace(server.url.split(":")[2].split("/")[0], "1")
    chosen = type("Chosen", (), {"url": unreachable})
    models = type("Models", (), {"get_model_weights": staticmethod(lambda _: type("All", (), {"DEFAULT": chosen}))})
    monkeypatch.setattr(backbones, "torchvision", lambda _: models)
    place = tmp_path / "cache" / "weights" / Path(unreachable).name
    with pytest.raises(Unavailable, match=f"{unreachable} cannot be downloaded: .*; put the file at {place}"):
        backbones.load(body(), CONFIG, settings.load())
    place.write_bytes(published)  # as the message says
    backbones.load(body(), CONFIG, settings.load())
    assert server.asked == []


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: path.write_bytes(b"none"), "cannot be read as weights"),
        (lambda path: torch.save({"features.0.0.weight": "text"}, path), "must hold tensors by name"),
        (lambda path: torch.save(torch.nn.Linear(2, 2), path), "cannot be read as weights"),  # which would run code
        (lambda path: torch.save({}, path), "does not fit .*: it has no 0.weight"),
        (
            lambda path: torch.save({"0.weight": torch.zeros(2, 2), "0.bias": torch.zeros(4)}, path),
            "it has a different shape for 0.weight",
        ),
    ],
)
def test_files_that_are_not_of_the_network_are_refused(write, reason, tmp_path, monkeypatch):
    monkeypatch.setenv("TAILORBIRD_HOME", str(tmp_path))
    path = tmp_path / "own.pth"
    write(path)
    own = PretrainedConfig(family="pretrained", backbone="nets:own", weights=str(path))
    with pytest.raises(InvalidInput, match=f"model.weights: .*{reason}"):
        backbones.load(torch.nn.Sequential(torch.nn.Linear(4, 4)), own, settings.load())


def test_what_is_known_of_weights_of_ones_own_is_told_with_them(tmp_path):
    path = tmp_path / "own.safetensors"
    path.write_bytes(b"weights")
    own = {"family": "pretrained", "backbone": "nets:own", "weights": str(path)}
    known = {"weights_source": "https://nets.org/own", "weights_licence": "MIT", "weights_images": "a million birds"}
    bare = {"backbone": "nets:own", "source": "own.safetensors", "sha256": hashlib.sha256(b"weights").hexdigest()}
    for keys, provenance in (
        ({}, {}),
        (known, {"source": "https://nets.org/own", "licence": "MIT", "images": "a million birds"}),
    ):
        config = PretrainedConfig.model_validate({**own, **keys})
        assert backbones.provenance(config, settings.load()).record() == {**bare, **provenance}
