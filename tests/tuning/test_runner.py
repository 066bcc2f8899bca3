import pytest
from rich.console import Console

from tailorbird.errors import InvalidInput
from tuning import runner, spec

KINDS = {
    "digits_multilabel": "data: the registry takes multiclass and binary models; this one is multilabel",
    "diabetes": "data: the registry takes multiclass and binary models; this one is regression; where",
}


@pytest.mark.parametrize(
    ("changes", "who", "problem"),
    [
        *(({"data": {"name": name, "holdout": 20}}, "ann", problem) for name, problem in KINDS.items()),
        ({}, "x" * 129, "--who: has 129 characters; accepted: at most 128"),
    ],
)
def test_what_the_registry_would_refuse_is_refused_before_ray_starts(given, settings, changes, who, problem):
    loss = {"metric": "val_loss", "mode": "min"}
    checked = spec.parse({**given, **changes, "objective": loss, "scheduler": "none"})
    with pytest.raises(InvalidInput) as refused:
        runner.Driver(settings, Console(quiet=True), who).run(checked)
    assert str(refused.value).startswith(problem)
    assert not settings.home.exists()
