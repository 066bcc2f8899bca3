import contextlib
import json
import multiprocessing
import os
import re
import signal
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from registry import aliases, history, schema, webhooks
from registry.core import Registry
from registry.requests import Promotion, Rollback
from tailorbird.errors import Conflict, Refused, Unavailable
from tests.packages import ABOUT
from tests.waiting import BOUND_SECONDS

KEY = "a key of 16 characters"
REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference.md"
AGAIN = "retry with `tailorbird registry notify`"
LONG_AGO = "2020-01-01T00:00:00.000000Z"


class Receiver:
    """An HTTP server that keeps what it gets, and answers each request with `status` after `before(number)` was run."""

    def __init__(self):
        self.requests = []
        self.status = 200
        self.before = lambda _: None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((self.path, self.headers, body))
                answer = receiver.before(len(receiver.requests)) or receiver.status
                with contextlib.suppress(OSError):  # whoever asked may be dead
                    self.send_response(answer)
                    self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret"

    @property
    def paths(self):
        return [path for path, _, _ in self.requests]

    @property
    def ids(self):
        return [headers["X-Tailorbird-Delivery"] for _, headers, _ in self.requests]


@pytest.fixture
def receiver():
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def hooked(settings, receiver):
    return with_webhooks(settings, receiver.url)


@pytest.fixture
def registry(hooked):
    with Registry(hooked) as opened:
        yield opened


def with_webhooks(settings, *urls, private=True):
    changed = {"webhooks": urls, "webhook_key": KEY, "webhook_private": private}
    return type(settings)(_env_file=None, **settings.model_dump() | changed)


@contextlib.contextmanager
def moving(registry):
    """A transaction that has written a move; gives it as `enqueue` takes it."""
    tables, now = schema.metadata.tables, schema.now()
    version = {"model": "fashion", "number": 1}
    about = {"manifest": "0" * 64, "evidence": ABOUT.evidence.record(), "lineage": {}, "who": "ada", "created": now}
    verdict = {"alias": "champion", "passed": True, "policy": {}, "gates": [], "who": "ada", "judged": now}
    move = {"model": "fashion", "alias": "champion", "kind": "promote", "from_number": None, "to_number": 1}
    move |= {"forced": False, "why": "bättre", "who": "ada", "moved": now}
    with registry.atomic() as connection:

        def add(table, row):
            return connection.execute(tables[table].insert().values(**row)).inserted_primary_key[0]

        if connection.scalar(sa.select(schema.models.c.name)) is None:
            add("models", {"name": "fashion", "last_number": 1, "created": now})
            add("versions", version | about | {"id": history.enter(connection, "fashion")})
        move["verdict"] = add("verdicts", version | verdict)
        move["id"] = number = history.enter(connection, "fashion")
        add("moves", move)
        yield connection, {"id": number, **move}


def move(registry, settings=None):
    with moving(registry) as (connection, record):
        webhooks.enqueue(connection, settings or registry.settings, record)
    return record


def rows(registry):
    with registry.reading() as connection:
        return connection.execute(sa.select(schema.outbox).order_by("id")).all()


def end_waits(registry):
    """As if all the time had passed that rows wait for."""
    waiting = schema.outbox.c.next_attempt.is_not(None)
    with registry.atomic() as connection:
        connection.execute(schema.outbox.update().where(waiting).values(next_attempt=LONG_AGO))


def seconds_until(moment):
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()


# --- into the outbox


def test_a_move_waits_in_the_outbox_for_each_webhook(settings):
    urls = ("https://a.example/x", "https://b.example")
    with Registry(with_webhooks(settings, *urls)) as registry:
        record = move(registry)
        queued = rows(registry)
    assert [(row.url, row.move, row.attempts) for row in queued] == [(url, record["id"], 0) for url in urls]
    assert {json.dumps(json.loads(row.body)) for row in queued} == {
        json.dumps({"event": "alias.moved", "move": record})
    }
    assert {(row.delivered, row.problem) for row in queued} == {(None, None)}
    assert all(row.created == row.next_attempt <= schema.now() for row in queued)


