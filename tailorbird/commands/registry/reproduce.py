"""`tailorbird registry reproduce`."""

from registry import versions
from tailorbird import terminal
from tailorbird.commands.options import AsJson, Ref, open_registry, print_json
from tailorbird.commands.train import with_bar
from tailorbird.errors import TailorbirdError
from tailorbird.pages.document import clean


def reproduce(version: Ref, as_json: AsJson = False) -> None:
    """Retrain a version from its lineage and compare; exit status 1 if the result differs.

    Example: tailorbird registry reproduce demo:1
    """
    from tailorbird import reproduction
    from training import checkpoint
    from training.loop import Run

    console = terminal.console(stderr=as_json)
    with open_registry() as registry:
        plan = reproduction.plan(registry, versions.resolve(registry, version), registry.settings)
        run = Run(plan.config, plan.splits, plan.objective)
        with_bar(run, console, plan.epoch)
        outcome = reproduction.compare(registry, plan, checkpoint.encode(run.state.kept.state_dict()))
    if as_json:
        print_json(outcome.record())
    else:
        for line in outcome.lines():
            console.print(clean(line), soft_wrap=True)
    if outcome.problems:
        raise TailorbirdError(f"{outcome.version} was not reproduced: {'; '.join(outcome.problems)}")
