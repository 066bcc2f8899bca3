import base64
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import receipts as module
from serving.receipts import BadReceipt, Receipts, key, keys
from tailorbird.errors import InvalidInput
from tailorbird.settings import Settings

KEY = b"a key for tests"
NUMBERS = {"version": st.integers(1, 2**32 - 1), "index": st.integers(0, 2**16 - 1), "bin_": st.integers(0, 11)}


def make(key=KEY, model="demo", days=30.0):
    return Receipts([key], model, days)


@given(**NUMBERS)
def test_round_trip(version, index, bin_):
    (text,) = make().make(version, [index], [bin_])
    result = make().read(text)
    assert len(text) == 48
    assert (result.version, result.class_index, result.confidence_bin) == (version, index, bin_)


def test_every_receipt_has_an_id_of_its_own():
    receipts = make()
    assert len({receipts.read(text).id for text in receipts.make(1, [0] * 1000, [0] * 1000)}) == 1000


@given(bit=st.integers(0, 36 * 8 - 1))
def test_any_flipped_bit_is_rejected(bit):
    data = bytearray(base64.urlsafe_b64decode(make().make(3, [7], [11])[0]))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadReceipt) as caught:
        make().read(base64.urlsafe_b64encode(data).decode())
    assert caught.value.reason == ("key" if bit < 16 else "signature")


@given(st.text(max_size=60))
def test_other_texts_are_rejected(text):
    with pytest.raises(BadReceipt):
        make().read(text)


@pytest.mark.parametrize("spoil", ["{}\n", "{}=", " {}", "{:.47}", "{:.47}+", "{:.47}é"])
def test_one_spelling(spoil):
    with pytest.raises(BadReceipt) as caught:
        make().read(spoil.format(make().make(1, [2], [3])[0]))
    assert caught.value.reason == "malformed"


def test_another_key_and_another_model():
    (text,) = make().make(1, [2], [3])
    for other, reason in ((make(key=b"another key for tests"), "key"), (make(model="coin"), "signature")):
        with pytest.raises(BadReceipt) as caught:
            other.read(text)
        assert caught.value.reason == reason


def test_two_keys_at_a_time():
    """While keys are changed, replicas that sign with either accept both; afterwards the old one is worth nothing."""
    old, new = b"the old key of tests", b"the new key of tests"
    before, during, after = Receipts([old, new], "demo", 30), Receipts([new, old], "demo", 30), make(key=new)
    for receipts in (before, during):
        assert (
            before.read(receipts.make(1, [2], [3])[0]).version
            == during.read(receipts.make(1, [2], [3])[0]).version
            == 1
        )
    assert after.read(during.make(1, [2], [3])[0])
    with pytest.raises(BadReceipt) as caught:
        after.read(before.make(1, [2], [3])[0])
    assert caught.value.reason == "key"


def test_keys_of_the_settings(tmp_path):
    settings = Settings(
        _env_file=None, home=tmp_path, receipt_key="sixteen letters!", receipt_key_accepted="sixteen others!!"
    )
    assert keys(settings) == [b"sixteen letters!", b"sixteen others!!"]


def test_expires(monkeypatch):
    receipts = make(days=2)
    (text,) = receipts.make(1, [2], [3])
    made = receipts.read(text).time
    monkeypatch.setattr(module.time, "time", lambda: made + 2 * 86_400)
    assert receipts.read(text)
    monkeypatch.setattr(module.time, "time", lambda: made + 2 * 86_400 + 1)
    with pytest.raises(BadReceipt, match="older than 2 days") as caught:
        receipts.read(text)
    assert caught.value.reason == "expired"


def test_key_of_the_settings(tmp_path):
    assert key(Settings(_env_file=None, home=tmp_path, receipt_key="sixteen letters!")) == b"sixteen letters!"
    assert not any(tmp_path.iterdir())


def test_key_is_made_once_and_for_the_owner_alone(tmp_path):
    settings = Settings(_env_file=None, home=tmp_path / "new")
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: key(settings), range(32)))
    assert len(keys) == 1
    assert len(keys.pop()) == 32
    assert [path.name for path in settings.home.iterdir()] == ["receipt.key"]
    assert stat.S_IMODE((settings.home / "receipt.key").stat().st_mode) == 0o600


def test_key_must_be_given_where_home_is_read_only(tmp_path, monkeypatch):
    settings = Settings(_env_file=None, home=tmp_path)
    monkeypatch.setattr(module, "writable", lambda path: path != tmp_path)
    with pytest.raises(InvalidInput, match="token_urlsafe") as caught:
        key(settings)
    assert caught.value.field == "TAILORBIRD_RECEIPT_KEY"


def test_key_that_is_cut_or_no_file(tmp_path):
    settings = Settings(_env_file=None, home=tmp_path)
    (tmp_path / "receipt.key").write_bytes(b"half")
    with pytest.raises(InvalidInput, match="has 4 bytes instead of 32"):
        key(settings)
    (tmp_path / "receipt.key").unlink()
    (tmp_path / "receipt.key").mkdir()
    with pytest.raises(InvalidInput, match="cannot be used"):
        key(settings)
