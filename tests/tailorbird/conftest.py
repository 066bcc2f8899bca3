"""What the tests of the front door share: commands as a user types them, in an empty home."""

import os
import subprocess
import sys

import pytest

from tailorbird.settings import PREFIX


@pytest.fixture
def tailorbird(tmp_path):
    """Runs `tailorbird …` in its own process and returns what came of it."""

    def run(*words, timeout=120, **environment):
        clean = {k: v for k, v in os.environ.items() if not k.startswith((PREFIX, "RAY_"))}
        clean |= {PREFIX + "HOME": str(tmp_path / "home"), "COLUMNS": "160", **environment}
        return subprocess.run(
            [sys.executable, "-m", "tailorbird", *map(str, words)],
            cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip

    return run
