"""Settings from the environment (prefix TAILORBIRD_) and a `.env` file; every path comes out absolute."""

import getpass
import os
import tempfile
from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tailorbird.errors import InvalidInput

PREFIX = "TAILORBIRD_"
SQLITE = "sqlite:///"
LEAST_CHARACTERS = {"receipt_key": 16, "api_token": 8}


class Settings(BaseSettings):
    """Where things are and how this installation is reached."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        allow_inf_nan=False,
        extra="ignore",
        frozen=True,
    )

    home: Path = Field(Path("~/.tailorbird"), description="folder of everything embedded")
    database_url: str = Field("", description="registry, ledger and feedback; default: tailorbird.db in HOME")
    storage_url: str = Field("", description="folder of packages and checkpoints; default: storage in HOME")
    data_dir: Path | None = Field(None, description="data sets; default: data in HOME")
    cache_dir: Path | None = Field(None, description="verified packages that serving fetched; default: cache in HOME")
    model: str = Field("demo", description="NAME[@ALIAS|:N] that a container serves")
    receipt_key: SecretStr | None = Field(None, description="key of the receipts; default: made in HOME")
    receipt_days: float = Field(30, gt=0, le=36_500, description="how long after its prediction a label is accepted")
    api_token: SecretStr | None = Field(None, description="bearer token that requests must carry")
    max_body_bytes: int = Field(16 * 2**20, ge=1024, description="largest request body that serving reads")
    max_pixels: int = Field(16_000_000, ge=1, description="largest image, width times height, that serving decodes")
    download_timeout: float = Field(5, gt=0, description="seconds to wait for a data set's server to answer")

    @field_validator("home", "data_dir", "cache_dir")
    @classmethod
    def _known_folder(cls, path: Path | None) -> Path | None:
        return None if path is None else _absolute(path)

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        path = url.removeprefix(SQLITE)
        if url and (path in (url, "", ":memory:")):
            raise ValueError(f"must be {SQLITE}PATH, the database this release keeps its registry in")
        return f"{SQLITE}{_absolute(Path(path))}" if url else url

    @field_validator("storage_url")
    @classmethod
    def _known_storage(cls, url: str) -> str:
        if "://" in url:
            raise ValueError("must be a folder, the store this release keeps its files in")
        return str(_absolute(Path(url))) if url else url

    @field_validator("receipt_key", "api_token")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        # not by `min_length`, whose message would hold the secret
        least = LEAST_CHARACTERS[str(info.field_name)]
        if secret is not None and len(secret.get_secret_value()) < least:
            raise ValueError(f"must have at least {least} characters")
        return secret

    @cached_property
    def database(self) -> Path:
        """The SQLite file."""
        return Path(self.database_url.removeprefix(SQLITE)) if self.database_url else self.home / "tailorbird.db"

    @cached_property
    def storage(self) -> Path:
        return Path(self.storage_url) if self.storage_url else self.home / "storage"

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
    existing = next(one for one in (path, *path.parents) if os.access(one, os.F_OK))
    return os.access(existing, os.W_OK | os.X_OK if existing.is_dir() else os.W_OK)


def load() -> Settings:
    """Read the settings; raises InvalidInput that names the variable."""
    try:
        return Settings()
    except ValidationError as error:
        invalid = InvalidInput.from_validation(error, Settings.model_fields, PREFIX)
        raise InvalidInput(invalid.field.upper(), invalid.problem) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(str(Path(".env").absolute()), f"cannot be read: {error}") from None


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"{path} begins with a home folder that is not known here; give it in full") from None


def who(given: str | None = None) -> str:
    """Who is doing this, for the records: the name that was given, else the user's."""
    try:
        return given or getpass.getuser()
    except (KeyError, OSError):  # a container's user has a number and no name
        return f"uid {os.getuid()}"
