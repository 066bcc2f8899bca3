"""A real PostgreSQL for the tests: a server of their own in a temporary folder, and a database for each test."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg

from registry.databases.opening import connect
from tailorbird.settings import POSTGRESQL
from tests import memory
from tests.ports import free_port

TEMPLATE = "migrated"
GUARDED = "guarded"
"""A login that must give its PASSWORD; all others are let in without one."""
PASSWORD = "hunter2/ä@#"  # whose way into a URL is not the plain one


def binaries() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, which Debian keeps off the path; None where there is none."""
    initdb = shutil.which("initdb")
    folders = [Path(initdb).resolve().parent] if initdb else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


class Server:
    """A cluster on a free port of this machine. Unless asked to, it is not flushed to disk: no test cuts the power."""

    def __init__(self, folder: Path, programs: Path, *, flushed: bool) -> None:
        self.programs = programs
        self.flushed = flushed
        self.data = folder / "data"
        self.log = folder / "log"
        self.port = free_port()
        self._run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--no-sync")
        access = self.data / "pg_hba.conf"
        access.write_text(f"host all {GUARDED} all scram-sha-256\n" + access.read_text())
        self.start()
        self.execute(f"CREATE DATABASE {TEMPLATE}")
        with closing(connect(self.url(TEMPLATE))) as database:
            database.migrate()

    def url(self, database: str, user: str = "postgres") -> str:
        return f"{POSTGRESQL}{user}@127.0.0.1:{self.port}/{database}"

    def database(self, template: str = TEMPLATE) -> str:
        """The URL of a new database with the tables of this release, all empty."""
        name = f"test_{secrets.token_hex(6)}"
        # copied as files, not page by page through the log: half the work
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.url(name)

    def empty(self) -> str:
        """The URL of a new database without tables."""
        return self.database("template0")

    def login(self, *attributes: str) -> str:
        """The name of a new login with these attributes, such as CREATEROLE or IN ROLE tailorbird_serving."""
        name = f"login_{secrets.token_hex(6)}"
        self.execute(f"CREATE ROLE {name} LOGIN {' '.join(attributes)}")
        return name

    def execute(self, statement: str, database: str = "postgres") -> None:
        with closing(psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", dbname=database)) as connection:
            connection.autocommit = True
            connection.execute(statement)

    def start(self) -> None:
        flush = "on" if self.flushed else "off"
        settings = f"-c fsync={flush} -c autovacuum=off -c max_connections=300 -c shared_buffers=32MB"
        settings += f" -p {self.port} -k ''"
        self._run("pg_ctl", "--wait", f"--log={self.log}", "--options", settings, "start")

    def stop(self) -> None:
        """At once, as in a crash."""
        self._run("pg_ctl", "--wait", "--mode=immediate", "stop")

    def _run(self, program: str, *words: str) -> None:
        # the server refuses to run as root
        user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        done = subprocess.run(
            [self.programs / program, "--pgdata", self.data, *words],
            cwd="/",
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            **user,
        )
        assert done.returncode == 0, done.stderr or self.log.read_text()


@contextmanager
def server(*, flushed: bool = False) -> Iterator[Server]:
    """Starts one, and removes all of it at the end."""
    programs = binaries()
    assert programs is not None
    with tempfile.TemporaryDirectory(prefix="pg-", dir=None if flushed else memory.folder()) as folder:
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        started = Server(Path(folder), programs, flushed=flushed)
        try:
            yield started
        finally:
            started.stop()
