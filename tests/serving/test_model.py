import pytest

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


def test_a_table_is_not_served(toy, register, tmp_path):
    settings = Settings(_env_file=None, home=tmp_path)
    files = toy.files()
    register(settings, "demo", files | {"signature.json": files["signature.json"].replace(b"image", b"table")})
    with Registry(settings) as registry, pytest.raises(InvalidInput, match="takes table"):
        load(registry, settings, "demo")
