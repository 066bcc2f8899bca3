import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from registry import schema, versions
from registry.core import Registry
from registry.names import Reference
from serving import model
from tailorbird.errors import Corrupt, InvalidInput, NotFound
from tailorbird.settings import Settings


def load(registry, settings, reference):
    return model.load(registry, Reference.parse(reference), settings.cache)


@pytest.mark.parametrize(
    ("reference", "number", "alias"), [("demo", 1, "champion"), ("demo@champion", 1, "champion"), ("demo:2", 2, "")]
)
def test_what_is_asked_for(registry, settings, reference, number, alias):
    found = load(registry, settings, reference)
    assert (found.version.number, found.alias) == (number, alias)
    assert found.baseline["accuracy"] == 0.875
    assert len(found.signature.classes) == 10


@pytest.mark.parametrize("reference", ["nobody", "demo@nobody", "demo:9"])
def test_what_is_not_there(registry, settings, reference):
    with pytest.raises(NotFound):
        load(registry, settings, reference)


def test_a_damaged_cache_is_fetched_again(registry, settings, tmp_path):
    settings = Settings(_env_file=None, home=settings.home, cache_dir=tmp_path)
    load(registry, settings, "demo")
    (file,) = tmp_path.rglob("model.onnx")
    file.write_bytes(b"damaged")
    assert load(registry, settings, "demo").session.seconds > 0


def test_a_damaged_package_is_never_served(toy, register, tmp_path):
    settings = Settings(_env_file=None, home=tmp_path)
    register(settings, "demo", toy.files())
    for blob in tmp_path.rglob("blobs/*/*"):
        if b"MatMul" in blob.read_bytes():
            blob.write_bytes(blob.read_bytes().replace(b"MatMul", b"MatMux"))
    with Registry(settings) as registry, pytest.raises(Corrupt, match=r"model\.onnx"):
        load(registry, settings, "demo")


def test_a_manifest_that_is_swapped_between_versions_is_never_served(toy, register, tmp_path):
    settings = Settings(_env_file=None, home=tmp_path)
    one, other = (register(settings, name, toy.files()) for name in ("demo", "other"))
    with Registry(settings) as own:
        with own.atomic() as connection:
            connection.exec_driver_sql("DROP TRIGGER keep_versions_update")
            for version, manifest in ((one, other.manifest), (other, one.manifest)):
                connection.execute(schema.versions.update().filter_by(model=version.model).values(manifest=manifest))
        for reference in ("demo:1", "other:1"):
            with pytest.raises(Corrupt, match=r"manifest.json: its model is not that of the version's row"):
                load(own, settings, reference)


def test_a_table_is_not_served(toy, register, tmp_path):
    settings = Settings(_env_file=None, home=tmp_path)
    files = toy.files()
    register(settings, "demo", files | {"signature.json": files["signature.json"].replace(b"image", b"table")})
    with Registry(settings) as registry, pytest.raises(InvalidInput, match="takes table"):
        load(registry, settings, "demo")


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
            parity = {"agreement": 1.0, "max_difference": 1e-7, "samples": 800}
            versions.register(registry, "demo", toy.files(), {"parity": parity}, {}, "tester")
            assert load(registry, registry.settings, f"demo:{1 if signing_key else 2}").version.model == "demo"
    settings = Settings(_env_file=None, home=tmp_path, public_key=public)
    with Registry(settings) as registry:
        assert load(registry, settings, "demo:1").version.signature
        with pytest.raises(Corrupt, match=r"^demo:2 is not signed"):
            load(registry, settings, "demo:2")
    key_pair(tmp_path)
    with (
        Registry(settings) as registry,
        pytest.raises(Corrupt, match=r"^demo:1 has a signature that .* does not verify"),
    ):
        load(registry, settings, "demo:1")
