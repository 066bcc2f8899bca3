"""Images of the user's own: a folder or archive with a folder for each class, decoded once, in parallel.

`train/CLASS/*.jpg`, with `validation/CLASS/*.jpg` and `test/CLASS/*.jpg` if there are such splits, or `CLASS/*.jpg`
alone; a folder around everything does not matter. Every image is converted to one size and mode by the same function as
in serving: `tailorbird.images`.
"""

from functools import partial
from pathlib import Path

import PIL
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tailorbird import terminal
from training.config import DataConfig
from training.datasets import kept, trees
from training.datasets.dataset import Dataset
from training.datasets.decoding import Decoding
from training.datasets.layout import layout
from training.datasets.survey import Survey

RULE = 6
"""Version of the decoding rules: images decoded by another version are decoded again."""


def load(config: DataConfig, folder: Path, cache: Path) -> Dataset:
    """Decode a tree of images, unless it was decoded before; `config.path` is absolute or below `folder`.

    Raises InvalidInput that names the tree if it is not a data set, or the files that cannot be read.
    """
    root = config.located(folder)
    source = [str(root), trees.fingerprint(root), config.size, config.colour, config.skip_broken, RULE, PIL.__version__]
    return kept.load(cache, source, _title(root), partial(_make, root, config))


def _title(root: Path) -> str:
    suffix = next((ending for ending in trees.ARCHIVES if root.name.lower().endswith(ending)), "")
    return root.name.removesuffix(suffix) or "images"


def _make(root: Path, config: DataConfig, into: Path) -> None:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = terminal.console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"looking through {root.name}", total=None)
        survey = Survey.of(root, partial(bar.advance, task))
        survey.check(root, config)
        where = layout(root, survey.names)
        bar.reset(task, total=len(survey.names), description=f"decoding {root.name}")
        decoding = Decoding(root, into, where, survey.wanted(root, config))
        decoding.run(partial(bar.advance, task))
    decoding.finish(config.skip_broken, list(survey.notes()))