def test_without_webhooks_nothing_waits(settings):
    with Registry(settings) as registry:
        move(registry)
        assert rows(registry) == [] and webhooks.deliver(registry) == []


def test_a_move_that_is_rolled_back_leaves_nothing_to_send(registry, receiver):
    with pytest.raises(ZeroDivisionError), moving(registry) as (connection, record):
        webhooks.enqueue(connection, registry.settings, record)
        raise ZeroDivisionError
    assert rows(registry) == [] and webhooks.deliver(registry) == [] and receiver.requests == []


def test_nothing_is_sent_before_the_move_is_committed(registry, receiver):
    with moving(registry) as (connection, record):
        webhooks.enqueue(connection, registry.settings, record)
        time.sleep(0.05)
        assert receiver.requests == []


def test_promotions_and_rollbacks_are_told_and_refusals_are_not(registry, receiver, register):
    about = {"why": "better", "who": "ada"}
    register(registry, accuracy=0.9, weights=b"1")
    register(registry, accuracy=0.95, weights=b"2")
    register(registry, accuracy=0.5, weights=b"3")
    moves = [aliases.promote(registry, Promotion("fashion", number, **about)) for number in (1, 2)]
    with pytest.raises(Refused):
        aliases.promote(registry, Promotion("fashion", 3, **about))
    with pytest.raises(Conflict):
        aliases.promote(registry, Promotion("fashion", 1, expect=1, **about))
    moves.append(aliases.rollback(registry, Rollback("fashion", **about)))
    assert webhooks.deliver(registry) == []
    record = [json.loads(body)["move"] for _, _, body in receiver.requests]
    assert record == json.loads(json.dumps([move.record() for move in moves]))
    assert [move["kind"] for move in record] == ["promote", "promote", "rollback"]


# --- out of it


def test_what_is_sent_and_what_is_told_of_it(registry, receiver):
    record = move(registry)
    before = schema.now()
    (delivery,) = webhooks.deliver(registry)
    ((path, headers, body),) = receiver.requests
    assert path == "/secret"
    assert json.loads(body) == {"event": "alias.moved", "move": record}
    assert headers["Content-Type"] == "application/json" and headers["User-Agent"].startswith("tailorbird/")
    assert delivery.id == headers["X-Tailorbird-Delivery"]
    assert (delivery.move, delivery.attempts, delivery.problem) == (record["id"], 1, None)
    assert delivery.host == receiver.url.removesuffix("/secret")
    assert json.loads(json.dumps(delivery.record())) == delivery.record()
    (row,) = rows(registry)
    assert (row.attempts, row.next_attempt, row.problem, row.delivered) == (1, None, None, delivery.delivered)
    assert before < row.delivered < schema.now()


def test_what_was_delivered_is_not_sent_again(registry, receiver):
    move(registry)
    assert len(webhooks.deliver(registry)) == 1
    end_waits(registry)
    assert webhooks.deliver(registry) == [] and len(receiver.requests) == 1


def test_a_receiver_verifies_as_the_documents_show(registry, receiver):
    (code,) = re.findall(r"```python\n(.*?)```", REFERENCE.read_text().split("## Webhooks\n")[1], re.DOTALL)
    shown = {}
    exec(code, shown)
    genuine = shown["genuine"]
    move(registry)
    webhooks.deliver(registry)
    ((_, headers, body),) = receiver.requests
    assert genuine(KEY, headers, body)
    assert not genuine("another key of 16", headers, body)
    assert not genuine(KEY, headers, body.replace(b"champion", b"challenge"))
    sent = int(headers["X-Tailorbird-Timestamp"])
    assert abs(sent - time.time()) < 60
    old = {**headers, "X-Tailorbird-Timestamp": str(sent - 1)}
    assert not genuine(KEY, old, body)
    stale = str(sent - 301)
    resent = {"X-Tailorbird-Timestamp": stale, "X-Tailorbird-Signature": webhooks.sign(KEY, stale, body.decode())}
    assert not genuine(KEY, resent, body)


