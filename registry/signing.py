"""Ed25519 signatures of manifests: access to database and store alone does not suffice to have a version served."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from tailorbird.errors import InvalidInput
from tailorbird.settings import PREFIX

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def sign(key_path: Path, manifest_digest: str, model: str) -> str:
    """The signature, in base64, of a model's manifest; raises InvalidInput if the key file cannot be used."""
    return base64.b64encode(private_key(key_path).sign(_message(manifest_digest, model))).decode()


def verifies(public_key_path: Path, signature: str, manifest_digest: str, model: str) -> bool:
    """Whether a signature of a model's manifest verifies with this public key."""
    from cryptography.exceptions import InvalidSignature

    key = public_key(public_key_path)
    try:
        key.verify(base64.b64decode(signature, validate=True), _message(manifest_digest, model))
    except (InvalidSignature, ValueError):
        return False
    return True


def private_key(path: Path) -> "Ed25519PrivateKey":
    """The key in a PEM file as `openssl genpkey -algorithm ed25519` writes it, without a passphrase."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    data = _read("SIGNING_KEY", path)
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except TypeError:
        raise _refused("SIGNING_KEY", path, "has a passphrase; accepted: a key without one") from None
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise _refused("SIGNING_KEY", path, "is not an Ed25519 private key in PEM")
    return key


def public_key(path: Path) -> "Ed25519PublicKey":
    """The key in a PEM file as `openssl pkey -pubout` writes it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    data = _read("PUBLIC_KEY", path)
    try:
        key = serialization.load_pem_public_key(data)
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise _refused("PUBLIC_KEY", path, "is not an Ed25519 public key in PEM")
    return key


def _message(manifest_digest: str, model: str) -> bytes:
    # the prefix separates these signatures from other uses of the same key
    return f"tailorbird manifest v1\0{model}\0{manifest_digest}".encode()


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _problem(setting, f"{path} cannot be read: {error.strerror}") from None


def _refused(setting: str, path: Path, problem: str) -> InvalidInput:
    makes = {
        "SIGNING_KEY": "openssl genpkey -algorithm ed25519 -out PRIVATE.pem",
        "PUBLIC_KEY": "openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem",
    }
    return _problem(setting, f"{path} {problem}; `{makes[setting]}` makes one")


def _problem(setting: str, problem: str) -> InvalidInput:
    return InvalidInput(PREFIX + setting, problem)
