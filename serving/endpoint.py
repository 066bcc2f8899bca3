"""The parts of a worker process, and the version it serves at the moment."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from registry.core import Registry
from registry.names import Reference
from registry.version import Version
from serving import receipts
from serving.backlog import Backlog
from serving.challenger import Shadow
from serving.feedback import Labels
from serving.fetches import Fetches
from serving.inputs import Reader
from serving.keeping import Keeper
from serving.metrics import Metrics
from serving.model import Model, open_model
from serving.pools import Pools
from serving.predictor import Predictor
from serving.problems import unavailable
from serving.receipts import Receipts
from serving.state import StateFile
from tailorbird.settings import Settings


@dataclass(frozen=True)
class Served:
    """The served version: a model, its predictor, and the reader of its inputs."""

    model: Model
    predictor: Predictor
    reader: Reader

    @property
    def version(self) -> Version:
        return self.model.version


class Endpoint:
    """Owns registry, labels, receipts and metrics; `folder` is the server's, shared by its workers.

    `problem` says why there is no model, if there is none; `stopping` is true from the signal on.
    """

    def __init__(self, settings: Settings, metrics: Metrics, folder: Path) -> None:
        self.settings = settings
        self.metrics = metrics
        self.pools = Pools()
        self.backlog = Backlog(self.pools.inference, settings.max_queue, settings.request_seconds)
        self.readings = Backlog(self.pools.decoding, settings.max_queue, settings.request_seconds)
        self.shadow = Shadow(metrics, self.pools.challenger)
        self.folder = folder
        self.keeper = Keeper(
            lambda: self.registry,
            lambda: self.reference.model,
            metrics,
            self.pools.keeping,
            most=settings.keep_inputs,
            days=settings.keep_days,
        )
        self.fetches = Fetches(lambda: self.registry, self.pools.fetching)
        self.state = StateFile(folder)
        self.problem = "the model is being loaded"
        self.stopping = False
        self._served: Served | None = None

    @cached_property
    def reference(self) -> Reference:
        """The reference to serve; raises InvalidInput if the setting is not one."""
        return Reference.parse(self.settings.model)

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.settings)

    @cached_property
    def receipts(self) -> Receipts:
        return Receipts(receipts.keys(self.settings), self.reference.model, self.settings.receipt_days)

    @cached_property
    def labels(self) -> Labels:
        return Labels(
            self.registry, self.reference.model, self.receipts, self.metrics, self.pools, accepted=self.shadow.score
        )

    @property
    def served(self) -> Served:
        """The served version; raises Problem 503 if there is none."""
        if self._served is None:
            raise unavailable(f"there is no model to serve: {self.problem}")
        return self._served

    @property
    def current(self) -> Served | None:
        return self._served

    def prepare(self, version: Version, alias: str) -> Served:
        """Fetch, verify, open and warm up a version.

        Raises Corrupt or InvalidInput if it cannot be served, Unavailable if it cannot be fetched.
        """
        model = open_model(version, alias, self.fetches.verified(version))
        return Served(
            model=model,
            predictor=Predictor(model, self.receipts, self.metrics),
            reader=Reader(model.signature, self.settings.max_pixels, self.settings.max_rows),
        )

    def swap(self, served: Served) -> None:
        """Answer with another version from now on; requests in flight keep the version that they started with."""
        before = self._served
        model = served.model
        self.labels.know(model.version.number, model.signature.classes)
        self.metrics.publish(model.version, model.alias, model.known)
        self._served = served
        if before is not None:
            self.metrics.retire(before.version, before.model.alias)

    def close(self) -> None:
        self._served = None
        self.state.close()
        if "registry" in vars(self):
            self.registry.close()
