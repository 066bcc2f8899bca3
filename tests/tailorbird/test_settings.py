import getpass
import os
import tempfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from tailorbird import settings
from tailorbird.errors import InvalidInput
from tailorbird.settings import Settings

KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for name in os.environ:
        if name.startswith(settings.PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def put(monkeypatch):
    return lambda **variables: [monkeypatch.setenv(settings.PREFIX + name, value) for name, value in variables.items()]


# --- paths


def test_by_default_everything_lies_in_the_users_home(tmp_path):
    loaded, home = settings.load(), tmp_path / "user" / ".tailorbird"
    assert loaded.home == home
    assert (loaded.database, loaded.storage) == (f"sqlite:///{home}/tailorbird.db", str(home / "storage"))
    assert (loaded.data, loaded.cache) == (home / "data", home / "cache")
    assert not home.exists()


def test_everything_follows_home(put, tmp_path):
    put(HOME="/srv/birds")
    loaded = settings.load()
    assert (loaded.database, loaded.storage) == ("sqlite:////srv/birds/tailorbird.db", "/srv/birds/storage")
    assert (loaded.data, loaded.cache) == (Path("/srv/birds/data"), Path("/srv/birds/cache"))


@pytest.mark.parametrize(
    ("given", "made"),
    [("rel", "rel"), (".", "."), ("./a/b", "a/b"), ("~/birds", "user/birds"), ("~", "user"), ("/abs", "/abs")],
)
def test_relative_paths_are_made_absolute_when_settings_are_read(put, tmp_path, monkeypatch, given, made):
    put(HOME=given, DATABASE_URL=f"sqlite:///{given}/x.db", STORAGE_URL=given, DATA_DIR=given, CACHE_DIR=given)
    put(SIGNING_KEY=given, PUBLIC_KEY=given)
    loaded = settings.load()
    monkeypatch.chdir("/")
    expected = tmp_path / made
    assert [loaded.home, loaded.data, loaded.cache, loaded.signing_key, loaded.public_key] == [expected] * 5
    assert (loaded.database, loaded.storage) == (f"sqlite:///{expected}/x.db", str(expected))


def test_a_database_and_a_store_apart_from_home(put):
    put(DATABASE_URL="sqlite:////var/lib/x.db", STORAGE_URL="/mnt/store")
    loaded = settings.load()
    assert (loaded.database, loaded.storage) == ("sqlite:////var/lib/x.db", "/mnt/store")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_database_that_several_machines_share(put, scheme):
    put(DATABASE_URL=f"{scheme}://ada:secret@db.example/birds?sslmode=require")
    assert settings.load().database == "postgresql+psycopg://ada:secret@db.example/birds?sslmode=require"


@pytest.mark.parametrize(
    ("given", "made"),
    [("s3://nest", "s3://nest"), ("s3://nest/", "s3://nest"), ("s3://nest/a/b/", "s3://nest/a/b")],
)
def test_a_store_that_several_machines_share(put, given, made):
    put(STORAGE_URL=given)
    assert settings.load().storage == made


def test_a_cache_where_home_is_read_only_is_temporary(put, monkeypatch):
    monkeypatch.setattr(settings, "writable", lambda _: False)
    assert settings.load().cache == Path(tempfile.gettempdir()) / f"tailorbird-cache-{os.getuid()}"
    put(CACHE_DIR="mine")
    assert settings.load().cache == Path("mine").absolute()


# --- where they come from


def test_the_environment_comes_before_the_env_file(put, tmp_path):
    (tmp_path / ".env").write_text("TAILORBIRD_MODEL=filed\nTAILORBIRD_MAX_PIXELS=7\nOTHER=x\nTAILORBIRD_NOTHING=x\n")
    put(MODEL="given", NOTHING="x", PORT="tcp://10.0.0.1:3000")
    loaded = settings.load()
    assert (loaded.model, loaded.max_pixels) == ("given", 7)


def test_an_empty_variable_is_an_unset_one(put):
    put(MODEL="", HOME="", MAX_PIXELS="", RECEIPT_KEY="")
    assert settings.load() == Settings(_env_file=None)


def test_an_env_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / ".env").write_bytes(b"TAILORBIRD_MODEL=caf\xe9\n")
    with pytest.raises(InvalidInput, match=r"/\.env: cannot be read: 'utf-8' codec"):
        settings.load()


