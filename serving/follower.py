"""Keeps a worker at the served version and, if it is the leader, the server at its alias."""

import asyncio
import logging
import random
import time
from dataclasses import replace

from registry import versions
from registry.names import Reference
from registry.version import Version
from serving import resolution
from serving.choice import REGISTRY_SECONDS, choose
from serving.endpoint import Endpoint, Served
from serving.state import Stale, State, same
from tailorbird.errors import InvalidInput, NotFound, TailorbirdError, Unavailable
from tailorbird.package.signature import Signature

logger = logging.getLogger(__name__)

CHALLENGER = "challenger"
TICK_SECONDS = 0.25
"""Seconds between checks of the server's file."""
JITTER = 0.2


class Follower:
    """Belongs to one event loop, except `start`, which is called before the loop runs it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._next_look = time.monotonic() + self._pause()

    def start(self) -> None:
        """Load the served version or, in the first worker, the one that registry or cache name; blocks."""
        endpoint = self._endpoint
        try:
            with endpoint.state.turn():
                entered = endpoint.state.read()
                state = entered or choose(endpoint.registry, endpoint.reference, endpoint.pools.registry)
                served = endpoint.prepare(state.version, state.alias)
                if entered is None:
                    endpoint.state.write(state)
            endpoint.swap(served)
            self._remember(state)
        except TailorbirdError as error:
            if endpoint.problem != str(error):  # logged once, not for every retry
                logger.error("not ready: %s", error)
            endpoint.problem = str(error)
        except Exception:  # a worker that exits here would be restarted for ever
            endpoint.problem = "loading it failed; see the log"
            logger.exception("not ready")

    async def run(self) -> None:
        """Check regularly, until cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self._endpoint.pools.loading.run(self._look_around)
            except Exception:  # serving continues whatever happens here
                logger.exception("checking the served version failed")

    def _look_around(self) -> None:
        endpoint = self._endpoint
        due = time.monotonic() >= self._next_look
        if due:
            self._next_look = time.monotonic() + self._pause()
        if endpoint.current is None:
            if due:
                self.start()
            return
        if endpoint.state.lead() and due and endpoint.settings.watch:
            self._look_at_registry()
        self._do_as_the_server()

    def _look_at_registry(self) -> None:
        state = self._endpoint.state.read()
        if state is None:
            return
        try:
            version = self._ask(self._endpoint.reference)
            challenger = self._challenger()
        except TailorbirdError as error:
            self._note(self._stale(state, str(error)))
            return
        state = state.followed(version, challenger)
        if not same(version, state.version) and not state.failed(version):
            state = self._try(state, version)
        self._note(self._try_challenger(state, challenger))

    def _ask(self, reference: Reference) -> Version:
        endpoint = self._endpoint
        return endpoint.pools.registry.within(REGISTRY_SECONDS, lambda: versions.resolve(endpoint.registry, reference))

    def _challenger(self) -> Version | None:
        reference = self._endpoint.reference
        if reference.number is not None or reference.alias == CHALLENGER:
            return None
        try:
            return self._ask(Reference(reference.model, alias=CHALLENGER))
        except NotFound:
            return None

    def _try(self, state: State, version: Version) -> State:
        """The state after a swap to `version`, or the old one with the reason why not."""
        endpoint = self._endpoint
        try:
            served = self._prepare(version, state.alias)
        except Unavailable as error:
            endpoint.metrics.swaps.labels("unavailable").inc()
            return self._stale(state, f"{version} cannot be fetched: {error}")
        except Exception as error:  # of any kind: a version that fails to load is not served
            endpoint.metrics.swaps.labels("failed").inc()
            logger.error("%s is not served: %s", version, error)
            return state.with_failure(version, str(error))
        state = replace(state, version=version)
        endpoint.state.write(state)
        endpoint.swap(served)
        endpoint.metrics.swaps.labels("swapped").inc()
        logger.warning("now serving %s", version)
        self._remember(state)
        return state

    def _try_challenger(self, state: State, version: Version | None) -> State:
        if version is not None and (state.failed(version) or same(version, state.version)):
            version = None
        if version is None or (state.challenger is not None and same(version, state.challenger)):
            return replace(state, challenger=version)
        try:
            self._prepare(version, CHALLENGER)
        except Unavailable as error:
            logger.warning("the challenger %s cannot be fetched: %s", version, error)
            return state
        except Exception as error:
            logger.error("%s cannot be a challenger: %s", version, error)
            return replace(state.with_failure(version, str(error)), challenger=None)
        return replace(state, challenger=version)

    def _prepare(self, version: Version, alias: str) -> Served:
        served = self._endpoint.prepare(version, alias)
        _check_signature(self._endpoint.served.model.signature, served.model.signature)
        return served

    def _do_as_the_server(self) -> None:
        """Serve the version, and run the challenger, that the server's file names."""
        endpoint, state = self._endpoint, self._endpoint.state.read()
        if state is None or endpoint.current is None:
            return
        if not same(state.version, endpoint.current.version):
            with endpoint.state.turn():
                served = endpoint.prepare(state.version, state.alias)
            endpoint.swap(served)
        shadow = endpoint.shadow.predictor
        if state.challenger is None:
            endpoint.shadow.predictor = None
        elif shadow is None or not same(shadow.model.version, state.challenger):
            with endpoint.state.turn():
                endpoint.shadow.predictor = endpoint.prepare(state.challenger, CHALLENGER).predictor

    def _stale(self, state: State, problem: str) -> State:
        if state.stale is None:
            logger.warning("serving %s, and not following its alias: %s", state.version, problem)
        stale = replace(state.stale, problem=problem) if state.stale else Stale.now(problem)
        return replace(state, stale=stale)

    def _remember(self, state: State) -> None:
        endpoint = self._endpoint
        try:
            resolution.remember(endpoint.settings.cache, endpoint.reference, state.version)
            resolution.tidy(endpoint.settings.cache, state.version, state.challenger)
        except Unavailable as error:  # a full disk: a start without the registry would serve an older version
            logger.warning("the served version cannot be recorded in the cache: %s", error)

    def _note(self, state: State) -> None:
        if state != self._endpoint.state.read():
            self._endpoint.state.write(state)

    def _pause(self) -> float:
        seconds = self._endpoint.settings.watch or REGISTRY_SECONDS
        return seconds * random.uniform(1 - JITTER, 1 + JITTER)


def _check_signature(served: Signature, other: Signature) -> None:
    """Raise InvalidInput if clients of the one version could not use the other."""
    if _interface(served) != _interface(other):
        raise InvalidInput(
            "signature.json",
            "has other inputs or other classes than the served version: restart the endpoint to serve it",
        )


def _interface(signature: Signature) -> tuple[object, ...]:
    return signature.kind, signature.shape, signature.dtype, signature.classes, signature.columns
