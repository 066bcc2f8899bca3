"""The BentoML service: `bentoml serve serving.service:Service`."""

import bentoml
from bentoml.exceptions import BentoMLException
from starlette.applications import Starlette

from serving import app
from tailorbird import settings
from tailorbird.errors import InvalidInput


class _Fronted(bentoml.Service):  # type: ignore[misc]
    """A service whose request path does not lead through BentoML's middlewares: they cost more than the model.

    BentoML's workers call `to_asgi` for what they serve (measured, and pinned, at 1.4.39).
    """

    def to_asgi(self, is_main: bool = True) -> Starlette:
        return app.build(settings.load(), super().to_asgi(is_main))


class _Classifier:
    """An image classifier from a Tailorbird registry."""

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def check_settings() -> None:
        """Before any worker starts: each would end at these settings, and be started again for ever."""
        try:
            settings.load()
        except InvalidInput as error:
            raise BentoMLException(str(error)) from None


Service = bentoml.service(
    name="tailorbird",
    service_class=_Fronted,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)(_Classifier)
