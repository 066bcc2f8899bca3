import json

import pytest

from serving.endpoint import Endpoint
from serving.metrics import Metrics
from serving.problems import Problem
from tailorbird.settings import Settings


def opened(own: Settings) -> Endpoint:
    endpoint = Endpoint(own, Metrics())
    endpoint.open()
    return endpoint


def problem(endpoint) -> str:
    with pytest.raises(Problem) as caught:
        endpoint.served  # noqa: B018
    assert caught.value.status == 503
    return caught.value.detail


def test_serves_the_model_of_the_settings(settings):
    endpoint = opened(Settings(_env_file=None, home=settings.home, model="demo:2"))
    assert str(endpoint.served.model.version) == "demo:2"
    assert 'tailorbird_model_info{alias="",model="demo",version="2"} 1.0' in endpoint.metrics.render().decode()
    endpoint.close()
    assert problem(endpoint)


def test_before_it_is_opened(settings):
    assert "is being loaded" in problem(Endpoint(settings, Metrics()))


@pytest.mark.parametrize(("model", "told"), [("nobody", "there is no model 'nobody'"), ("A B", "is not a name")])
def test_says_why_there_is_none(settings, model, told, caplog):
    endpoint = opened(Settings(_env_file=None, home=settings.home, model=model))
    assert told in problem(endpoint)
    assert told in caplog.text
    assert "Traceback" not in caplog.text
    endpoint.close()


def test_a_defect_stays_in_the_log(register, toy, tmp_path, caplog):
    own = Settings(_env_file=None, home=tmp_path)
    files = toy.files()
    baseline = json.loads(files["baseline.json"])
    del baseline["bins"]
    register(own, "demo", files | {"baseline.json": json.dumps(baseline).encode()})
    assert problem(opened(own)).endswith("loading it failed; the log says how")
    assert "KeyError: 'bins'" in caplog.text
