"""Settings from the environment (prefix TAILORBIRD_) and a `.env` file; paths are made absolute."""

import getpass
import os
import re
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tailorbird.errors import InvalidInput

PREFIX = "TAILORBIRD_"
SQLITE = "sqlite:///"
POSTGRESQL = "postgresql+psycopg://"
S3 = "s3://"
LEAST_CHARACTERS = {"receipt_key": 16, "receipt_key_accepted": 16, "api_token": 8, "webhook_key": 16}


class Settings(BaseSettings):
    """The settings of an installation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        allow_inf_nan=False,
        extra="ignore",
        frozen=True,
    )

    home: Path = Field(Path("~/.tailorbird"), description="folder of all local files")
    database_url: str = Field(
        "",
        repr=False,  # it may hold a password
        description="registry, ledger and feedback; default: tailorbird.db in HOME",
    )
    storage_url: str = Field("", description="packages and checkpoints; default: storage in HOME")
    data_dir: Path | None = Field(None, description="data sets; default: data in HOME")
    cache_dir: Path | None = Field(None, description="verified packages that serving fetched; default: cache in HOME")
    model: str = Field("demo", description="model that a container serves: NAME[@ALIAS|:N]")
    receipt_key: SecretStr | None = Field(None, description="key of the receipts; default: made in HOME")
    receipt_key_accepted: SecretStr | None = Field(
        None, description="another key whose receipts are accepted, while keys are changed"
    )
    receipt_days: float = Field(30, gt=0, le=36_500, description="how long after its prediction a label is accepted")
    api_token: SecretStr | None = Field(None, description="bearer token that requests must carry")
    max_body_bytes: int = Field(16 * 2**20, ge=1024, description="largest request body that serving reads")
    max_pixels: int = Field(16_000_000, ge=1, description="largest image, width times height, that serving decodes")
    max_rows: int = Field(10_000, ge=1, description="most images or rows that serving takes in one request")
    max_queue: int = Field(64, ge=1, description="most requests that wait in one worker; others are answered 503")
    keep_inputs: int = Field(0, ge=0, description="most examples of a model that serving keeps; 0 keeps none")
    keep_days: float = Field(30, gt=0, le=36_500, description="how long serving keeps an example")
    receive_seconds: float = Field(30, gt=0, le=3_600, description="how long a request may take to arrive")
    request_seconds: float = Field(30, gt=0, le=3_600, description="how long answering a request may take")
    keep_alive_seconds: float = Field(75, gt=0, le=86_400, description="how long serving keeps an idle connection")
    drain_seconds: float = Field(
        5, ge=0, le=3_600, description="how long serving still takes connections after SIGTERM, while /readyz is 503"
    )
    watch: float = Field(5, ge=0, le=86_400, description="seconds between checks of the served alias; 0 disables them")
    download_timeout: float = Field(5, gt=0, description="seconds to wait for a data set's server to answer")
    gates: Path | None = Field(None, description="YAML file of the gates' limits by alias")
    watch_policy: Path | None = Field(None, description="policy of `tailorbird watch` (YAML)")
    prometheus_url: str = Field(
        "", description="the Prometheus that watch reads counters from, or an endpoint's address that ends in /metrics"
    )
    webhooks: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        repr=False,  # paths of webhooks are often secret
        description="URLs notified of alias moves, separated by spaces or commas",
    )
    webhook_key: SecretStr | None = Field(None, description="key that signs webhook requests")
    webhook_private: bool = Field(False, description="whether webhooks may lead to addresses that are not public")
    lease_seconds: float = Field(
        60, ge=2, le=3600, description="seconds until a sweep without a running process can be taken over"
    )
    signing_key: Path | None = Field(None, description="PEM file of the Ed25519 key that signs new versions")
    public_key: Path | None = Field(None, description="PEM file of the Ed25519 key that served versions must verify by")

    @field_validator("home", "data_dir", "cache_dir", "gates", "watch_policy", "signing_key", "public_key")
    @classmethod
    def _known_path(cls, path: Path | None) -> Path | None:
        return None if path is None else _absolute(path)

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        scheme, _, rest = url.partition("://")
        if scheme in ("postgresql", "postgres", "postgresql+psycopg") and rest:
            return POSTGRESQL + rest
        path = url.removeprefix(SQLITE)
        if url and path in (url, "", ":memory:"):
            # without the URL, which may contain a password
            raise ValueError(f"must be {SQLITE}PATH or {POSTGRESQL}USER@HOST/NAME")
        return f"{SQLITE}{_absolute(Path(path))}" if url else url

    @field_validator("storage_url")
    @classmethod
    def _known_storage(cls, url: str) -> str:
        if url.startswith(S3):
            bucket, _, prefix = url.removeprefix(S3).partition("/")
            if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
                # without the URL itself: it may hold a key
                raise ValueError(f"must be a folder or {S3}BUCKET/PREFIX, with credentials in the usual AWS variables")
            return f"{S3}{bucket}/{prefix.strip('/')}".rstrip("/")
        if "://" in url:
            raise ValueError(f"must be a folder or {S3}BUCKET/PREFIX")
        return str(_absolute(Path(url))) if url else url

    @field_validator("webhooks", mode="before")
    @classmethod
    def _separate_urls(cls, urls: object) -> object:
        return re.findall(r"[^\s,]+", urls) if isinstance(urls, str) else urls

    @field_validator("webhooks")
    @classmethod
    def _known_webhooks(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for index, url in enumerate(urls, 1):
            if problem := _webhook_problem(url):
                raise ValueError(f"URL {index} {problem}")  # without the URL itself: it may hold a secret
        return tuple(dict.fromkeys(urls))

    @field_validator("webhook_key")
    @classmethod
    def _signed_webhooks(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key is None and info.data.get("webhooks"):
            raise ValueError("is required to sign webhook requests; `openssl rand -hex 32` makes one")
        return key

    @field_validator("receipt_key", "receipt_key_accepted", "api_token", "webhook_key")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        # not by `min_length`, whose message would hold the secret
        least = LEAST_CHARACTERS[str(info.field_name)]
        if secret is not None and len(secret.get_secret_value()) < least:
            raise ValueError(f"must have at least {least} characters")
        return secret

    @cached_property
    def database(self) -> str:
        """The URL of the database, `sqlite:///PATH` or `postgresql+psycopg://…`; it may hold a password."""
        return self.database_url or f"{SQLITE}{self.home / 'tailorbird.db'}"

    @cached_property
    def storage(self) -> str:
        """The folder of packages and checkpoints, or `s3://BUCKET/PREFIX`."""
        return self.storage_url or str(self.home / "storage")

    @cached_property
    def data(self) -> Path:
        return self.data_dir or self.home / "data"

    @cached_property
    def cache(self) -> Path:
        """The folder of fetched packages; a temporary one where HOME is read-only."""
        if self.cache_dir is not None:
            return self.cache_dir
        if writable(self.home):
            return self.home / "cache"
        return Path(tempfile.gettempdir()) / f"tailorbird-cache-{os.getuid()}"


def writable(path: Path) -> bool:
    """Whether a file or folder can be written; one that does not exist yet, whether it can be made."""
    existing = next(ancestor for ancestor in (path, *path.parents) if os.access(ancestor, os.F_OK))
    return os.access(existing, os.W_OK | os.X_OK if existing.is_dir() else os.W_OK)


def load() -> Settings:
    """Read the settings; raises InvalidInput that names the variable."""
    try:
        return Settings()
    except ValidationError as error:
        invalid = InvalidInput.from_validation(error, Settings.model_fields, Settings, PREFIX)
        raise InvalidInput(invalid.field.upper(), invalid.problem) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(str(Path(".env").absolute()), f"cannot be read: {error}") from None


def _webhook_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL: its host or port is wrong"
    if parts.scheme not in ("http", "https"):
        return "must begin with https:// or http://"
    if "@" in parts.netloc:
        return "must not hold a user or password: webhooks are signed with TAILORBIRD_WEBHOOK_KEY instead"
    if not host or port == 0:
        return "must name a host, and a port from 1 to 65535 if any"
    if not (url.isascii() and url.isprintable()):
        return "must be ASCII; accepted: a host in its xn-- form, a path with %XX"
    return None


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"{path} starts with an unknown home folder; give the full path") from None


def who(name: str | None = None) -> str:
    """The name to record for an action: the given one, else the user's."""
    try:
        return getpass.getuser() if name is None else name
    except (KeyError, OSError):  # a container's user has a number and no name
        return f"uid {os.getuid()}"