def test_the_signature_is_of_timestamp_and_body():
    # printf '1700000000.{"a": 1}' | openssl dgst -sha256 -hmac 'a key of 16 characters'
    assert webhooks.sign(KEY, "1700000000", '{"a": 1}') == (
        "sha256=7b8d43701a651a7f917422f87bf8e737f6405b2fa8a9d49b6264664427bba000"
    )


def test_the_oldest_are_sent_first_and_no_more_than_asked_for(registry, receiver, monkeypatch):
    moves = [move(registry)["id"] for _ in range(4)]
    with monkeypatch.context() as behind:
        behind.setattr(schema, "now", lambda: "2026-01-01T00:00:00.000000Z")
        moves.append(move(registry)["id"])
    assert [delivery.move for delivery in webhooks.deliver(registry, limit=2)] == moves[:2]
    assert len(receiver.requests) == 2
    assert [delivery.move for delivery in webhooks.deliver(registry)] == moves[2:]
    assert len(set(receiver.ids)) == 5


def test_after_a_move_no_more_is_begun_than_its_time_allows(registry, receiver, monkeypatch, caplog):
    assert webhooks.PATIENCE == 10
    monkeypatch.setattr(webhooks, "PATIENCE", 0.2)
    for _ in range(3):
        move(registry)
    receiver.before = lambda _: time.sleep(0.3)
    webhooks.tell(registry)
    assert caplog.messages == [] and len(receiver.requests) == 1
    assert [row.attempts for row in rows(registry)] == [1, 0, 0]
    monkeypatch.setattr(webhooks, "PATIENCE", BOUND_SECONDS)
    receiver.before, receiver.status = lambda _: None, 500
    failed = f"webhook {receiver.url.removesuffix('/secret')}: it answered 500 Internal Server Error; {AGAIN}"
    webhooks.tell(registry)
    assert caplog.messages == [failed] * 2


def test_a_database_that_is_busy_after_a_move_is_told_and_no_error(registry, monkeypatch, caplog):
    move(registry)

    def busy(*_):
        raise Unavailable("the database cannot be used: database is locked")

    monkeypatch.setattr(registry.database, "atomic", busy)
    webhooks.tell(registry)
    assert caplog.messages == [f"webhooks could not be sent: the database cannot be used: database is locked; {AGAIN}"]
    assert [row.attempts for row in rows(registry)] == [0]


def test_each_webhook_is_told_whatever_becomes_of_the_others(settings, receiver):
    closed = "http://127.0.0.1:1/secret"
    with Registry(with_webhooks(settings, closed, receiver.url)) as registry:
        move(registry)
        first, second = webhooks.deliver(registry)
        assert (first.delivered, first.problem) == (None, "it cannot be reached: Connection refused")
        assert second.delivered is not None and first.id != second.id
        assert [row.delivered for row in rows(registry)] == [None, second.delivered]


def test_a_url_that_is_no_longer_configured_is_left_alone(registry, settings, receiver):
    payload = move(registry, with_webhooks(settings, receiver.url, receiver.url + "/2"))
    assert [delivery.move for delivery in webhooks.deliver(registry)] == [payload["id"]]
    assert receiver.paths == ["/secret"]
    assert [row.attempts for row in rows(registry)] == [1, 0]


def test_a_url_that_is_not_public_is_refused_unless_allowed(settings, receiver):
    with Registry(with_webhooks(settings, receiver.url, private=False)) as registry:
        move(registry)
        (delivery,) = webhooks.deliver(registry)
        assert delivery.problem.startswith("the host 127.0.0.1 is at 127.0.0.1, which is not a public address")
        assert receiver.requests == [] and rows(registry)[0].problem == delivery.problem


