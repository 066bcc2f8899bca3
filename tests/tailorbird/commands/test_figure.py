import io
import json
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from registry import packages, versions
from registry.core import Registry
from tailorbird.package.lineage import Lineage
from tailorbird.settings import Settings
from tests.pictures import pixels
from training import candidate, checkpoint, datasets, registrable, splits
from training.config import RunConfig
from training.loop import Run

OF_IMAGES = ("confusion", "curves", "features", "graph", "layers", "predictions")


def made(**config):
    """A trained candidate of a run config."""
    checked = RunConfig.model_validate({"device": "cpu", "epochs": 2, "optimizer": {"lr": 5e-3}, **config})
    dealt = splits.split(datasets.load(checked.data, None, None), checked.data)
    run = Run(checked, dealt)
    while not run.done:
        run.step()
    weights = checkpoint.encode(run.best_state)
    make = candidate.results if registrable.obstacle(dealt) else candidate.make
    return make(checked, dealt, weights, run.epochs, run.best.epoch)


@pytest.fixture(scope="module")
def images():
    return made(data={"name": "digits"}, model={"family": "cnn", "depth": 1, "width": 4})


@pytest.fixture(scope="module")
def rows():
    return made(data={"name": "breast_cancer", "holdout": 0.2}, model={"family": "linear"})


@pytest.fixture(scope="module")
def numbers():
    return made(data={"name": "diabetes"}, model={"family": "linear"})


@pytest.fixture
def registered(tmp_path):
    """Registers a candidate as the next version of `pets`, with other files or lineage where they are given."""

    def add(candidate, epoch=1, **files):
        changed = {**candidate.files, **{name.replace("_", "."): data for name, data in files.items()}}
        with Registry(Settings(home=tmp_path / "home", _env_file=None)) as registry:
            return versions.register(registry, "pets", changed, candidate.export, Lineage(epoch=epoch), "ada")

    return add


@pytest.fixture
def folder(tmp_path):
    """Writes a candidate's files where `tailorbird train` would."""

    def write(candidate, name="run", **files):
        (tmp_path / name).mkdir()
        changed = {**candidate.files, **{name.replace("_", "."): data for name, data in files.items()}}
        for file, data in changed.items():
            (tmp_path / name / file).write_bytes(data)
        return tmp_path / name

    return write


@pytest.fixture
def drawn(tailorbird, tmp_path, monkeypatch):
    """Draws a figure; returns its pixels and what is written on it."""
    from matplotlib.text import Text

    found, draw = {}, Text.draw

    def noting(self, renderer, *rest, **more):
        found[self] = self.get_text()
        return draw(self, renderer, *rest, **more)

    monkeypatch.setattr(Text, "draw", noting)

    def run(*words):
        found.clear()
        result = tailorbird("figure", *words, "--out", tmp_path / "picture.png")
        assert result.returncode == 0, result.stderr
        assert result.stdout == f"{tmp_path / 'picture.png'}\n"
        return pixels((tmp_path / "picture.png").read_bytes(), most=3000), list(found.values())

    return run


def config(candidate, **changed):
    return yaml.safe_dump({**yaml.safe_load(candidate.files["config.yaml"]), **changed}).encode()


def refused(message, sentence):
    assert message.returncode in (1, 2)
    assert message.stderr.startswith(f"error: {sentence}"), message.stderr
    assert message.stderr.count("\n") == 1


# --- pictures of models


@pytest.mark.parametrize("name", OF_IMAGES)
def test_each_picture_of_a_version_is_that_of_its_run_folder(drawn, registered, folder, images, name):
    version = registered(images, json.loads(images.files["curves.json"])[0]["epoch"])
    of_version, words = drawn(name, "pets:1")
    of_folder, others = drawn(name, folder(images))
    assert [word.replace(str(version), "run") for word in words] == others or name == "curves"
    assert of_version.shape == of_folder.shape


def test_a_picture_is_written_here_unless_something_else_is_wanted(tailorbird, folder, images, tmp_path):
    result = tailorbird("figure", "layers", folder(images))
    assert result.stdout == "layers.png\n"
    pixels((tmp_path / "layers.png").read_bytes())


def test_the_epoch_that_the_registry_knows_is_the_one_that_is_marked(drawn, registered, images):
    registered(images, epoch=1)
    registered(images, epoch=2)
    assert "kept: epoch 1" in drawn("curves", "pets:1")[1]
    assert "kept: epoch 2" in drawn("curves", "pets:2")[1]


