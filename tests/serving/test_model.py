import json

import pytest

from serving import model
from tests.serving.conftest import CLASSES


def test_opens_what_lies_in_a_package(loaded):
    assert (loaded.version.number, loaded.alias) == (1, "champion")
    assert loaded.baseline.accuracy == 0.875
    assert len(loaded.signature.classes) == 10
    assert loaded.session.seconds > 0


@pytest.mark.parametrize("count", [10**400, 1e300, 1.5, "3", True, -1])
def test_an_estimator_that_cannot_be_read_is_none_and_is_told(loaded, tmp_path, caplog, count):
    answers = {name: {name: {"0.9": count}} for name in CLASSES}
    content = {"answers": answers, "weights": None, "error": None}
    (tmp_path / "estimator.json").write_text(json.dumps(content))
    assert model._estimator(loaded.version, loaded.signature, tmp_path) is None
    assert "its accuracy is not estimated: estimator.json: answers." in caplog.text


def test_a_package_without_an_estimator_is_told_once(loaded, tmp_path, caplog):
    assert model._estimator(loaded.version, loaded.signature, tmp_path) is None
    assert [record.getMessage() for record in caplog.records] == [
        f"{loaded.version} has no estimator.json: its accuracy is not estimated"
    ]