def test_no_secret_is_told(registry, receiver):
    receiver.status = 500
    move(registry)
    deliveries = webhooks.deliver(registry)
    kept = [(row.problem, row.body) for row in rows(registry)]
    assert "secret" not in f"{deliveries}{kept}" and KEY not in f"{deliveries}{kept}{receiver.requests[0][1]}"


def test_nothing_is_sent_within_a_transaction(registry, hooked, receiver):
    def write(_):
        with Registry(hooked) as theirs, theirs.atomic("outbox", "fashion") as connection:
            connection.execute(schema.outbox.update().values(url=receiver.url))

    receiver.before = write
    move(registry)
    (delivery,) = webhooks.deliver(registry)
    assert delivery.problem is None


# --- again


def test_a_failure_is_tried_again_when_it_is_due(registry, receiver):
    receiver.status = 500
    move(registry)
    (delivery,) = webhooks.deliver(registry)
    assert (delivery.attempts, delivery.delivered, delivery.problem) == (
        1,
        None,
        "it answered 500 Internal Server Error",
    )
    (row,) = rows(registry)
    assert (row.attempts, row.delivered, row.problem) == (1, None, delivery.problem)
    assert 4 < seconds_until(row.next_attempt) <= 10
    receiver.status = 200
    assert webhooks.deliver(registry) == [] and len(receiver.requests) == 1
    end_waits(registry)
    (again,) = webhooks.deliver(registry)
    assert (again.id, again.attempts, again.problem) == (delivery.id, 2, None)
    assert receiver.ids == [delivery.id, delivery.id]
    (row,) = rows(registry)
    assert (row.attempts, row.delivered, row.next_attempt, row.problem) == (2, again.delivered, None, None)


def test_a_redirect_is_a_failure(registry, receiver):
    receiver.status = 307
    move(registry)
    (delivery,) = webhooks.deliver(registry)
    assert "redirects are not followed" in delivery.problem and len(receiver.requests) == 1


def test_what_fails_is_not_tried_twice_in_one_go(registry, receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "wait", lambda _: 0)
    receiver.status = 500
    move(registry)
    assert len(webhooks.deliver(registry)) == 1


def test_it_is_given_up_after_twelve_attempts(registry, receiver):
    receiver.status = 503
    move(registry)
    for attempt in range(1, 12):
        (delivery,) = webhooks.deliver(registry)
        (row,) = rows(registry)
        assert (delivery.attempts, delivery.problem) == (attempt, "it answered 503 Service Unavailable")
        longest = min(10 * 3 ** (attempt - 1), 6 * 3600)
        assert longest / 2 - 5 < seconds_until(row.next_attempt) <= longest
        end_waits(registry)
    (last,) = webhooks.deliver(registry)
    assert last.problem == "given up after 12 attempts: it answered 503 Service Unavailable"
    (row,) = rows(registry)
    assert (row.attempts, row.next_attempt, row.delivered, row.problem) == (12, None, None, last.problem)
    assert webhooks.deliver(registry) == [] and len(receiver.requests) == 12


@given(st.integers(1, 11))
def test_waits_grow_and_differ(attempts):
    waits = [webhooks.wait(attempts) for _ in range(20)]
    longest = min(10 * 3 ** (attempts - 1), 6 * 3600)
    assert all(longest / 2 <= wait <= longest for wait in waits)
    assert len(set(waits)) > 10


# --- at once, and killed


def test_what_many_send_at_once_is_sent_once(hooked, receiver, race):
    with Registry(hooked) as registry:
        for _ in range(24):
            move(registry)

    def work(_):
        with Registry(hooked) as registry:
            return [delivery.id for delivery in webhooks.deliver(registry)]

    sent = race(work, 8)
    assert all(isinstance(item, list) for item in sent), sent
    assert sorted(identity for some in sent for identity in some) == sorted(receiver.ids)
    assert len(receiver.requests) == len(set(receiver.ids)) == 24
    with Registry(hooked) as registry:
        assert all(row.delivered and row.attempts == 1 for row in rows(registry))