@pytest.mark.parametrize(
    ("figures", "kept"),
    [
        ([{"val_accuracy": 0.5}, {"val_accuracy": 0.7}, {"val_accuracy": 0.7}], 2),
        ([{"val_loss": 0.5}, {"val_loss": 0.2}, {"val_loss": 0.7}], 2),
        ([{}, {}, {}], 3),
    ],
    ids=["accuracy", "loss", "neither"],
)
def test_of_a_folder_the_epoch_is_marked_that_the_run_chose(drawn, folder, images, figures, kept):
    message = [
        {"epoch": index, "train_loss": 1.0, "lr": 0.1, "seconds": 1.0, **figure}
        for index, figure in enumerate(figures, 1)
    ]
    assert f"kept: epoch {kept}" in drawn("curves", folder(images, curves_json=json.dumps(message).encode()))[1]


def test_the_sheet_tells_of_held_out_images_from_all_over_what_they_are_and_what_is_said(drawn, registered, images):
    registered(images)
    held = np.load(io.BytesIO(images.files["heldout.npy"]), allow_pickle=False)
    held = held[np.linspace(0, len(held) - 1, 50).astype(int)]
    answers = held["probabilities"].argmax(1)
    words = drawn("predictions", "pets:1")[1]
    assert [word for word in words if len(word) == 3 and word[1] == ":"] == [
        f"{true}:{answer}" for true, answer in zip(held["label"], answers, strict=True)
    ]
    wrong = int((answers != held["label"]).sum())
    assert 0 < wrong < 50 and any(f"{wrong} of 50 wrong" in word for word in words)


def test_the_sheet_shows_the_images_themselves(tailorbird, registered, images, monkeypatch):
    from training import plots

    seen = []
    monkeypatch.setattr(plots, "predictions", lambda pictures, *rest: seen.append(pictures) or b"png")
    registered(images)
    assert tailorbird("figure", "predictions", "pets:1").returncode == 0
    held = np.load(io.BytesIO(images.files["heldout.npy"]), allow_pickle=False)
    held = held[np.linspace(0, len(held) - 1, 50).astype(int)]
    assert (splits.content_ids(seen[0]) == held["id"]).all()


def test_the_data_must_hold_what_was_judged(tailorbird, registered, images):
    registered(images, config_yaml=config(images, data={"name": "digits", "split_seed": 5}))
    refused(
        tailorbird("figure", "predictions", "pets:1"),
        "data: the data set digits here does not hold the examples that pets:1 ",
    )


def test_a_threshold_moves_what_is_counted(drawn, folder, images, rows):
    run = folder(images)
    assert "no answer" not in drawn("confusion", run)[1]
    words = drawn("confusion", run, "--threshold", "0.9")[1]
    assert "no answer" in words and "run: 180 held-out examples\nanswers at a threshold of 0.9" in words
    table = folder(rows, "table")
    assert (
        "table: 114 held-out examples\nbenign at a threshold of 0.2"
        in drawn("confusion", table, "--threshold", "0.2")[1]
    )


def test_features_are_those_of_an_image_that_is_given(drawn, folder, images, tmp_path):
    run = folder(images)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).resize((30, 20)).convert("RGB").save(
        tmp_path / "i.png"
    )
    own, words = drawn("features", run, "--image", tmp_path / "i.png")
    assert "convolution 1, layer 1: 4 of 4 maps, 8×8" in words
    assert (own != drawn("features", run)[0]).any()


def test_tables_have_no_images(tailorbird, folder, rows):
    run = folder(rows)
    for name in ("predictions", "features"):
        refused(tailorbird("figure", name, run), f"{name}: require images; run takes rows of a table")


def test_a_model_without_convolutions_has_no_feature_maps(tailorbird, folder):
    run = folder(made(data={"name": "digits"}, model={"family": "linear"}))
    refused(tailorbird("figure", "features", run), "features: require convolutions; run has none")


@pytest.mark.parametrize("name", ["graph", "layers", "curves", "confusion", "scatter"])
def test_a_table_s_model_has_all_other_pictures(drawn, folder, rows, name):
    drawn(name, folder(rows))


