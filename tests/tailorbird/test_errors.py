import pickle
import sys
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import BaseModel, ConfigDict, Discriminator, Field, ValidationError, field_validator, model_validator

from tailorbird import errors
from tailorbird.errors import (
    Conflict,
    Corrupt,
    Interrupted,
    InvalidInput,
    Irreproducible,
    LeaseHeld,
    LeaseLost,
    NotFound,
    ReadOnly,
    Refused,
    SweepChanged,
    TailorbirdError,
    TooLarge,
    Unavailable,
    Unmigrated,
    reported,
)

EVERY_KIND = [
    (TailorbirdError("no"), 1, "no"),
    (InvalidInput("epochs", "is missing"), 2, "epochs: is missing"),
    (NotFound("model", "there is no model 'x'"), 2, "model: there is no model 'x'"),
    (TooLarge("image", "is over the limit"), 2, "image: is over the limit"),
    (Refused("fashion:2", ["too bad", "too slow"]), 1, "fashion:2 was refused: too bad; too slow"),
    (
        LeaseHeld("fashion-1", "ray-head boot 7 1234", "2026-03-01T09:30:00.000000Z"),
        1,
        "sweep fashion-1 is being run by process 7 on ray-head; if that process is gone, the sweep can be resumed from "
        "2026-03-01 09:30:00 UTC on",
    ),
    (
        LeaseLost("fashion-1", "was cancelled"),
        1,
        "sweep fashion-1 was cancelled; this process stops, and its last reports were not accepted",
    ),
    (
        SweepChanged("fashion-1"),
        1,
        "sweep fashion-1 was changed by another process in the meantime; nothing was done, try again",
    ),
    (Irreproducible("epoch 3 differs"), 1, "epoch 3 differs"),
    (Corrupt("a file is missing"), 1, "a file is missing"),
    (ReadOnly("the database is read-only here"), 1, "the database is read-only here"),
    (Unmigrated("the database is empty"), 1, "the database is empty"),
    (Unavailable("the disk is full"), 1, "the disk is full"),
    (Interrupted("stopped"), 130, "stopped"),
    (
        Conflict("fashion", "champion", 0, 3),
        1,
        "fashion@champion is version 3, not unset as expected: someone else moved it first; check it and promote again",
    ),
]


@pytest.mark.parametrize(("error", "status", "sentence"), EVERY_KIND, ids=lambda one: type(one).__name__)
def test_an_error_is_told_in_one_line_with_its_status(capsys, error, status, sentence):
    with pytest.raises(SystemExit) as left, reported():
        raise error
    assert left.value.code == status
    assert capsys.readouterr() == ("", f"error: {sentence}\n")


