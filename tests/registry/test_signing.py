import base64
import shutil
import subprocess
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from registry import signing, verification
from registry.version import Version
from tailorbird.errors import Corrupt, InvalidInput
from tests.packages import ABOUT, COLUMNS

DIGEST = "a1" * 32
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo


def write_pair(folder, key, encryption=None):
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(PEM, PKCS8, encryption or serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(PEM, PUBLIC))
    return private, public


@pytest.fixture
def pair(tmp_path):
    return write_pair(tmp_path, Ed25519PrivateKey.generate())


@pytest.fixture
def other(tmp_path):
    (tmp_path / "other").mkdir()
    return write_pair(tmp_path / "other", Ed25519PrivateKey.generate())


def version(signature, model="fashion", manifest=DIGEST):
    return Version(model, 3, manifest, COLUMNS, "ada", ABOUT.created, signature)


def test_a_version_signed_with_the_key_is_let_through(pair):
    private, public = pair
    signature = signing.sign(private, DIGEST, "fashion")
    assert len(signature) <= 88 and len(base64.b64decode(signature, validate=True)) == 64
    verification.check_signature(public, version(signature))
    verification.check_signature(public, replace(version(signature), number=4, who="grace", aliases=("champion",)))


def test_what_is_signed_is_told_apart_from_anything_else(pair):
    private, public = pair
    key = serialization.load_pem_public_key(public.read_bytes())
    signature = base64.b64decode(signing.sign(private, DIGEST, "fashion"))
    key.verify(signature, b"tailorbird manifest v1\0fashion\0" + DIGEST.encode())


def test_an_unsigned_version_is_refused(pair):
    with pytest.raises(Corrupt, match=r"^fashion:3 is not signed, and .*public\.pem requires a signature"):
        verification.check_signature(pair[1], version(None))


def test_a_signature_by_another_key_is_refused(pair, other):
    with pytest.raises(
        Corrupt, match=r"^fashion:3 has a signature that .*public\.pem does not verify: it was made by another key"
    ):
        verification.check_signature(pair[1], version(signing.sign(other[0], DIGEST, "fashion")))


@pytest.mark.parametrize(
    "changed", [{"model": "letters"}, {"manifest": "a2" * 32}, {"model": "fashio", "manifest": "n" + DIGEST}]
)
def test_the_signature_of_another_manifest_or_model_is_refused(pair, changed):
    signature = signing.sign(pair[0], DIGEST, "fashion")
    with pytest.raises(Corrupt, match="for another manifest or model"):
        verification.check_signature(pair[1], version(signature, **changed))


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "????",
        "ä",
        "AAAA",
        lambda good: good[:-4],
        lambda good: good[4:] + good[:4],
        lambda good: "!" + good,
    ],
)
def test_a_damaged_signature_is_refused(pair, damage):
    signature = damage(signing.sign(pair[0], DIGEST, "fashion")) if callable(damage) else damage
    with pytest.raises(Corrupt, match="does not verify"):
        verification.check_signature(pair[1], version(signature))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_keys_made_as_the_documents_show(tmp_path):
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    for command in (
        f"openssl genpkey -algorithm ed25519 -out {private}",
        f"openssl pkey -in {private} -pubout -out {public}",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)
    verification.check_signature(public, version(signing.sign(private, DIGEST, "fashion")))


# --- keys that are not usable


def use(setting, path):
    if setting == "SIGNING_KEY":
        signing.sign(path, DIGEST, "fashion")
    else:
        verification.check_signature(path, version("AAAA"))


def refused(setting, path):
    with pytest.raises(InvalidInput) as caught:
        use(setting, path)
    assert caught.value.field == f"TAILORBIRD_{setting}"
    assert str(path) in caught.value.problem and "openssl" not in str(path)
    return caught.value.problem


@pytest.mark.parametrize("setting", ["SIGNING_KEY", "PUBLIC_KEY"])
def test_a_key_file_that_cannot_be_read_is_told(setting, tmp_path):
    assert refused(setting, tmp_path / "nothing.pem").endswith("cannot be read: No such file or directory")
    assert refused(setting, tmp_path).endswith("cannot be read: Is a directory")


@pytest.mark.parametrize("setting", ["SIGNING_KEY", "PUBLIC_KEY"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"-----BEGIN PRIVATE KEY-----\n", b"ssh-ed25519 AAAA"])
def test_a_file_that_is_no_key_is_told_with_what_makes_one(setting, content, tmp_path):
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    kind = "private key in PEM; `openssl genpkey" if setting == "SIGNING_KEY" else "public key in PEM; `openssl pkey"
    assert f"is not an Ed25519 {kind}" in refused(setting, path)


def test_each_half_of_a_pair_has_its_place(pair):
    private, public = pair
    assert "is not an Ed25519 private key" in refused("SIGNING_KEY", public)
    assert "is not an Ed25519 public key" in refused("PUBLIC_KEY", private)


def test_a_key_of_another_kind_is_told(tmp_path):
    private, public = write_pair(tmp_path, rsa.generate_private_key(65537, 2048))
    assert "is not an Ed25519 private key" in refused("SIGNING_KEY", private)
    assert "is not an Ed25519 public key" in refused("PUBLIC_KEY", public)


def test_a_key_with_a_passphrase_is_told(tmp_path):
    private, _ = write_pair(
        tmp_path, Ed25519PrivateKey.generate(), serialization.BestAvailableEncryption(b"secret words")
    )
    assert "has a passphrase" in refused("SIGNING_KEY", private)