def test_a_run_that_made_no_package_has_the_pictures_that_can_be_made(drawn, tailorbird, folder, numbers):
    run = folder(numbers)
    assert "accuracy" not in drawn("curves", run)[1]
    assert "11" in drawn("layers", run)[1]  # ten weights and a bias
    drawn("scatter", run)
    refused(
        tailorbird("figure", "graph", run), f"{run}/model.onnx: is missing, and this figure requires it; the folder"
    )
    refused(tailorbird("figure", "confusion", run), "confusion: requires one class per example; run predicts")


def test_without_held_out_images_features_are_those_of_the_test_split(drawn, folder):
    data = {"name": "digits", "validation": 0, "holdout": 0}
    drawn("features", folder(made(data=data, model={"family": "cnn", "depth": 1, "width": 2}, epochs=1)))


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's own with a model and a data set."""
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "from training import datasets\n"
        "from training.config import DataConfig\n"
        "def net(shape, outputs):\n"
        "    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(3 * 36, outputs))\n"
        "def load():\n"
        "    return datasets.load(DataConfig(name='digits'), None, None)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("mine", None)


def test_own_code_of_a_folder_runs_where_it_is_said_to_be_the_users(drawn, tailorbird, folder, own):
    model = {"family": "custom", "function": "mine:net"}
    run = folder(made(data={"name": "mine:load", "validation": 0.1, "holdout": 0.1}, model=model))
    for name in ("confusion", "curves", "graph"):
        drawn(name, run)
    for name in ("layers", "features", "predictions"):
        refused(tailorbird("figure", name, run), "run: ")
        drawn(name, run, "--own-code")
    assert "convolution 1, layer 1.0: 3 of 3 maps, 6×6" in drawn("features", run, "--own-code")[1]
    refused(tailorbird("figure", "features", "--own-code"), "--own-code: applies only to a folder")


# --- what a stranger's package may hold


@pytest.mark.parametrize("name", ["layers", "features"])
def test_a_model_of_code_is_not_built(tailorbird, registered, images, name):
    model = {"family": "custom", "function": "os.path:join"}
    registered(images, config_yaml=config(images, model=model))
    refused(tailorbird("figure", name, "pets:1"), "pets:1: model.function: os.path:join is custom code, which runs ")


