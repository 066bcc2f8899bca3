from types import SimpleNamespace
from unittest import mock

import pytest

from tuning import placing


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"Failure # 1\nThe actor died unexpectedly\nits node is gone\n", placing.KILLED),
        (b"Failure # 1\nValueError: no \xff\n", "no \ufffd"),
        (b"", "its worker ended"),
        (None, "its worker ended"),
    ],
)
def test_a_death_is_told_whatever_is_left_of_the_file_that_gives_its_reason(tmp_path, content, reason):
    path, writer = tmp_path / "error.txt", mock.Mock()
    if content is not None:
        path.write_bytes(content)
    placing._Deaths(writer).on_trial_error(trial=SimpleNamespace(error_file=str(path), config={"place": 2}))
    writer.lost.remote.assert_called_once_with("2", reason)