@pytest.mark.parametrize("error", [error for error, _, _ in EVERY_KIND], ids=lambda one: type(one).__name__)
def test_an_error_crosses_processes_with_its_values(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and str(copy) == str(error) and vars(copy) == vars(error)


def test_every_error_is_in_the_tree_of_the_docstring():
    kinds = [var for var in vars(errors).values() if isinstance(var, type) and issubclass(var, TailorbirdError)]
    assert {type(error) for error, _, _ in EVERY_KIND} == set(kinds)
    for kind in kinds:
        assert kind.__name__ in errors.__doc__


def test_ctrl_c_is_told_without_a_traceback(capsys):
    with pytest.raises(SystemExit) as left, reported():
        raise KeyboardInterrupt
    assert left.value.code == 130 and capsys.readouterr() == ("", "interrupted\n")


def test_ctrl_c_in_a_command_is_told_too(capsys):
    app = typer.Typer()

    @app.command()
    def command():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as left, reported():
        app([])
    assert left.value.code == 130 and capsys.readouterr() == ("", "interrupted\n")


def test_another_ctrl_c_while_it_ends_does_not_hide_how_to_go_on(capsys):
    app = typer.Typer()

    @app.command()
    def command():
        try:
            raise Interrupted("sweep tiny-1 was interrupted")
        finally:
            raise KeyboardInterrupt

    with pytest.raises(SystemExit) as left, reported():
        app([])
    assert left.value.code == 130 and capsys.readouterr() == ("", "error: sweep tiny-1 was interrupted\n")


def test_a_defect_keeps_its_traceback_and_an_exit_its_status():
    with pytest.raises(ZeroDivisionError), reported():
        1 / 0  # noqa: B018
    with pytest.raises(SystemExit) as left, reported():
        sys.exit(7)
    assert left.value.code == 7


# --- from pydantic


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Mlp(Strict):
    family: Literal["mlp"]
    depth: int = Field(2, ge=1, le=64, strict=True)
    width: Annotated[int, Field(strict=True, ge=1)] | list[Annotated[int, Field(strict=True, ge=1)]] = 128


class Cnn(Strict):
    family: Literal["cnn"]

    @model_validator(mode="after")
    def _never(self):
        raise ValueError("a cnn needs an image")


class Domain(Strict):
    choice: list[int | str] | None = Field(None, min_length=1)
    uniform: tuple[float, float] | None = None

    @field_validator("uniform")
    @classmethod
    def _rising(cls, limits):
        if limits[0] >= limits[1]:
            raise AssertionError("the limits must rise")
        return limits


class Spec(Strict):
    name: str = Field(min_length=1, pattern="^[a-z]+$")
    model: Annotated[Mlp | Cnn, Discriminator("family")] = Mlp(family="mlp")
    space: dict[str, Domain] = {}
    share: float = Field(0.5, gt=0, lt=1)
    device: Literal["auto", "cpu"] = "auto"
    runs: list[Mlp] = []
    on: bool = True


def problem(prefix="", **changes: Any) -> InvalidInput:
    changes = {"name": "a", **changes}
    with pytest.raises(ValidationError) as refused:
        Spec.model_validate(changes)
    return InvalidInput.from_validation(refused.value, changes, Spec, prefix)


MLP = {"family": "mlp"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"nmae": 1}, "nmae: is not a known key; accepted: name, model, space, share, device, runs, on"),
        ({"model": {**MLP, "depht": 3}}, "model.depht: is not a known key; accepted: family, depth, width"),
        ({"model": {**MLP, "mlp": 3}}, "model.mlp: is not a known key; accepted: family, depth, width"),
        ({"model": {"family": "cnn", "depth": 3}}, "model.depth: is not a known key; accepted: family"),
        ({"runs": [MLP, {**MLP, "x": 1}]}, "runs.1.x: is not a known key; accepted: family, depth, width"),
        ({"space": {"a": {"normal": 1}}}, "space.a.normal: is not a known key; accepted: choice, uniform"),
        ({"device": "tpu"}, "device: must be 'auto' or 'cpu', not 'tpu'"),
        ({"share": "half"}, "share: must be a valid number, not 'half'"),
        ({"share": 1.0}, "share: must be less than 1, not 1.0"),
        ({"share": float("nan")}, "share: must be a finite number, not nan"),
        ({"share": None}, "share: must be a valid number, not None"),
        ({"on": "maybe"}, "on: must be a valid boolean, not 'maybe'"),
        ({"name": 3}, "name: must be a valid string, not 3"),
        ({"name": True}, "name: must be a valid string, not True; yes, no, on and off are text in quotes"),
        ({"name": ""}, "name: string should have at least 1 character, not ''"),
        ({"name": "A"}, "name: string should match pattern '^[a-z]+$', not 'A'"),
        ({"model": {**MLP, "depth": 0}}, "model.depth: must be greater than or equal to 1, not 0"),
        ({"model": {**MLP, "depth": "2"}}, "model.depth: must be a valid integer, not '2'"),
        ({"model": {"family": "rnn"}}, "model.family: must be one of 'mlp', 'cnn', not 'rnn'"),
        ({"model": {"depth": 2}}, "model.family: is missing"),
        ({"model": {"family": "cnn"}}, "model: a cnn needs an image"),
        ({"model": "mlp"}, "model: must be keys with values, not 'mlp'"),
        ({"space": []}, "space: must be keys with values, not []"),
        ({"runs": [MLP, {**MLP, "depth": 65}]}, "runs.1.depth: must be less than or equal to 64, not 65"),
        ({"runs": [MLP, {}]}, "runs.1.family: is missing"),
        ({"runs": {"a": 1}}, "runs: must be a valid list, not {'a': 1}"),
        ({"runs": [3]}, "runs.0: must be keys with values, not 3"),
        # a union without a discriminator: the branch that came furthest, or all that came equally far
        ({"model": {**MLP, "width": "x"}}, "model.width: must be a valid integer or a valid list, not 'x'"),
        ({"model": {**MLP, "width": {"a": 1}}}, "model.width: must be a valid integer or a valid list, not {'a': 1}"),
        ({"model": {**MLP, "width": [64, "x"]}}, "model.width.1: must be a valid integer, not 'x'"),
        ({"model": {**MLP, "width": [64, 0]}}, "model.width.1: must be greater than or equal to 1, not 0"),
        ({"space": {"a": {"choice": [1, []]}}}, "space.a.choice.1: must be a valid integer or a valid string, not []"),
        ({"space": {"lr": {"choice": []}}}, "space.lr.choice: list should have at least 1 item, not 0"),
        ({"space": {"lr": {"uniform": [2, 1]}}}, "space.lr.uniform: the limits must rise"),
        ({"space": {"lr": {"uniform": [0, "x"]}}}, "space.lr.uniform.1: must be a valid number, not 'x'"),
        ({"space": {"lr": 3}}, "space.lr: must be keys with values, not 3"),
        # more than one problem
        ({"share": 2, "device": "tpu", "on": 7}, "share: must be less than 1, not 2 (and 2 more)"),
        ({"model": {**MLP, "width": ["x"]}, "on": 7}, "model.width.0: must be a valid integer, not 'x' (and 1 more)"),
    ],
)  # fmt: skip
def test_what_pydantic_found_becomes_one_sentence_with_the_path_of_the_key(given, sentence):
    assert str(problem(**given)) == sentence