def test_a_folder_that_is_called_env_is_none_of_ours(tmp_path):
    (tmp_path / ".env").mkdir()
    assert settings.load().model == "demo"


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        settings.load().model = "other"


# --- what is refused


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DATABASE_URL", "mysql://u:secret@h/db", "must be sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME"),
        ("DATABASE_URL", "postgresql://", "must be sqlite:///PATH or"),
        ("DATABASE_URL", "tailorbird.db", "must be sqlite:///PATH"),
        ("DATABASE_URL", "sqlite://", "must be sqlite:///PATH"),
        ("DATABASE_URL", "sqlite:///", "must be sqlite:///PATH"),
        ("DATABASE_URL", "sqlite:///:memory:", "must be sqlite:///PATH"),
        ("STORAGE_URL", "gs://bucket/prefix", "must be a folder or s3://BUCKET/PREFIX"),
        ("STORAGE_URL", "s3:///prefix", "must be a folder or s3://BUCKET/PREFIX"),
        ("STORAGE_URL", "s3://key:secret@bucket/x", "must be a folder or s3://BUCKET/PREFIX, with credentials in"),
        ("STORAGE_URL", "s3://Bucket_1", "must be a folder or s3://BUCKET/PREFIX"),
        ("HOME", "~nobody-here/x", "~nobody-here/x starts with an unknown home folder"),
        ("STORAGE_URL", "~nobody-here/x", "~nobody-here/x starts with an unknown home folder"),
        ("MAX_PIXELS", "many", "must be a valid integer, not 'many'"),
        ("MAX_PIXELS", "0", "must be greater than or equal to 1, not '0'"),
        ("MAX_BODY_BYTES", "1023", "must be greater than or equal to 1024, not '1023'"),
        ("RECEIPT_DAYS", "0", "must be greater than 0, not '0'"),
        ("RECEIPT_DAYS", "nan", "must be a finite number, not 'nan'"),
        ("RECEIPT_DAYS", "inf", "must be a finite number, not 'inf'"),
        ("RECEIPT_DAYS", "1e9", "must be less than or equal to 36500, not '1e9'"),
        ("DOWNLOAD_TIMEOUT", "-1", "must be greater than 0, not '-1'"),
        ("RECEIPT_KEY", "hunter2", "must have at least 16 characters"),
        ("API_TOKEN", "hunter2", "must have at least 8 characters"),
        ("WEBHOOK_KEY", "hunter2", "must have at least 16 characters"),
        ("WEBHOOK_PRIVATE", "perhaps", "must be a valid boolean"),
        ("PUBLIC_KEY", "~nobody-here/x", "~nobody-here/x starts with an unknown home folder"),
    ],
)
def test_a_wrong_value_is_told_by_its_variable(put, name, value, problem):
    put(**{name: value})
    with pytest.raises(InvalidInput) as refused:
        settings.load()
    assert refused.value.field == f"TAILORBIRD_{name}" and refused.value.problem.startswith(problem)
    assert "hunter2" not in str(refused.value) and "secret" not in str(refused.value)


def test_secrets_are_shown_nowhere(put):
    put(RECEIPT_KEY="a key of 16 characters", API_TOKEN="a token of 8", WEBHOOK_KEY=KEY, WEBHOOKS="https://h/secret")
    put(DATABASE_URL="postgresql://ada:hunter2@db.example/birds")
    loaded = settings.load()
    assert loaded.receipt_key.get_secret_value() == "a key of 16 characters"
    for secret in ("a key", "a token", KEY, "https://h/secret", "hunter2"):
        assert secret not in repr(loaded) + str(loaded)


