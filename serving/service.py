"""The BentoML service: `bentoml serve serving.service:Service`."""

import atexit
import os
import shutil
import tempfile

import bentoml
from bentoml.exceptions import BentoMLException
from starlette.types import ASGIApp

from serving.state import FOLDER
from tailorbird import settings
from tailorbird.errors import InvalidInput


class _Fronted(bentoml.Service):  # type: ignore[misc]
    """A service whose requests bypass BentoML's middlewares, which cost more than the model.

    BentoML's workers call `to_asgi` for the application to serve (measured, and pinned, at 1.4.39).
    """

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        # saves a third of a second in the server's first process, which imports this module too
        from serving import worker

        return worker.build(settings.load(), super().to_asgi(is_main))


class _Classifier:
    """An image classifier from a Tailorbird registry."""

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def prepare() -> None:
        """Check settings before any worker starts: with wrong ones, workers would exit and be restarted for ever.

        Under `bentoml serve`, this also gives workers a folder to share.
        """
        try:
            settings.load()
        except InvalidInput as error:
            raise BentoMLException(str(error)) from None
        if FOLDER not in os.environ:
            os.environ[FOLDER] = tempfile.mkdtemp(prefix="tailorbird-")
            atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)


Service = bentoml.service(
    name="tailorbird",
    service_class=_Fronted,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)(_Classifier)
