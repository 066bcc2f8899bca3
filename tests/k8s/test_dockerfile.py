"""The check of the Dockerfile finds what is spoiled."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.k8s.manifests import ROOT

HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("DL3002", "USER root"),
        ("DL3007", "FROM debian:latest"),
        ("DL3003", "RUN cd /tmp && true"),
        ("DL3020", "ADD a b"),
    ],
)
def test_spoiled_dockerfile_is_found(rule, line):
    if not HADOLINT.exists():
        pytest.skip("hadolint is not installed")
    spoiled = f"{(ROOT / 'Dockerfile').read_text()}{line}\n"
    ran = subprocess.run([HADOLINT, "-"], input=spoiled, capture_output=True, text=True)
    assert (ran.returncode, {rule} - set(ran.stdout.split())) == (1, set()), ran.stdout
