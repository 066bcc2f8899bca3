"""Webhooks: every move of an alias is sent to the configured URLs, at least once, from an outbox.

A move and its rows in the outbox commit together; nothing is sent before that, or within a transaction.
"""

import hashlib
import hmac
import logging
import math
import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from registry import schema
from registry.core import Registry
from registry.databases.database import encode
from tailorbird import __version__
from tailorbird.errors import Unavailable
from tailorbird.settings import Settings

logger = logging.getLogger(__name__)

ATTEMPTS = 12
FIRST_WAIT, LONGEST_WAIT = 10, 6 * 3600
LEASE_SECONDS = 120
"""Seconds for which a sender reserves a row: well over `post.SECONDS` and the resolution of the host."""

PATIENCE = 10
"""Seconds for which the process that moved an alias starts pending deliveries."""


@dataclass(frozen=True)
class Delivery:
    """The result of one attempt. `host` is the URL without its path, which is often secret."""

    id: str
    move: int
    host: str
    attempts: int
    delivered: str | None
    problem: str | None

    def record(self) -> dict[str, Any]:
        return asdict(self)


def enqueue(connection: sa.Connection, settings: Settings, move_record: Mapping[str, Any]) -> None:
    """Add a move, which has an `id`, to the outbox once for each webhook, in the transaction that wrote it."""
    now = schema.now()
    body = encode({"event": "alias.moved", "move": dict(move_record)})
    waiting = {"move": move_record["id"], "body": body, "created": now, "attempts": 0, "next_attempt": now}
    if settings.webhooks:
        connection.execute(schema.outbox.insert(), [{**waiting, "url": url} for url in settings.webhooks])


def tell(registry: Registry) -> None:
    """Send what is due after a move; errors are logged and do not affect the move.

    Deliveries that are not started within PATIENCE seconds stay in the outbox.
    """
    try:
        for delivery in deliver(registry, seconds=PATIENCE):
            if delivery.problem is not None:
                logger.warning(
                    "webhook %s: %s; retry with `tailorbird registry notify`", delivery.host, delivery.problem
                )
    except Unavailable as error:
        logger.warning("webhooks could not be sent: %s; retry with `tailorbird registry notify`", error)


def deliver(registry: Registry, *, limit: int = 100, seconds: float = math.inf) -> list[Delivery]:
    """Send what is due to the configured webhooks; returns the result of each attempt.

    At most `limit` attempts are made, and none is started after `seconds`. May run in many processes at once, and be
    killed: a delivery without a recorded result is repeated when its lease ends.
    """
    begun = schema.now()
    attempts: list[Delivery] = []
    deadline = time.monotonic() + seconds
    while registry.settings.webhooks and len(attempts) < limit and time.monotonic() < deadline:
        row = _claim(registry, begun)
        if row is None:
            break
        attempts.append(_attempt(registry, row))
    return attempts


def sign(key: str, moment: str, body: str) -> str:
    """The signature header of a request: SHA-256 HMAC of the timestamp header, a full stop and the body."""
    return "sha256=" + hmac.new(key.encode(), f"{moment}.{body}".encode(), hashlib.sha256).hexdigest()


def _claim(registry: Registry, begun: str) -> sa.Row[Any] | None:
    """Reserve the oldest row that was due at `begun` until the lease ends."""
    outbox = schema.outbox
    due = (
        sa.select(outbox.c.id, outbox.c.attempts)
        .where(outbox.c.next_attempt <= begun, outbox.c.url.in_(registry.settings.webhooks))
        .order_by(outbox.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with registry.atomic() as connection:
        row = connection.execute(due).first()
        if row is None:
            return None
        attempt = row.attempts + 1
        claim = {
            "attempts": attempt,
            "next_attempt": _in(LEASE_SECONDS) if attempt < ATTEMPTS else None,
            "problem": f"attempt {attempt} of {ATTEMPTS} started, but its outcome was not recorded",
        }
        return connection.execute(outbox.update().filter_by(id=row.id).values(claim).returning(outbox)).one()


def _attempt(registry: Registry, row: sa.Row[Any]) -> Delivery:
    outbox = schema.outbox.c
    identifier = f"{row.id}-{row.created}"  # a restored database may assign the number again
    problem = _send(registry.settings, identifier, row.url, row.body)
    ours = [outbox.id == row.id, outbox.delivered.is_(None)]
    if problem is not None:  # unless the lease has ended and another attempt has started, whose result counts
        ours.append(outbox.attempts == row.attempts)
    outcome = _outcome(row.attempts, problem)
    with registry.atomic() as connection:
        connection.execute(schema.outbox.update().where(*ours).values(outcome))
    return Delivery(
        id=identifier,
        move=row.move,
        host=_host(row.url),
        attempts=row.attempts,
        delivered=outcome["delivered"],
        problem=outcome["problem"],
    )


def _outcome(attempts: int, problem: str | None) -> dict[str, str | None]:
    if problem is None:
        return {"delivered": schema.now(), "next_attempt": None, "problem": None}
    if attempts < ATTEMPTS:
        return {"delivered": None, "next_attempt": _in(wait(attempts)), "problem": problem}
    return {"delivered": None, "next_attempt": None, "problem": f"given up after {attempts} attempts: {problem}"}


def _send(settings: Settings, identifier: str, url: str, body: str) -> str | None:
    """The problem, or None."""
    from registry import post  # imports http.client and ssl, which takes longer than moving an alias

    assert settings.webhook_key is not None  # noqa: S101 - settings have one where they have webhooks
    moment = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"tailorbird/{__version__}",
        "X-Tailorbird-Delivery": identifier,
        "X-Tailorbird-Timestamp": moment,
        "X-Tailorbird-Signature": sign(settings.webhook_key.get_secret_value(), moment, body),
    }
    try:
        post.send(url, body.encode(), headers, private=settings.webhook_private)
    except Unavailable as error:
        return str(error)
    return None


def wait(attempts: int) -> float:
    """Seconds to wait after `attempts` attempts.

    They triple with each attempt, up to LONGEST_WAIT, less a random part of up to half.
    """
    return min(FIRST_WAIT * 3.0 ** (attempts - 1), LONGEST_WAIT) * random.uniform(0.5, 1)


def _in(seconds: float) -> str:
    return schema.timestamp(datetime.now(UTC) + timedelta(seconds=seconds))


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
