"""The registry's fixtures, for the tests that break what it stands on."""

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
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small file system: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
