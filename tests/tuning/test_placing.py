from types import SimpleNamespace
from unittest import mock

import pytest

from tuning import placing, spec


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


@pytest.mark.parametrize("done", [True, False])
def test_it_is_told_whether_tune_ended_since_nothing_was_left_or_gave_up(raw_spec, tmp_path, monkeypatch, done):
    class Tuner:
        def __init__(self, *_, run_config, **__):
            self.stop = run_config.stop

        def fit(self):
            self.stop("worker-0", {"done": done})
            if done:
                raise RuntimeError("its own files are gone")

    monkeypatch.setattr(placing.tune, "Tuner", Tuner)
    monkeypatch.setattr(placing.tune, "with_parameters", lambda worker, **_: worker)
    monkeypatch.setattr(placing.ray, "cluster_resources", lambda: {"CPU": 4.0})
    assert placing.place(spec.parse(raw_spec), None, mock.Mock(), tmp_path, True) is done
