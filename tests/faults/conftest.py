"""The registry's fixtures, for the tests that break what it stands on."""

import os
import subprocess

import pytest

from tests.registry.conftest import (  # noqa: F401
    embedded,
    make_settings,
    no_settings_from_outside,
    package_files,
    register,
    settings,
    shared_storage,
)


@pytest.fixture
def disk(tmp_path):
    """A file system of 4 MB; gives its folder."""
    if os.getuid() != 0:
        pytest.skip("needs root: mounts a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
