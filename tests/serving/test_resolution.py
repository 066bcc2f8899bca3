import os

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from registry import packages, schema, versions
from registry.core import Registry
from registry.names import Reference
from serving import resolution
from tailorbird.errors import Corrupt
from tailorbird.package.lineage import Lineage
from tailorbird.settings import Settings
from tests.packages import EXPORT


def verified(registry, reference):
    return resolution.verified(registry, versions.resolve(registry, reference), registry.settings.cache)


def test_a_damaged_cache_is_fetched_again(settings, tmp_path):
    with Registry(Settings(_env_file=None, home=settings.home, cache_dir=tmp_path)) as registry:
        file = verified(registry, "demo") / "model.onnx"
        whole = file.read_bytes()
        file.write_bytes(b"damaged")
        assert (verified(registry, "demo") / "model.onnx").read_bytes() == whole


def test_a_damaged_package_is_never_served(toy, register, tmp_path):
    settings = Settings(_env_file=None, home=tmp_path)
    register(settings, "demo", toy.files())
    for blob in tmp_path.rglob("blobs/*/*"):
        if b"MatMul" in blob.read_bytes():
            blob.write_bytes(blob.read_bytes().replace(b"MatMul", b"MatMux"))
    with Registry(settings) as registry, pytest.raises(Corrupt, match=r"model\.onnx"):
        verified(registry, "demo")


def test_a_manifest_that_is_swapped_between_versions_is_never_served(toy, register, tmp_path):
    settings = Settings(_env_file=None, home=tmp_path)
    one, other = (register(settings, name, toy.files()) for name in ("demo", "other"))
    with Registry(settings) as own:
        with own.atomic() as connection:
            connection.exec_driver_sql("DROP TRIGGER keep_versions_update")
            for version, manifest in ((one, other.manifest), (other, one.manifest)):
                connection.execute(schema.versions.update().filter_by(model=version.model).values(manifest=manifest))
        for reference in ("demo:1", "other:1"):
            with pytest.raises(Corrupt, match=r"manifest.json: its model differs from that of the version's row"):
                verified(own, reference)


def key_pair(folder):
    key = Ed25519PrivateKey.generate()
    pem, bare = serialization.Encoding.PEM, serialization.NoEncryption()
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, bare))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def test_with_a_public_key_only_what_it_signed_is_served(toy, tmp_path):
    private, public = key_pair(tmp_path)
    for signing_key in (private, None):
        with Registry(Settings(_env_file=None, home=tmp_path, signing_key=signing_key)) as registry:
            versions.register(registry, "demo", toy.files(), EXPORT, Lineage(), "tester")
            assert verified(registry, f"demo:{1 if signing_key else 2}").is_dir()
    settings = Settings(_env_file=None, home=tmp_path, public_key=public)
    with Registry(settings) as registry:
        assert verified(registry, "demo:1").is_dir()
        with pytest.raises(Corrupt, match=r"^demo:2 is not signed"):
            verified(registry, "demo:2")
    key_pair(tmp_path)
    with (
        Registry(settings) as registry,
        pytest.raises(Corrupt, match=r"^demo:1 has a signature that .* does not verify"),
    ):
        verified(registry, "demo:1")


@pytest.mark.parametrize("reference", ["demo", "demo@second", "demo:1"])
def test_remembers_what_was_served_last(registry, tmp_path, reference):
    reference = Reference.parse(reference)
    assert resolution.recall(tmp_path, reference) is None
    for number in (1, 2):
        version = versions.resolve(registry, f"demo:{number}")
        resolution.remember(tmp_path, reference, version)
        assert resolution.recall(tmp_path, reference) == version
    assert resolution.recall(tmp_path, Reference.parse("other")) is None


def test_the_cache_keeps_what_is_served_and_what_was_last_under_any_name(toy, register, tmp_path):
    settings = Settings(_env_file=None, home=tmp_path)
    versions = [register(settings, "demo", toy.files(), alias=None) for _ in range(packages.SPARED + 3)]
    with Registry(settings) as registry:
        folders = [resolution.verified(registry, version, settings.cache) for version in versions]
    for used, folder in enumerate(folders):
        os.utime(folder, (used, used))
    resolution.remember(settings.cache, Reference.parse("another@alias"), versions[0])
    resolution.tidy(settings.cache, versions[1], None)
    assert [folder.exists() for folder in folders] == [True, True, False, *[True] * packages.SPARED]


@pytest.mark.parametrize("note", [b"", b"[]", b"{}", b'{"model": "demo", "aliases": []}', b"\xff"])
def test_a_damaged_note_is_none(tmp_path, note):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "demo@champion.json").write_bytes(note)
    assert resolution.recall(tmp_path, Reference.parse("demo")) is None
