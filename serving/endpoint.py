"""What one worker process serves: a model with all that answers for it, or the reason why there is none."""

import logging
from dataclasses import dataclass

from registry.core import Registry
from registry.names import Reference
from serving import model, receipts
from serving.feedback import Labels
from serving.metrics import Metrics
from serving.model import Model
from serving.predictions import Predictor
from serving.problems import unavailable
from serving.receipts import Receipts
from tailorbird.errors import TailorbirdError
from tailorbird.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """A model that is ready, and what answers with it."""

    registry: Registry
    model: Model
    predictor: Predictor
    labels: Labels


class Endpoint:
    """Opened once in a worker's start; a worker that cannot load its model stays, and says why."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self._served: Served | None = None
        self._problem = "the model is being loaded"

    @property
    def served(self) -> Served:
        """What is served; raises Problem 503 where that is nothing."""
        if self._served is None:
            raise unavailable(f"there is no model to answer with: {self._problem}")
        return self._served

    def open(self) -> None:
        try:
            self._served = self._load()
        except TailorbirdError as error:
            self._problem = str(error)
            logger.error("not ready: %s", error)
        except Exception:  # a worker that ends here would be started again for ever
            self._problem = "loading it failed; the log says how"
            logger.exception("not ready")

    def close(self) -> None:
        if self._served is not None:
            self._served.registry.close()
            self._served = None

    def _load(self) -> Served:
        settings = self.settings
        registry = Registry(settings)
        loaded = model.load(registry, Reference.parse(settings.model), settings.cache)
        own_receipts = Receipts(receipts.key(settings), loaded.version.model, settings.receipt_days)
        self.metrics.publish(loaded.version, loaded.alias, loaded.baseline, loaded.signature.classes)
        return Served(
            registry=registry,
            model=loaded,
            predictor=Predictor(loaded, own_receipts, self.metrics),
            labels=Labels(registry, loaded, own_receipts, self.metrics),
        )
