"""The files that Ray Tune keeps of a sweep: whatever becomes of them, the sweep goes by its ledger."""

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.sweeps.conftest import HOME, ended, kill, wait_for

MARKER = ".validate_storage_marker"  # an empty file, which can only be deleted
LEFT = {"truncated": 100, "emptied": 0, "deleted": None}
"""The bytes that are left of a file; all but the marker have more."""
STATE = {"tuner.pkl", "experiment_state.json", "basic-variant-state.json"}
ERRORS = {"error.txt", "error.pkl"}
"""Of a worker that died."""


class Files:
    """All that Tune keeps of a sweep: in the driver's temporary folder, and first in the folder of its cluster."""

    def __init__(self, scratch, name, left):
        self.scratch, self.name, self.left = scratch, name, left
        self.damaged = set()

    def paths(self):
        """Without those that Tune is still writing, under hidden names."""
        kept = self.scratch.glob(f"tailorbird-*/tune/{self.name}/**/*")
        staged = Path(HOME).glob(f"session_*/artifacts/*/{self.name}/driver_artifacts/**/*")
        return [path for path in (*kept, *staged) if path.is_file() and (path.name == MARKER or path.name[0] != ".")]

    def damage(self):
        """Damage each as soon as Tune has written it; returns the kinds that have been damaged so far."""
        for path in self.paths():
            with suppress(FileNotFoundError):  # Tune replaces and the driver removes them
                if self.left is None:
                    path.unlink()
                elif path.stat().st_size > self.left:
                    os.truncate(path, self.left)
                else:
                    continue
                self.damaged.add(re.sub(r"-\d{4}-[\d_-]+", "", path.name))
        return self.damaged

    def damage_all(self, kinds, process):
        """Until each of these kinds has been damaged; whether that was so before the driver ended."""
        return wait_for(lambda: self.damage() >= kinds, process)


@pytest.mark.long
@pytest.mark.parametrize("damage", LEFT)
def test_files_of_tune_that_are_damaged_while_it_runs_end_nothing(begin, whole, scratch, damage):
    sweep = begin("alone", name=damage)
    files = Files(scratch, sweep.name, LEFT[damage])
    process = sweep.drive(env={"TMPDIR": str(scratch)})
    assert sweep.wait_for_reports(3, process)
    assert files.damage_all(STATE, process)
    assert kill("ray::ResourceTrainable")
    assert files.damage_all(STATE | ERRORS, process)
    assert not wait_for(lambda: files.damage() and False, process)  # to the end
    status, out = ended(process)
    assert status == 0, out
    assert files.damaged == STATE | ERRORS | ({MARKER} if damage == "deleted" else set())
    assert sweep.table() == whole("alone")


@pytest.mark.long
def test_a_driver_that_is_killed_and_leaves_damaged_files_is_followed_by_one_that_comes_to_the_same(
    begin, whole, scratch
):
    sweep = begin("alone", name="killed")
    files = Files(scratch, sweep.name, LEFT["truncated"])
    process = sweep.drive(env={"TMPDIR": str(scratch)})
    assert sweep.wait_for_reports(3, process)
    process.kill()
    ended(process)
    assert files.damage() == STATE
    status, out = ended(sweep.drive(env={"TMPDIR": str(scratch)}))
    assert status == 0, out
    assert sweep.table() == whole("alone")