# --- webhooks


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("https://a.example/x?y=[1]", ["https://a.example/x?y=[1]"]),
        ("https://a.example,http://b.example:81", ["https://a.example", "http://b.example:81"]),
        (" https://a.example ,\n\thttp://[::1]/ , ", ["https://a.example", "http://[::1]/"]),
        ("https://a.example https://b.example https://a.example", ["https://a.example", "https://b.example"]),
        (" , ", []),
        ("", []),
    ],
)
def test_webhooks_are_urls_with_spaces_or_commas_between(put, given, made):
    put(WEBHOOKS=given, WEBHOOK_KEY=KEY)
    assert settings.load().webhooks == tuple(made)


def test_webhooks_from_an_env_file_and_from_code(tmp_path):
    (tmp_path / ".env").write_text(
        f"TAILORBIRD_WEBHOOKS=https://a.example,https://b.example\nTAILORBIRD_WEBHOOK_KEY={KEY}\n"
    )
    urls = ("https://a.example", "https://b.example")
    assert settings.load().webhooks == Settings(_env_file=None, webhooks=urls, webhook_key=KEY).webhooks == urls


def test_by_default_there_are_no_webhooks_and_they_may_not_lead_inside(put):
    assert (settings.load().webhooks, settings.load().webhook_key, settings.load().webhook_private) == ((), None, False)
    put(WEBHOOK_PRIVATE="true")
    assert settings.load().webhook_private is True


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("a.example/secret", "must begin with https:// or http://"),
        ("ftp://a.example/secret", "must begin with https:// or http://"),
        ("file:///secret", "must begin with https:// or http://"),
        ("https://ada:secret@a.example/", "must not hold a user or password"),
        ("https://secret@a.example/", "must not hold a user or password"),
        ("https://@a.example/secret", "must not hold a user or password"),
        ("https:///secret", "must name a host"),
        ("https://:81/secret", "must name a host"),
        ("https://a.example:0/secret", "must name a host, and a port from 1 to 65535"),
        ("https://a.example:99999/secret", "is not a URL"),
        ("https://a.example:secret/", "is not a URL"),
        ("https://[::1/secret", "is not a URL"),
        ("https://secret.exämple/", "must be ASCII"),
        ("https://a.example/secret\x01", "must be ASCII"),
    ],
)
def test_a_webhook_that_is_not_accepted_is_told_by_its_place(put, url, problem):
    put(WEBHOOKS=f"https://good.example/secret, {url}", WEBHOOK_KEY=KEY)
    with pytest.raises(InvalidInput) as refused:
        settings.load()
    assert refused.value.field == "TAILORBIRD_WEBHOOKS" and refused.value.problem.startswith(f"URL 2 {problem}")
    assert "secret" not in str(refused.value)


def test_webhooks_need_a_key(put):
    put(WEBHOOKS="https://a.example")
    with pytest.raises(InvalidInput, match=r"^TAILORBIRD_WEBHOOK_KEY: is required to sign webhook requests"):
        settings.load()


# --- who may write, and who it is


def test_what_is_there_and_what_could_be_made_is_writable(tmp_path):
    (tmp_path / "file").touch(mode=0o644)
    for path in (tmp_path, tmp_path / "file", tmp_path / "new", tmp_path / "deep" / "er" / "new"):
        assert settings.writable(path), path


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_permissions_decide_what_is_writable(tmp_path):
    tmp_path = Path(tmp_path)
    for parent in (tmp_path, *tmp_path.parents):
        if parent != Path("/tmp") and parent.is_relative_to("/tmp"):
            parent.chmod(0o755)
    closed, hidden, file = tmp_path / "closed", tmp_path / "hidden", tmp_path / "file"
    closed.mkdir(mode=0o755)
    hidden.mkdir(mode=0o700)
    file.touch(mode=0o644)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        wrong = [path for path in (closed, closed / "new", hidden / "in" / "it", file) if settings.writable(path)]
        os._exit(len(wrong))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_who_does_a_thing_is_the_user_unless_told(monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    assert settings.who() == "ada" and settings.who("grace") == "grace" and settings.who("") == ""


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_user_without_a_name_is_a_number(monkeypatch, error):
    def nobody():
        raise error

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert settings.who() == f"uid {os.getuid()}"
