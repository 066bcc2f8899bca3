"""The weights of backbones: downloaded once, checked by the digest in their name, and kept as safetensors."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from tailorbird import files
from tailorbird.errors import InvalidInput, Unavailable
from tailorbird.package.lineage import Backbone
from tailorbird.settings import Settings
from training import download
from training.config import BACKBONES, PretrainedConfig
from training.vision import torchvision

LICENCE = "BSD-3-Clause, of torchvision; the terms of ImageNet's images are for non-commercial research"
IMAGES = "ImageNet-1k: 1.28 million photographs of 1,000 kinds of animals, plants and things"

SUM = ".sha256"
"""Suffix of the file with the digest of the weights, which is checked whenever they are used."""


def provenance(config: PretrainedConfig, settings: Settings) -> Backbone:
    """The provenance of the weights, which are downloaded if missing; raises Unavailable as `load` does."""
    return _located(config, settings)[1]


def load(body: nn.Module, config: PretrainedConfig, settings: Settings) -> Backbone:
    """Load a backbone's own weights into it.

    Raises Unavailable if they are missing and cannot be downloaded, and InvalidInput if a file is for another network.
    """
    path, origin = _located(config, settings)
    weights = read(path)
    wanted = body.state_dict()
    missing = [name for name in wanted if name not in weights]
    wrong = [name for name in wanted if name in weights and wanted[name].shape != weights[name].shape]
    if missing or wrong:
        what = f"has no {missing[0]}" if missing else f"has a different shape for {wrong[0]}"
        raise InvalidInput("model.weights", f"{path} does not fit {config.backbone}: it {what}")
    body.load_state_dict({name: weights[name] for name in wanted})  # those of the old head are left out
    return origin


def read(path: Path) -> Mapping[str, Tensor]:
    """Tensors by name from safetensors, or from a .pth that holds nothing else: no file can run code."""
    tensors: Mapping[str, Tensor]
    try:
        if path.suffix == ".safetensors":
            tensors = safetensors.torch.load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InvalidInput("model.weights", f"there is no file {path}") from None
    except Exception as error:  # of many kinds, as damaged files are
        raise InvalidInput("model.weights", f"{path} cannot be read as weights: {str(error).splitlines()[0]}") from None
    if not isinstance(tensors, Mapping) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise InvalidInput("model.weights", f"{path} must hold tensors by name, as of state_dict(), and nothing else")
    return tensors


def _located(config: PretrainedConfig, settings: Settings) -> tuple[Path, Backbone]:
    return _published(config.backbone, settings) if config.backbone in BACKBONES else _own(config)


def _published(name: str, settings: Settings) -> tuple[Path, Backbone]:
    weights = torchvision("models").get_model_weights(name).DEFAULT
    source = str(weights.url)
    stem = Path(source).stem
    digest = re.search(r"-([0-9a-f]{8,})$", stem)
    if digest is None:
        raise Unavailable(f"{source} has no digest in its name to verify it by")
    folder = settings.cache / "weights"
    path = folder / f"{stem}.safetensors"
    if not (sha256 := _kept(path)):
        with files.locked(folder):
            if not (sha256 := _kept(path)):
                sha256 = _convert(source, digest[1], folder / f"{stem}.pth", path, settings)
    return path, Backbone(backbone=name, source=source, sha256=sha256, licence=LICENCE, images=IMAGES)


def _kept(path: Path) -> str | None:
    """The digest recorded when the weights were converted; None if the file is incomplete."""
    try:
        sha256 = _sha256(path)
        return sha256 if path.with_suffix(SUM).read_text() == sha256 else None
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _convert(source: str, digest: str, downloaded: Path, path: Path, settings: Settings) -> str:
    def check(file: Path) -> None:
        if not _sha256(file).startswith(digest):
            raise OSError(f"its SHA-256 sum does not begin with {digest}: it is truncated or another file")

    if downloaded.exists():  # put there by hand
        try:
            check(downloaded)
        except OSError as error:
            raise Unavailable(f"{downloaded} is not {source}: {error}") from None
    else:
        download.fetch(source, downloaded, check, settings.download_timeout, "set its folder by TAILORBIRD_CACHE_DIR")
    weights = safetensors.torch.save(dict(read(downloaded)))
    sha256 = hashlib.sha256(weights).hexdigest()
    files.write_flushed(path, weights)
    files.write_flushed(path.with_suffix(SUM), sha256.encode())
    downloaded.unlink()
    return sha256


def _own(config: PretrainedConfig) -> tuple[Path, Backbone]:
    path = Path(config.weights or "").expanduser().absolute()
    if not path.is_file():
        raise InvalidInput("model.weights", f"there is no file {path}")
    known = {"licence": config.weights_licence, "images": config.weights_images}
    notes = {name: text for name, text in known.items() if text is not None}
    source = config.weights_source or path.name
    return path, Backbone(backbone=config.backbone, source=source, sha256=_sha256(path), **notes)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
