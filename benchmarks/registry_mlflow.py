"""MLflow's side of the registry benchmark: its client on the database itself, as it is used without a tracking server.

It runs in an environment of its own, which has MLflow and nothing of ours.
"""

import logging
import sys
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from benchmarks.workers import answer


class Theirs:
    """Operations on the models `bench`, whose files come from folders, and `listed`, which has only rows."""

    def __init__(self, url: str, folder: Path, listed: int) -> None:
        self.client = MlflowClient(tracking_uri=url, registry_uri=url)
        self.experiment = self.client.create_experiment("bench", artifact_location=folder.as_uri())
        self.client.create_registered_model("bench")
        self.client.create_registered_model("listed")
        run = self.client.create_run(self.experiment).info
        for _ in range(listed):
            self.client.create_model_version("listed", run.artifact_uri, run.run_id)

    def register(self, folder: str) -> None:
        run = self.client.create_run(self.experiment).info
        self.client.log_artifacts(run.run_id, folder)
        self.client.create_model_version("bench", run.artifact_uri, run.run_id)
        self.client.set_terminated(run.run_id)

    def promote(self, number: int) -> None:
        self.client.set_registered_model_alias("bench", "champion", str(number))

    def resolve(self, _: Any) -> None:
        self.client.get_model_version_by_alias("bench", "champion")

    def list(self, model: str) -> None:
        assert len(self.client.search_model_versions(f"name = '{model}'", max_results=100)) == 100


def main() -> None:
    """`python -m benchmarks.registry_mlflow DATABASE_URL FOLDER LISTED`; answers on standard input."""
    logging.disable()  # its migrations tell of each step
    url, folder, listed = sys.argv[1:]
    theirs = Theirs(url, Path(folder), int(listed))
    answer({name: getattr(theirs, name) for name in ("register", "promote", "resolve", "list")})


if __name__ == "__main__":
    main()