@pytest.mark.parametrize("name", ["predictions", "scatter", "features"])
def test_a_data_set_of_code_is_not_loaded(tailorbird, registered, folder, images, name, tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(tmp_path)
    strange = config(images, data={"name": "stranger:load"})
    registered(images, config_yaml=strange)
    refused(tailorbird("figure", name, "pets:1"), "pets:1: data.name: stranger:load is custom code, which runs")
    refused(
        tailorbird("figure", name, "pets:1", "--own-code"),
        "--own-code: applies only to a folder that `tailorbird train` wrote; pets:1 is not one",
    )
    run = folder(images, config_yaml=strange)
    refused(tailorbird("figure", name, run), "run: data.name: stranger:load is custom code, which runs only")


@pytest.mark.parametrize(
    ("name", "file", "data"),
    [
        ("curves", "curves_json", b"[]"),
        ("curves", "curves_json", b"poem"),
        ("curves", "curves_json", b'[{"epoch": 2, "lr": 1}, {"epoch": 1, "lr": 1}]'),
        ("curves", "curves_json", b'[{"epoch": 1, "train_loss": "low"}]'),
        ("layers", "signature_json", b'{"shape": [], "classes": ["a"], "objective": "multiclass"}'),
        ("layers", "signature_json", b'{"shape": [8, 8], "classes": [1, 2], "objective": "multiclass"}'),
        ("layers", "signature_json", b'{"shape": [8, 8], "classes": ["a", "b"], "objective": "poetry"}'),
        ("layers", "signature_json", b'{"shape": [8, -8], "classes": ["a", "b"], "objective": "binary"}'),
        ("confusion", "baseline_json", b'{"confusion": [[1, 2], [3, 4]]}'),
        ("confusion", "baseline_json", b"{}"),
        ("graph", "model_onnx", b"poem"),
        ("layers", "checkpoint_safetensors", b"poem"),
        ("confusion", "signature_json", b"[" * 100_000),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_one_sentence(tailorbird, folder, images, name, file, data):
    result = tailorbird("figure", name, folder(images, **{file: data}))
    assert result.returncode == 1 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


def test_a_held_out_file_that_is_none_is_one_sentence(tailorbird, folder, images):
    run = folder(images, heldout_npy=b"poem")
    refused(tailorbird("figure", "predictions", run), "heldout.npy: is not an array without objects")
    refused(
        tailorbird("figure", "confusion", run, "--threshold", "0.5"), "heldout.npy: is not an array without objects"
    )


def test_a_damaged_version_is_told_by_its_file(tailorbird, registered, images, tmp_path):
    version = registered(images)
    with Registry(Settings(home=tmp_path / "home", _env_file=None)) as registry:
        digest = packages.manifest(registry.blobs, version.manifest).files["model.onnx"].sha256
        path = registry.blobs.path(digest)
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    refused(tailorbird("figure", "graph", "pets:1"), "model.onnx: ")


# --- pictures of no model


@pytest.mark.parametrize("words", [["features"], ["descent"], ["scatter", "iris"]], ids=" ".join)
def test_some_pictures_need_no_model(drawn, words):
    drawn(*words)


def test_the_diagonal_kernel_takes_an_image_of_one_s_own(drawn, tmp_path):
    Image.new("RGB", (50, 40), "red").save(tmp_path / "red.png")
    assert "image\n40×50" in drawn("features", "--image", tmp_path / "red.png")[1]


def test_descent_goes_by_its_options(drawn):
    words = drawn("descent", "--a", "2", "--b", "3", "--lr", "0.1", "--lr", "0.4")[1]
    assert "lr 0.1" in words and "lr 0.4: diverges" in words
    assert "Gradient descent on 2·x² + 3·y², 20 steps from (4, 2)" in words
    assert {"lr 0.02", "lr 0.1", "lr 0.22: zigzags", "lr 0.26: diverges"} <= set(drawn("descent")[1])


# --- what is not accepted


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["scatter", "digits"], "scatter: requires a table; digits holds images"),
        (["descent", "--a", "0"], "--a: must be from 0.01 to 100, not 0"),
        (["descent", "--a", "0", "--b", "0"], "--a: must be from 0.01 to 100, not 0"),
        (["descent", "--b", "nan"], "--b: must be from 0.01 to 100, not nan"),
        (["descent", "--lr", "inf"], "--lr: must be above 0 and at most 1000, not inf"),
        (["descent", *["--lr", "0.1"] * 8], "--lr: is given 8 times; accepted: at most 7"),
        (
            ["layers", "demo"],
            "model: there is no model 'demo'; the registry is empty; `tailorbird demo` registers a first model",
        ),
        (["layers", "no/where"], "no/where: is not a folder that `tailorbird train` wrote: it has no config.yaml"),
        (["layers", "."], ".: is not a folder that `tailorbird train` wrote: it has no config.yaml"),
        (["features", "--image", "nothing.png"], "--image: nothing.png cannot be read: No such file or directory"),
        (["features", "--image", "/proc/self/status"], "image: is not a PNG, JPEG or WebP image"),
        (["descent", "--out", "/proc/x.png"], "/proc/x.png cannot be written: "),
    ],
)
def test_wrong_input_is_one_sentence(tailorbird, words, sentence):
    refused(tailorbird("figure", *words), sentence)


def test_options_may_stand_before_the_name_of_a_figure(tailorbird, tmp_path):
    drawn = tailorbird("figure", "--out", tmp_path / "descent.png", "descent")
    assert (drawn.returncode, drawn.stdout) == (0, f"{tmp_path}/descent.png\n"), drawn.stderr
    refused = tailorbird("figure", "portrait", "descent")
    assert refused.returncode == 2 and "No such command 'portrait'; accepted: " in refused.stderr


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["portrait"], "No such command 'portrait'; accepted: predictions, features, "),
        (["layer", "demo"], "Did you mean 'layers'?"),
        (["layers"], "Missing argument 'MODEL[:N|@ALIAS]'"),
        (["descent", "demo"], "nexpected extra argument"),
        (["layers", "demo", "--threshold", "0.5"], "No such option: --threshold"),
        (["confusion", "demo", "--threshold", "2"], "Invalid value for '--threshold'"),
    ],
    ids=lambda item: " ".join(item) if isinstance(item, list) else "",
)
def test_each_figure_has_options_of_its_own(tailorbird, words, problem):
    refusal = tailorbird("figure", *words)
    assert refusal.returncode == 2 and problem in refusal.stderr


def test_an_image_that_no_kernel_fits_is_refused(tailorbird, tmp_path):
    Image.new("L", (6, 9)).save(tmp_path / "small.png")
    refused(tailorbird("figure", "features", "--image", tmp_path / "small.png"), "--image: ")