@pytest.fixture
def kill_sender(hooked, receiver):
    """Lets a process send, and kills it while the receiver thinks about its answer."""

    def work():
        with Registry(hooked) as registry:
            webhooks.deliver(registry)

    def run():
        arrived, killed = threading.Event(), threading.Event()

        def think(_):
            arrived.set()
            killed.wait(30)

        receiver.before = think
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        assert arrived.wait(30)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        receiver.before = lambda _: None
        killed.set()

    return run


def test_what_a_killed_process_was_sending_is_sent_again_when_its_lease_ends(hooked, receiver, kill_sender):
    with Registry(hooked) as registry:
        move(registry)
    kill_sender()
    with Registry(hooked) as registry:
        (row,) = rows(registry)
        assert (row.attempts, row.delivered) == (1, None)
        assert row.problem == "attempt 1 of 12 started, but its outcome was not recorded"
        assert 60 < seconds_until(row.next_attempt) <= webhooks.LEASE_SECONDS
        assert webhooks.deliver(registry) == []
        end_waits(registry)
        (delivery,) = webhooks.deliver(registry)
        assert (delivery.attempts, delivery.problem) == (2, None)
        assert receiver.ids == [delivery.id, delivery.id]


def test_a_process_that_is_killed_in_the_last_attempt_leaves_a_word(hooked, receiver, kill_sender):
    with Registry(hooked) as registry:
        move(registry)
        with registry.atomic() as connection:
            connection.execute(schema.outbox.update().values(attempts=11))
    kill_sender()
    with Registry(hooked) as registry:
        (row,) = rows(registry)
        assert (row.attempts, row.next_attempt, row.delivered) == (12, None, None)
        assert row.problem == "attempt 12 of 12 started, but its outcome was not recorded"
        end_waits(registry)
        assert webhooks.deliver(registry) == []


@pytest.fixture
def overtaken(hooked, registry, receiver):
    """Sends while, before the first answer, the lease ends and another sends too; gives the row that is left."""

    def run(first, second):
        def overtake(number):
            if number == 2:
                return second
            with Registry(hooked) as theirs:
                end_waits(theirs)
                webhooks.deliver(theirs)
            return first

        receiver.before = overtake
        move(registry)
        webhooks.deliver(registry)
        (row,) = rows(registry)
        assert len(receiver.requests) == row.attempts == 2
        return row

    return run


def test_a_failure_after_its_lease_does_not_undo_anothers_success(overtaken):
    row = overtaken(first=500, second=200)
    assert row.delivered is not None and (row.next_attempt, row.problem) == (None, None)


def test_a_success_after_its_lease_counts(overtaken):
    row = overtaken(first=200, second=500)
    assert row.delivered is not None and (row.next_attempt, row.problem) == (None, None)


def test_a_success_after_its_lease_is_not_undone_by_the_attempt_that_followed(hooked, registry, receiver):
    arrived, recorded = threading.Event(), threading.Event()

    def send_too():
        with Registry(hooked) as theirs:
            end_waits(theirs)
            webhooks.deliver(theirs)

    other = threading.Thread(target=send_too)

    def answer(number):
        if number == 1:
            other.start()
            return 200 if arrived.wait(4) else 500
        arrived.set()
        recorded.wait(4)
        return 500

    receiver.before = answer
    move(registry)
    (delivery,) = webhooks.deliver(registry)
    recorded.set()
    other.join()
    (row,) = rows(registry)
    assert (row.attempts, row.delivered, row.next_attempt, row.problem) == (2, delivery.delivered, None, None)
    assert delivery.delivered is not None


def test_a_failure_after_its_lease_does_not_speak_for_the_attempt_that_followed(overtaken):
    row = overtaken(first=500, second=503)
    assert row.problem == "it answered 503 Service Unavailable"
    assert seconds_until(row.next_attempt) > 11
