import json
from dataclasses import replace

import pytest

from registry import aliases, versions
from registry.core import Registry
from registry.requests import Promotion
from tailorbird.drill import endpoint
from tailorbird.errors import InvalidInput
from tailorbird.settings import Settings
from tests import packages
from tests.answering import answering


def test_a_drill_has_a_home_that_shares_nothing_with_the_environments(tmp_path, monkeypatch):
    with Registry(Settings(_env_file=None, home=tmp_path / "home")) as registry:
        for number in (1, 2):
            packages.register(registry)
            aliases.promote(registry, Promotion("pets", number, why="a test", who="ada", force=True))
    people = f"sqlite:///{tmp_path}/home/tailorbird.db"
    monkeypatch.setenv("TAILORBIRD_DATABASE_URL", people)
    monkeypatch.setenv("TAILORBIRD_WEBHOOKS", "https://example.com/people")
    monkeypatch.setenv("TAILORBIRD_WEBHOOK_KEY", "0123456789abcdef")
    here = Settings(_env_file=None, home=tmp_path / "home")
    assert here.database == people
    (tmp_path / "drill").mkdir()
    own = endpoint.copy(here, "pets", tmp_path / "drill")
    assert own.database == f"sqlite:///{tmp_path}/drill/tailorbird.db"
    assert own.webhooks == ()
    with Registry(own) as registry, Registry(here) as other:
        assert aliases.current(registry, "pets") == 2
        assert [version.number for version in versions.page(registry, "pets")] == [2, 1]
        assert len(versions.page(other, "pets")) == 2


def test_a_running_endpoint_serves_the_very_champion(tmp_path):
    with Registry(Settings(_env_file=None, home=tmp_path / "home")) as registry:
        champion = packages.register(registry)
    served = {"model": champion.model, "version": champion.number, "manifest": champion.manifest}
    with answering(json.dumps(served).encode) as address:
        asked = endpoint.Endpoint(f"http://{address}")
        asked.check(champion)
        with pytest.raises(InvalidInput, match="serves pets:1, and the champion is pets:2"):
            asked.check(replace(champion, number=2))
        with pytest.raises(InvalidInput, match="serves a different pets:1 than the registry"):
            asked.check(replace(champion, manifest="0" * 64))
