"""The files that Ray Tune keeps of a sweep: whatever becomes of them, the sweep goes by its ledger."""

import pytest

from tests.faults.sweeps.conftest import ended

DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
}


def files(scratch):
    """Tune's own, which lie in the driver's temporary folder."""
    return [path for path in scratch.glob("tailorbird-*/tune/**/*") if path.is_file()]


@pytest.mark.long
@pytest.mark.parametrize("damage", DAMAGES)
def test_files_of_tune_that_are_damaged_while_it_runs_end_nothing(begin, whole, tmp_path, damage):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    sweep = begin("alone")
    process = sweep.drive(env={"TMPDIR": str(scratch)})
    assert sweep.wait_for_reports(3, process)
    while process.poll() is None and sweep.wait_for_reports(sweep.reports() + 1, process):
        for path in files(scratch):
            DAMAGES[damage](path)
    status, out = ended(process)
    assert status == 0, out
    assert sweep.table() == whole("alone")