def test_a_misspelt_key_is_named_before_the_one_that_is_missing():
    with pytest.raises(ValidationError) as refused:
        Spec.model_validate({"nmae": "tiny"})
    assert str(InvalidInput.from_validation(refused.value, {"nmae": "tiny"}, Spec)).startswith("nmae: ")


def test_a_missing_key_is_named():
    with pytest.raises(ValidationError) as refused:
        Spec.model_validate({})
    assert str(InvalidInput.from_validation(refused.value, {}, Spec)) == "name: is missing"


def test_what_is_no_mapping_at_all_is_a_value():
    for given in (3, [], None, "spec"):
        with pytest.raises(ValidationError) as refused:
            Spec.model_validate(given)
        message = str(InvalidInput.from_validation(refused.value, given, Spec))
        assert message == f"value: must be keys with values, not {given!r}"


@pytest.mark.parametrize(
    ("prefix", "field"), [("", "device"), ("run.", "run.device"), ("trial 3: ", "trial 3: device")]
)
def test_a_prefix_stands_before_the_path(prefix, field):
    assert problem(prefix, device="tpu").field == field


def test_a_problem_of_the_whole_has_the_prefix_alone():
    with pytest.raises(ValidationError) as refused:
        Cnn.model_validate({"family": "cnn"})
    message = str(InvalidInput.from_validation(refused.value, {"family": "cnn"}, Cnn, "run."))
    assert message == "run: a cnn needs an image"


def test_a_long_value_is_cut():
    assert len(str(problem(device="x" * 10_000))) < 150


def test_the_class_that_is_asked_is_the_class_that_comes():
    with pytest.raises(ValidationError) as refused:
        Spec.model_validate({})
    assert type(NotFound.from_validation(refused.value, {}, Spec)) is NotFound
