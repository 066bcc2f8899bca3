"""What the pods do where something is missing or wrong: the manifests' own commands and variables, as processes.

Each ends with one sentence, which Kubernetes shows as its termination message, and starts no work before.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tailorbird.settings import Settings
from tests import s3 as s3_server
from tests.k8s.manifests import K8S, main_config, pods, ray, render
from tests.rights import WITHOUT_RIGHTS
from tests.serving.conftest import register, toy  # noqa: F401

BIN = Path(sys.executable).parent
CLUSTER = render("cluster")
KINDS = {
    "serving": "Deployment/tailorbird-serving",
    "watch": "Deployment/tailorbird-watch",
    "migrate": "Job/tailorbird-migrate-0-1-0",
    "sweep": "RayJob/tailorbird-sweep head",
}
DIGITS = ["--set=data.name=digits", "--set=data.validation=0.2", "--set=data.holdout=0.2"]
"""What lets a sweep find its data without a download."""
MESSAGE_BYTES = 2048
"""As much of the log's end as a termination message holds."""


@pytest.fixture(scope="module")
def good(postgres, s3, tmp_path_factory, register, toy):  # noqa: F811
    """Variables with which every kind works: its database is migrated, its bucket is there, a version is served."""
    folder = tmp_path_factory.mktemp("pod")
    variables = s3_server.environment(s3) | {
        "TAILORBIRD_DATABASE_URL": postgres.database(),
        "TAILORBIRD_STORAGE_URL": s3_server.make_bucket(s3, "pods"),
        "TAILORBIRD_RECEIPT_KEY": "0123456789abcdef",
        "TAILORBIRD_HOME": str(folder),
        "TAILORBIRD_CACHE_DIR": str(folder / "cache"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for key, value in variables.items():
            patch.setenv(key, value)
        register(Settings(_env_file=None), main_config(CLUSTER)["data"]["TAILORBIRD_MODEL"], toy.files())
    return variables


def run(kind, variables, before=()):
    """The pod's container with the variables of its manifest, but for those given."""
    (pod,) = (pod for pod in pods(CLUSTER) if pod.owner == KINDS[kind])
    container = pod.spec["containers"][0]
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": "/tmp"}
    if any("configMapRef" in source for source in container["envFrom"]):
        environment |= main_config(CLUSTER)["data"]
    environment |= {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
    environment |= {"HOST": "127.0.0.1"} | variables
    words = container.get("command", ["tailorbird", "serve"]) + container.get("args", [])  # else the image's own
    if kind == "sweep":
        words = shlex.split(ray(CLUSTER)["entrypoint"].replace("SWEEP_ID", "first")) + DIGITS
    words = [word.replace("$(TAILORBIRD_MODEL)", environment.get("TAILORBIRD_MODEL", "")) for word in words]
    words = [str(K8S / "base" / Path(word).name) if word.startswith("/etc/tailorbird/") else word for word in words]
    return subprocess.run([*before, *words], env=environment, cwd="/", capture_output=True, text=True)


def check_refused(ran, status, sentence):
    printed = ran.stdout.removeprefix("sweep first: starting Ray\n")
    assert (ran.returncode, printed) == (status, "")
    assert sentence in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert len(ran.stderr.encode()) <= MESSAGE_BYTES


WRONG = {
    "no receipt key": ({"TAILORBIRD_RECEIPT_KEY": ""}, "TAILORBIRD_RECEIPT_KEY: must be given", {"serving": 2}),
    "no URL of a database": (
        {"TAILORBIRD_DATABASE_URL": "mysql://ada:hunter22@db/birds"},
        "TAILORBIRD_DATABASE_URL: must be sqlite:///PATH or postgresql+psycopg://",
        {"watch": 2},
    ),
    "no database server": (
        {"TAILORBIRD_DATABASE_URL": "postgresql://ada:hunter22@127.0.0.1:1/birds"},
        "the database 127.0.0.1/birds cannot be used: connection to server",
        {"watch": 12, "migrate": 1},
    ),
    "no bucket": (
        {"TAILORBIRD_STORAGE_URL": "s3://nobodys-bucket/registry"},
        "there is no bucket 'nobodys-bucket'",
        {"sweep": 1},
    ),
}


@pytest.mark.parametrize(
    ("kind", "case"), [(kind, case) for case, (_, _, statuses) in WRONG.items() for kind in statuses]
)
def test_what_is_wrong_is_told_in_one_sentence(good, kind, case):
    changes, sentence, statuses = WRONG[case]
    ran = run(kind, good | changes)
    check_refused(ran, statuses[kind], sentence)
    assert "hunter22" not in ran.stderr


@pytest.mark.parametrize(("kind", "status"), [("serving", 1), ("watch", 12), ("migrate", 1)])
def test_database_that_refuses_the_login(good, kind, status):
    url = good["TAILORBIRD_DATABASE_URL"].replace("postgres@", "stranger:hunter22@")
    ran = run(kind, good | {"TAILORBIRD_DATABASE_URL": url})
    check_refused(ran, status, 'role "stranger" does not exist')
    assert "hunter22" not in ran.stderr


def test_migration_needs_nothing_but_the_database(postgres):
    ran = run("migrate", {"TAILORBIRD_DATABASE_URL": postgres.empty()})
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(("kind", "status"), [("serving", 1), ("watch", 12)])
def test_migration_that_has_not_run(good, postgres, kind, status):
    ran = run(kind, good | {"TAILORBIRD_DATABASE_URL": postgres.empty()})
    check_refused(ran, status, "is empty: run `tailorbird registry migrate`")


@pytest.mark.parametrize(("kind", "status"), [("serving", 1), ("migrate", 1)])
def test_schema_that_is_newer_than_the_code(good, postgres, kind, status):
    url = postgres.database()
    postgres.execute("UPDATE alembic_version SET version_num = '9999'", url.rpartition("/")[2])
    ran = run(kind, good | {"TAILORBIRD_DATABASE_URL": url})
    check_refused(ran, status, "has schema 9999, newer than the 0001 of this release, which does not support it")


def test_registry_without_a_version(good, postgres):
    ran = run("serving", good | {"TAILORBIRD_DATABASE_URL": postgres.database()})
    check_refused(ran, 2, "there is no model 'fashion'; the registry is empty")


def test_cache_that_cannot_be_written(good, tmp_path):
    tmp_path.chmod(0o555)
    ran = run("serving", good | {"TAILORBIRD_CACHE_DIR": str(tmp_path / "cache")}, before=WITHOUT_RIGHTS)
    check_refused(ran, 1, f"{tmp_path}/cache")
