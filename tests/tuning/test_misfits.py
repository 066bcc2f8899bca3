import pytest

from training.config import RunConfig
from tuning import misfits
from tuning.misfits import Misfits
from tuning.parts import Constraints


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ({"family": "linear"}, 64 * 10 + 10),
        ({"family": "mlp", "width": [16]}, 64 * 16 + 16 + 16 * 10 + 10),
    ],
)
def test_what_has_more_weights_than_allowed_does_not_fit(model, parameters):
    config = RunConfig.model_validate({"data": {"name": "digits"}, "model": model})

    data = (8, 8), "multiclass", tuple("0123456789")

    def misfit(most):
        return Misfits(Constraints(parameters=most), *data)(config)

    assert misfits.parameters(config, *data) == parameters
    assert misfit(None) is misfit(parameters) is None
    assert misfit(parameters - 1) == (
        f"has {parameters:,} parameters, and constraints.parameters is {parameters - 1:,}"
    )
