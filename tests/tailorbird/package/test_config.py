import pytest

from tailorbird.errors import Corrupt
from tailorbird.package import config


def test_a_config_comes_back_in_its_order():
    record = {"model": {"family": "mlp"}, "data": {"name": "digits"}, "epochs": 3}
    assert list(config.parse(config.encode(record)).items()) == list(record.items())


def test_a_mapping_is_read():
    assert config.parse(b"model: {family: mlp}\n1: x\n") == {"model": {"family": "mlp"}, "1": "x"}


@pytest.mark.parametrize("data", [b"just words", b"a: &a [*a]", b"a: &a {b: 1}\nc: *a", b"a: [1", b"\xff", b"", b"- 1"])
def test_what_is_no_mapping_or_has_aliases_is_told(data):
    with pytest.raises(Corrupt, match=r"^config\.yaml: is not a mapping in YAML without aliases$"):
        config.parse(data)


def test_nothing_in_it_runs(tmp_path):
    with pytest.raises(Corrupt):
        config.parse(f"a: !!python/object/apply:os.mkdir [{tmp_path}/ran]".encode())
    assert not (tmp_path / "ran").exists()
