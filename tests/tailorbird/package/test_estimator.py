import pytest

from tailorbird.errors import Corrupt
from tailorbird.package.estimator import Fit

CELL = {"0.9": 18}
FIT = {
    "answers": {"cat": {"cat": {"0.9": 18}, "dog": {"0": 2}}, "dog": {}},
    "weights": {"cat": {"0.9": 0.95, "0": -0.2}},
    "error": {"small": 0.01, "p90": 0.02, "all": 0.04, "window": 1000},
}


def test_what_is_written_is_read():
    fit = Fit.of(FIT)
    assert fit.record() == FIT
    assert Fit.parse(fit.encode()) == fit
    assert fit.check(("cat", "dog")) is fit


def test_nothing_need_have_been_fitted():
    assert Fit.of(FIT | {"weights": None, "error": None}).weights is None


def answers(number):
    return {"answers": {"cat": {"cat": {"0.9": number}}, "dog": {"dog": CELL}}}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        *((answers(number), "answers.cat.cat.0.9") for number in (10**400, 1e300, 1.5, "3", True, -1, None, 2**60)),
        ({"answers": {"cat": {"cat": {"0.123": 1}}}}, "answers.cat.cat.0.123"),
        ({"answers": {"cat": {"cat": 3}}}, "answers.cat.cat"), ({"answers": {"cat": []}}, "answers.cat"),
        ({"answers": None}, "answers"), ({"answers": {}}, "value"), ({"answers": {"cat": {}, "dog": {}}}, "value"),
        ({"answers": {"cat": {"cat": {"0": 2**53, "0.9": 2**53}}, "dog": {}}}, "value"),
        *(
            ({"weights": {"cat": {"0": weight}}}, "weights.cat.0")
            for weight in (10**400, 1e300, -1e7, "3", True, None, float("nan"), float("inf"))
        ),
        ({"weights": 3}, "weights"), ({"weights": {"cat": {"1": 0.5}}}, "weights.cat.1"),
        ({"error": {"small": 0.1}}, "error.p90"), ({"error": {**FIT["error"], "small": "0.1"}}, "error.small"),
        ({"error": {**FIT["error"], "all": 1.5}}, "error.all"), ({"error": {**FIT["error"], "p90": -1}}, "error.p90"),
        ({"error": {**FIT["error"], "window": 10**400}}, "error.window"),
    ],
)  # fmt: skip
def test_what_is_no_fit_is_told_by_its_key(changes, key):
    with pytest.raises(Corrupt) as refused:
        Fit.of({**FIT, **changes})
    assert str(refused.value).startswith(f"estimator.json: {key}: ".replace("value: ", ""))


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_corrupt(data):
    with pytest.raises(Corrupt, match=r"^estimator\.json: is not a JSON object"):
        Fit.parse(data)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"answers": {"cat": {"cat": CELL}}}, "its answers do not name 'dog', which is a class"),
        ({"answers": {**FIT["answers"], "owl": {}}}, "it names 'owl', which is not a class"),
        ({"answers": {**FIT["answers"], "dog": {"owl": CELL}}}, "it names 'owl', which is not a class"),
        ({"weights": {"owl": {"0": 0.5}}}, "it names 'owl', which is not a class"),
    ],
)
def test_it_is_of_the_classes_of_its_model(changes, problem):
    with pytest.raises(Corrupt, match=rf"^estimator\.json: {problem}$"):
        Fit.of({**FIT, **changes}).check(("cat", "dog"))
