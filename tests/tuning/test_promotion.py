import copy

import pytest

from registry import aliases, leases, packages, verification, versions, webhooks
from registry.core import Registry
from registry.ledger import Report, Trial
from tailorbird.errors import LeaseLost, Unavailable
from tests import sweeps
from training import checkpoint, datasets, splits
from training.config import Objective
from training.loop import Run
from tuning import promotion
from tuning import spec as specs
from tuning.outcome import Ranked


@pytest.fixture(scope="module")
def trained():
    """A run on the digits, with what a trial's worker would have sent of it."""
    spec = specs.parse(
        {
            "name": "tiny",
            "data": {"name": "digits", "validation": 0.2, "holdout": 0.2},
            "runs": [{"model": {"family": "mlp", "width": 32}, "optimizer": {"lr": 5e-3}, "epochs": 4}],
            "promote": {"model": "tiny"},
        }
    )
    dealt = splits.split(datasets.load(spec.data, None, None), spec.data)
    run = Run(spec.configs[0], dealt)
    epochs = list(run)
    return spec, dealt, run, epochs


@pytest.fixture
def registry(settings):
    with Registry(settings) as opened:
        yield opened


@pytest.fixture
def best(trained, registry):
    """The trial in the ledger, its weights in the store."""
    _, _, run, epochs = trained
    digest = registry.blobs.put(checkpoint.encode(run.best_state))
    reports = [Report(epoch.epoch, epoch.metrics(), digest if epoch is run.best else None) for epoch in epochs]
    trial = Trial(1, run.config.model_dump(mode="json"), "finished", None, reports)
    return Ranked(trial, reports[run.best.epoch - 1])


@pytest.fixture(scope="module")
def measured():
    """What was measured of the trial, once it was."""
    return []


@pytest.fixture
def held(trained, registry):
    """The lease of a sweep by its name."""
    spec, *_ = trained
    known = {}

    def lease(sweep):
        if sweep not in known:
            known[sweep] = sweeps.begin(registry, sweep, spec.plain(), [])
        return known[sweep]

    return lease


@pytest.fixture
def register_best(trained, registry, best, measured, held):
    def register(candidate=None, champion=None, sweep="tiny-1", best=best, **to):
        spec, dealt, *_ = trained
        if candidate is None:
            measured or measured.append(promotion.measure(registry, best, dealt))
            candidate = measured[0]
        lineage = promotion.lineage(best, sweep, {"sha256": "sum"}, champion, Objective())
        to = spec.promote.model_copy(update=to)
        return promotion.enter(registry, held(sweep), candidate, to, lineage, champion, "ada")

    return register


def test_the_best_becomes_a_version_and_the_champion(register_best, registry):
    version = register_best()
    assert version.obstacle is None
    assert aliases.current(registry, "tiny") == version.version.number == 1
    assert verification.verify(registry, versions.resolve(registry, "tiny")) == []
    assert version.version.evidence.accuracy > 0.8
    assert version.version.evidence.parity.samples == version.version.evidence.samples
    assert version.version.evidence.latency.p50_ms > 0 and version.version.evidence.calibration_error > 0
    assert version.version.lineage.sweep == "tiny-1"
    assert version.version.lineage.data.sha256 == "sum"


def test_a_process_that_lost_its_sweep_registers_nothing(register_best, registry, held):
    """Paused before that, it would otherwise wake up and register a second version of the same trial."""
    held("tiny-1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leases, "expired", lambda *_: True)
        leases.take(registry, "tiny-1", 60, "grace")
    with pytest.raises(LeaseLost):
        register_best()
    assert [*versions.every(registry)] == []


def test_held_out_examples_go_along_unless_the_spec_leaves_them_out(register_best, registry):
    for sweep, kept in (("tiny-1", True), ("tiny-2", False)):
        version = register_best(sweep=sweep, samples=kept).version
        assert ("samples.npz" in packages.manifest(registry.blobs, version.manifest).files) == kept


def test_an_alias_that_moved_during_the_sweep_is_left_where_it_is(register_best, registry):
    register_best()
    version = register_best(champion=None, sweep="tiny-2")  # this sweep began before there was one
    assert version.version.number == 2
    assert "someone else moved it first" in version.obstacle
    assert aliases.current(registry, "tiny") == 1


def test_an_alias_that_an_extended_sweep_moved_itself_is_moved_on(register_best, registry, best):
    register_best()
    other = next(report for report in best.trial.reports if report != best.best)
    version = register_best(best=Ranked(best.trial, other))
    assert (version.version.number, version.obstacle) == (2, None)
    assert aliases.current(registry, "tiny") == 2


def test_a_candidate_under_the_champion_is_registered_and_not_promoted(
    trained, best, register_best, registry, monkeypatch
):
    register_best()
    monkeypatch.setattr(checkpoint, "restore", _restore_zeros)
    version = register_best(promotion.measure(registry, best, trained[1]), champion=1, sweep="tiny-2")
    assert version.version.number == 2
    assert "it may be" in version.obstacle and "points worse" in version.obstacle and "tiny:1 on" in version.obstacle
    assert "below that of always predicting" in version.obstacle
    assert aliases.current(registry, "tiny") == 1


def test_a_process_that_died_after_it_registered_is_followed_by_one_that_finds_it(register_best, registry):
    version, again = register_best(), register_best()
    assert version.version.number == again.version.number == 1
    assert again.obstacle is None and len(versions.page(registry)) == 1


def test_a_broken_export_is_registered_and_not_promoted(trained, best, register_best, registry, monkeypatch):
    whole = promotion.candidate.export.to_onnx
    monkeypatch.setattr(promotion.candidate.export, "to_onnx", lambda network, *rest: whole(_shaken(network), *rest))
    version = register_best(promotion.measure(registry, best, trained[1]))
    assert "the export" in version.obstacle
    assert aliases.current(registry, "tiny") is None


def test_a_champion_whose_webhooks_cannot_be_told_is_the_champion(register_best, registry, monkeypatch, caplog):
    def busy(*_, **__):
        raise Unavailable("the database cannot be used: database is locked")

    monkeypatch.setattr(webhooks, "deliver", busy)
    version = register_best()
    assert version.obstacle is None and aliases.current(registry, "tiny") == version.version.number
    assert caplog.messages[-1].startswith("webhooks could not be sent: the database cannot be used: ")


def _restore_zeros(network, data):
    for parameter in network.parameters():
        parameter.data.zero_()


def _shaken(network):
    broken = copy.deepcopy(network)
    for parameter in broken.parameters():
        parameter.data.mul_(1.1)
    return broken
