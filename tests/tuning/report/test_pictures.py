import pytest

from registry.core import Registry
from tailorbird.pages.document import Paragraph, Picture
from tuning.report import pictures, results
from tuning.report.pictures import Answers


@pytest.fixture
def blocks(swept, settings):
    def of(raw_spec):
        with Registry(settings) as registry:
            result = results.read(registry, swept(raw_spec))
            return list(Answers(registry, settings, result).pictures(result.rows))

    return of


def of(data, **run):
    run = {"model": {"family": "linear"}, "epochs": 1, **run}
    data = {"validation": 0, "holdout": 0, **data}
    objective = {"metric": "val_loss", "mode": "min"}  # which every kind has
    return {"name": "tiny", "data": data, "run": run, "runs": [{"name": "one"}], "objective": objective}


@pytest.mark.parametrize(
    ("data", "files"),
    [
        ("iris", ["confusion-1.png"]),
        ("breast_cancer", ["confusion-1.png", "thresholds-1.png"]),
        ("digits_multilabel", ["thresholds-1.png"]),
        ("diabetes", []),
    ],
)
def test_each_kind_has_its_pictures(blocks, data, files):
    result = blocks(of({"name": data}))
    assert [item.file for item in result if isinstance(item, Picture)] == files
    assert all(one.png.startswith(b"\x89PNG") for one in result)


def test_weights_answer_again_what_they_answered_at_the_end(swept, study, settings):
    with Registry(settings) as registry:
        result = results.read(registry, swept(study))
        for row in result.rows:
            again = Answers(registry, settings, result)._evaluated(row.trials[0])
            assert again.accuracy == row.trials[0].reports[-1].metrics["test_accuracy"]


def test_data_that_is_gone_is_told_in_a_sentence(swept, settings, tmp_path):
    table = tmp_path / "flowers.csv"
    table.write_text("a,b,kind\n" + "".join(f"{n},{n * n % 7},{'xy'[n % 2]}\n" for n in range(60)))
    sweep = swept(of({"name": "table", "path": str(table), "label": "kind"}))
    table.unlink()
    with Registry(settings) as registry:
        result = results.read(registry, sweep)
        (message,) = Answers(registry, settings, result).pictures(result.rows)
    assert isinstance(message, Paragraph)
    assert message.text.startswith("Not drawn: ")
    assert "flowers.csv" in message.text


def test_runs_with_a_validation_split_have_curves_of_the_gap(swept, study, settings):
    with Registry(settings) as registry:
        result = results.read(registry, swept(study))
    assert [loss.file for loss in pictures.losses(result.rows)] == ["train_loss.png", "val_loss.png"]
    assert [one.file for one in pictures.learning(result.rows)] == ["curves-1.png", "curves-3.png"]
