"""The terminal."""

from rich.console import Console


def console(*, stderr: bool = False) -> Console:
    """One that shows what people wrote, as names of runs, as they wrote it: brackets and colons are no markup."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
