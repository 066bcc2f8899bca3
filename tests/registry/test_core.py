from registry import aliases, versions
from registry.core import Registry


def test_two_handles_are_one_registry(settings, register):
    with Registry(settings) as one, Registry(settings) as other:
        version = register(one)
        aliases.promote(other, "fashion", 1, why="first", who="ada")
        assert versions.resolve(one, "fashion").manifest == version.manifest
        assert versions.verify(other, version) == []


def test_everything_lies_where_the_settings_say(settings, register):
    with Registry(settings) as registry:
        register(registry)
    assert sorted(path.name for path in settings.home.iterdir()) == ["storage", "tailorbird.db"]
    assert settings.database.is_file() and (settings.storage / "blobs").is_dir()
