"""Our side of the registry benchmark: a registry in a process of its own."""

import sys
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.package import EXPORT
from benchmarks.workers import answer
from registry import aliases, gates, verification, versions
from registry.core import Registry
from registry.evidence import Evidence
from registry.policy import Policy
from registry.requests import Promotion, Rollback
from tailorbird.errors import Refused
from tailorbird.package.lineage import Lineage
from tailorbird.settings import Settings

ACTIONS = ("register", "promote", "rollback", "refuse", "resolve", "list", "verify", "judge")


class Ours:
    """Operations on the models `bench`, which has a champion, and `listed`, which has many versions."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def register(self, folder: str) -> None:
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        versions.register(self.registry, "bench", files, EXPORT, Lineage(sweep="bench-1"), "benchmark")

    def promote(self, number: int) -> None:
        aliases.promote(self.registry, Promotion("bench", number, why="to be measured", who="benchmark"))

    def rollback(self, number: int) -> None:
        """Back from a version that it is promoted to first."""
        self.promote(number)
        aliases.rollback(self.registry, Rollback("bench", why="to be measured", who="benchmark"))

    def refuse(self, number: int) -> None:
        """A deletion of a version that is needed."""
        with suppress(Refused):
            versions.delete(self.registry, "bench", number, why="to be measured", who="benchmark")
            raise AssertionError

    def resolve(self, _: Any) -> None:
        versions.resolve(self.registry, "bench@champion")

    def list(self, model: str | None) -> None:
        assert len(versions.page(self.registry, model)) == versions.PAGE

    def verify(self, number: int) -> None:
        assert not verification.verify(self.registry, versions.resolve(self.registry, f"bench:{number}"))

    def judge(self, _: Any) -> None:
        """The part of a promotion that is arithmetic alone."""
        assert gates.judge(*self._pair, Policy()).passed

    @cached_property
    def _pair(self) -> tuple[Evidence, Evidence]:
        pair = [versions.resolve(self.registry, f"bench:{number}") for number in (1, 2)]
        first, second = (verification.read(self.registry, version) for version in pair)
        return first, second


def main() -> None:
    """`python -m benchmarks.registry_ours HOME DATABASE_URL`; answers on standard input."""
    home, url = sys.argv[1:]
    with Registry(Settings(home=Path(home), database_url=url, _env_file=None)) as registry:
        ours = Ours(registry)
        answer({name: getattr(ours, name) for name in ACTIONS})


if __name__ == "__main__":
    main()
