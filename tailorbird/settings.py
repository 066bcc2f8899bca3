"""Settings from the environment (prefix TAILORBIRD_) and a `.env` file; every path comes out absolute."""

import os
import tempfile
from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tailorbird.errors import InvalidInput

PREFIX = "TAILORBIRD_"


class Settings(BaseSettings):
    """Where things are and how this installation is reached."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    home: Path = Field(Path("~/.tailorbird"), description="folder of everything embedded")
    database_url: str = Field("", description="registry, ledger and feedback; default: tailorbird.db in HOME")
    storage_url: str = Field("", description="folder of packages and checkpoints; default: storage in HOME")
    data_dir: Path = Field(Path(), description="data sets; default: data in HOME")
    cache_dir: Path = Field(Path(), description="verified packages that serving fetched; default: cache in HOME")
    model: str = Field("demo", description="NAME[@ALIAS|:N] that a container serves")
    receipt_key: SecretStr | None = Field(None, min_length=16, description="key of the receipts; default: made in HOME")
    receipt_days: float = Field(30, gt=0, description="how long after its prediction a label is accepted")
    api_token: SecretStr | None = Field(None, min_length=8, description="bearer token that requests must carry")
    max_body_bytes: int = Field(16 * 2**20, ge=1024, description="largest request body that serving reads")
    max_pixels: int = Field(50_000_000, ge=1, description="largest image, width times height, that serving decodes")
    download_timeout: float = Field(5, gt=0, description="seconds to wait for a data set's server to answer")

    @field_validator("home", "data_dir", "cache_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute() if path != Path() else path

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if url and not url.startswith("sqlite:///"):
            raise ValueError("must be sqlite:///PATH, the database this release keeps its registry in")
        return url

    @field_validator("storage_url")
    @classmethod
    def _known_storage(cls, url: str) -> str:
        if "://" in url:
            raise ValueError("must be a folder, the store this release keeps its files in")
        return str(Path(url).expanduser().absolute()) if url else url

    @cached_property
    def database(self) -> Path:
        """The SQLite file."""
        if not self.database_url:
            return self.home / "tailorbird.db"
        return Path(self.database_url.removeprefix("sqlite:///")).expanduser().absolute()

    @cached_property
    def storage(self) -> Path:
        return Path(self.storage_url) if self.storage_url else self.home / "storage"

    @cached_property
    def data(self) -> Path:
        return self.data_dir if self.data_dir != Path() else self.home / "data"

    @cached_property
    def cache(self) -> Path:
        """The folder of fetched packages; a temporary one where HOME is read-only."""
        if self.cache_dir != Path():
            return self.cache_dir
        if writable(self.home):
            return self.home / "cache"
        return Path(tempfile.gettempdir()) / f"tailorbird-cache-{os.getuid()}"


def writable(folder: Path) -> bool:
    """Whether files can be made in `folder`, or in the nearest parent that exists."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def load() -> Settings:
    """Read the settings; raises InvalidInput that names the variable."""
    try:
        return Settings()
    except ValidationError as error:
        invalid = InvalidInput.from_validation(error, {})
        raise InvalidInput(PREFIX + invalid.field.upper(), invalid.problem) from None
