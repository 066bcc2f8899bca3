import json
import math

import numpy as np
import pytest
import torch

from registry import versions
from registry.core import Registry
from tailorbird import results
from tailorbird.errors import Corrupt, InvalidInput, NotFound
from tailorbird.package.lineage import Lineage
from tailorbird.results import Task
from tailorbird.settings import Settings
from training import candidate, checkpoint, datasets, export, splits
from training.config import RunConfig
from training.loop import Run
from training.progress import Epoch

CONFIG = RunConfig.model_validate(
    {
        "data": {"name": "digits", "holdout": 0.2},
        "model": {"family": "mlp", "depth": 1, "width": 16},
        "epochs": 3,
        "device": "cpu",
    }
)


@pytest.fixture(scope="module")
def dealt():
    return splits.split(datasets.load(CONFIG.data, None, None), CONFIG.data)


@pytest.fixture(scope="module")
def made(dealt):
    run = Run(CONFIG, dealt)
    while not run.done:
        run.step()
    return candidate.make(CONFIG, dealt, checkpoint.encode(run.best_state), run.epochs, run.best.epoch)


@pytest.fixture
def here(tmp_path):
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture(params=["version", "folder"])
def opened(request, here, made, tmp_path):
    """The same results, from either place."""
    if request.param == "version":
        with Registry(here) as registry:
            versions.register(registry, "tiny", made.files, made.export, Lineage(epoch=2), "ada")
        name = "tiny:1"
    else:
        name = str(tmp_path / "run")
        (tmp_path / "run").mkdir()
        for file, data in made.files.items():
            (tmp_path / "run" / file).write_bytes(data)
    with results.opened(name, here) as result:
        yield result


def test_results_are_what_was_trained(opened, made, dealt):
    assert opened.config() == CONFIG
    assert opened.task() == Task((8, 8), tuple("0123456789"), "multiclass")
    assert np.array_equal(opened.confusion(), made.holdout.confusion())
    assert np.array_equal(opened.heldout().probabilities, made.holdout.probabilities)
    assert [epoch.epoch for epoch in opened.epochs()] == [1, 2, 3]


def test_the_network_answers_as_the_export_does(opened, made, dealt):
    with torch.inference_mode():
        logits = opened.network().eval()(torch.from_numpy(dealt.holdout.at(slice(None))))
    exported = export.evaluate(made.files["model.onnx"], dealt.holdout, "multiclass")
    assert np.allclose(logits.numpy().argmax(1), exported.predicted)


def test_examples_are_from_all_over_the_held_out_ones_with_their_answers(opened, dealt):
    result, answers = opened.examples(7)
    whole = opened.heldout()
    assert (result.ids == answers.ids).all() and (result.targets == answers.labels).all()
    assert (answers.ids[[0, -1]] == whole.ids[[0, -1]]).all() and (
        answers.probabilities[-1] == whole.probabilities[-1]
    ).all()
    places = [whole.ids.tolist().index(one) for one in result.ids.tolist()]
    assert max(np.diff(places)) - min(np.diff(places)) <= 1  # as far apart as they can be
    assert len(opened.examples(10**6)[0]) == len(whole)
    assert (opened.example().ids == result.ids[:1]).all()
    assert (splits.content_ids(result.at(slice(None))) == result.ids).all()


def test_without_held_out_examples_the_first_is_of_the_test_split(here, made, tmp_path):
    for name in ("config.yaml", "curves.json"):
        (tmp_path / name).write_bytes(made.files[name])
    with results.opened(str(tmp_path), here) as result:
        assert len(result.example()) == 1
        assert result.task() == Task((8, 8), tuple("0123456789"), "multiclass")


def epoch(number, accuracy=math.nan, loss=math.nan):
    return Epoch(number, 1.0, 0.5, loss, accuracy, 0.1, 1.0)


@pytest.mark.parametrize(
    ("known", "epochs", "kept"),
    [
        (3, [epoch(1, 0.9), epoch(2, 0.5), epoch(3, 0.1)], 3),
        (None, [epoch(1, 0.1), epoch(2, 0.5, 1.0), epoch(3, 0.5, 0.1)], 2),
        (None, [epoch(1, loss=0.3), epoch(2, loss=0.1), epoch(3)], 2),
        (None, [epoch(1), epoch(2)], 2),
    ],
    ids=["the registry's", "first of the best", "least loss", "last"],
)
def test_the_epoch_that_was_kept(here, known, epochs, kept):
    assert results.Results("name", known, lambda _: b"", here).kept(epochs) == kept


@pytest.mark.parametrize("lineage", [{}, {"epoch": None}])
def test_a_lineage_without_an_epoch_leaves_it_to_the_curves(here, made, lineage):
    with Registry(here) as registry:
        versions.register(registry, "tiny", made.files, made.export, Lineage(**lineage), "ada")
    with results.opened("tiny:1", here) as result:
        assert result.epoch is None and 1 <= result.kept(result.epochs()) <= 3


def test_a_config_of_code_is_refused_wherever_it_would_run(here, made):
    given = json.loads(CONFIG.model_dump_json())
    custom = {**given, "model": {"family": "custom", "function": "os:getcwd"}}
    backbone = {**given, "model": {"family": "pretrained", "backbone": "os:getcwd", "weights": "own.pth"}}
    own = {**given, "data": {"name": "os:getcwd"}}
    for config, use in ((custom, "network"), (backbone, "network"), (own, "dataset"), (own, "example")):
        files = {**made.files, "config.yaml": json.dumps(config).encode()}
        with pytest.raises(InvalidInput, match=r"custom code"):
            getattr(results.Results("strange", None, files.__getitem__, here), use)()


def test_a_config_that_refers_to_itself_is_refused(here):
    result = results.Results("strange", None, lambda _: b"a: &a [*a]", here)
    with pytest.raises(Corrupt, match=r"^strange has a damaged package: config\.yaml: "):
        result.config()


def test_what_is_no_folder_and_no_version_is_not_found(here, tmp_path):
    for name, problem in (
        (str(tmp_path), "it has no config.yaml"),
        ("a/b", "is not a folder"),
        ("tiny", "no model 'tiny'"),
    ):
        with pytest.raises(NotFound, match=problem), results.opened(name, here):
            pass
