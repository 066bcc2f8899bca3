import pytest
import torch
from torch.nn import functional

from tailorbird.errors import InvalidInput
from training import objectives
from training.config import LossConfig


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


LOGITS = numbers(12, 4)
CLASSES = torch.arange(12) % 4
LABELS = (numbers(12, 4, seed=1) > 0).float()


def loss(kind, logits, targets, **config):
    return objectives.loss(LossConfig(**config), kind)(logits, targets)


@pytest.mark.parametrize(
    "kind, logits, targets, config, expected",
    [
        ("multiclass", LOGITS, CLASSES, {}, torch.nn.CrossEntropyLoss()(LOGITS, CLASSES)),
        (
            "multiclass",
            LOGITS,
            CLASSES,
            {"label_smoothing": 0.1},
            torch.nn.CrossEntropyLoss(label_smoothing=0.1)(LOGITS, CLASSES),
        ),
        ("multiclass", LOGITS, CLASSES, {"name": "log_softmax_nll"}, torch.nn.CrossEntropyLoss()(LOGITS, CLASSES)),
        ("multiclass", LOGITS, CLASSES, {"name": "softmax_log_nll"}, torch.nn.CrossEntropyLoss()(LOGITS, CLASSES)),
        ("multiclass", LOGITS, CLASSES, {"name": "bce"}, torch.nn.BCEWithLogitsLoss()(LOGITS, torch.eye(4)[CLASSES])),
        ("binary", LOGITS[:, :1], CLASSES % 2, {}, torch.nn.BCEWithLogitsLoss()(LOGITS[:, 0], (CLASSES % 2).float())),
        ("multilabel", LOGITS, LABELS, {}, torch.nn.BCEWithLogitsLoss()(LOGITS, LABELS)),
        ("regression", LOGITS[:, :1], LABELS[:, 0], {}, torch.nn.MSELoss()(LOGITS[:, 0], LABELS[:, 0])),
    ],
)
def test_losses_are_pytorchs_own(kind, logits, targets, config, expected):
    assert loss(kind, logits, targets, **config).item() == pytest.approx(expected.item(), abs=1e-6)


def test_label_smoothing_changes_the_loss():
    assert loss("multiclass", LOGITS, CLASSES, label_smoothing=0.1) != loss("multiclass", LOGITS, CLASSES)


@pytest.mark.parametrize(
    "kind, name, message",
    [
        ("binary", "cross_entropy", "cross_entropy is not a loss of binary targets; accepted: bce"),
        ("regression", "bce", "bce is not a loss of regression targets; accepted: mse"),
        ("multiclass", "mse", "accepted: cross_entropy, log_softmax_nll, softmax_log_nll, bce"),
    ],
)
def test_a_loss_of_another_kind_is_refused(kind, name, message):
    with pytest.raises(InvalidInput, match=rf"loss\.name: .*{message}"):
        objectives.loss(LossConfig(name=name), kind)


def test_label_smoothing_is_of_cross_entropy_alone():
    with pytest.raises(InvalidInput, match=r"loss\.label_smoothing: applies only to cross_entropy, not to mse"):
        objectives.loss(LossConfig(label_smoothing=0.1), "regression")


def test_outputs():
    assert objectives.outputs("multiclass", ("a", "b", "c")) == objectives.outputs("multilabel", ("a", "b", "c")) == 3
    assert objectives.outputs("binary", ("a", "b")) == objectives.outputs("regression", ("price",)) == 1


def test_probabilities_of_classes():
    assert torch.equal(objectives.probabilities("multiclass", LOGITS, 2.0), functional.softmax(LOGITS / 2, 1))
    two = objectives.probabilities("binary", torch.tensor([[0.0], [2.0]]), 2.0)
    assert two[0].tolist() == [0.5, 0.5] and two[1].tolist() == pytest.approx([0.268941, 0.731059], abs=1e-6)


def test_probabilities_of_labels_and_numbers():
    assert torch.equal(objectives.probabilities("multilabel", LOGITS, 2.0), torch.sigmoid(LOGITS / 2))
    assert torch.equal(objectives.probabilities("regression", LOGITS[:, :1]), LOGITS[:, :1])


def test_right_answers():
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, -1.0]])
    assert objectives.right("multiclass", logits, torch.tensor([0, 0, 1])).tolist() == [1, 0, 0]
    assert objectives.right("binary", logits[:, :1], torch.tensor([1, 0, 0])).tolist() == [1, 1, 0]
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert objectives.right("multilabel", logits, labels).tolist() == [0.5, 1, 0]
    assert objectives.right("regression", logits[:, :1], logits[:, 0]) is None


def test_the_worked_softmax():
    result = objectives.probabilities("multiclass", torch.tensor([[5.0, 4.0, 2.0]]))[0]
    assert [round(one, 2) for one in result.tolist()] == [0.71, 0.26, 0.04]


def test_the_worked_negative_log_likelihood():
    """Of rows that are no log-probabilities, so that what normalises them is taken away again."""
    rows = torch.arange(1.0, 13.0).view(4, 3)
    ours = objectives.loss(LossConfig(name="log_softmax_nll"), "multiclass")
    result = ours(rows, torch.tensor([0, 1, 2, 0])) - rows.logsumexp(1).mean()
    assert result.item() == pytest.approx(-6.25, abs=1e-6)
