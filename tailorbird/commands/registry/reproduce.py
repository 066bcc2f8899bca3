"""`tailorbird registry reproduce`."""

from rich.console import Console

from registry import versions
from tailorbird import reproduction, terminal
from tailorbird.commands.options import AsJson, Ref, open_registry, print_json
from tailorbird.commands.train import with_bar
from tailorbird.errors import TailorbirdError
from tailorbird.pages.document import clean
from tailorbird.reproduction import Reproduction
from training import checkpoint
from training.loop import Run


def reproduce(version: Ref, as_json: AsJson = False) -> None:
    """Train a version again from its lineage, and compare; exit status 1 where something else comes out.

    Example: tailorbird registry reproduce demo:1
    """
    console = terminal.console(stderr=as_json)
    with open_registry() as registry:
        made = reproduction.plan(registry, versions.resolve(registry, version), registry.settings)
        run = Run(made.config, made.splits, made.objective)
        with_bar(run, console, made.epoch)
        found = reproduction.compare(registry, made, checkpoint.encode(run.state.kept.state_dict()))
    if as_json:
        print_json(found.record())
    else:
        _show(found, console)
    if found.problems:
        raise TailorbirdError(f"{found.version} was not reproduced: {'; '.join(found.problems)}")


def _show(found: Reproduction, console: Console) -> None:
    weights = "the same bit for bit" if found.weights_equal else f"differ by up to {found.weights_difference:.2g}"
    lines = [
        f"weights of epoch {found.epoch}: {weights}",
        f"model.onnx: {'the same byte for byte' if found.export_equal else 'another file'}",
        f"probabilities of {found.samples:,} held-out images: differ by {found.mean_difference:.2g} on average, "
        f"{found.max_difference:.2g} at most; {found.agreement:.2%} get the same label",
        f"held-out accuracy: registered {found.registered_accuracy:.2%}, stored model {found.served_accuracy:.2%}, "
        f"retrained {found.retrained_accuracy:.2%}",
        *(f"environment: {line}" for line in found.environment or ["the same"]),
    ]
    if not found.problems:
        lines.append(f"{found.version} is reproduced {'bit for bit' if found.weights_equal else 'within bounds'}")
    for line in lines:
        console.print(clean(line), soft_wrap=True)
