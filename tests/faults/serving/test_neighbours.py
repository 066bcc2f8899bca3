"""What bad and slow clients do to a server leaves its other clients alone."""

import threading
from contextlib import ExitStack
from itertools import cycle
from socket import create_connection
from urllib.parse import urlsplit

import httpx
import pytest

from tailorbird.settings import Settings
from tests.faults.serving.load import BODY, HEADERS
from tests.faults.serving.test_inputs import HEAD, IMAGES, servers  # noqa: F401

DEADLINE_SECONDS = Settings.model_fields["request_seconds"].default


@pytest.mark.long
def test_bad_and_slow_clients_take_no_answer_from_the_others(servers):  # noqa: F811
    server = servers["demo"]
    address = urlsplit(server.url)
    over, sent = threading.Event(), []

    def attack():
        with httpx.Client(base_url=server.url, timeout=30) as client:
            for media_type, body, status in cycle(IMAGES.values()):
                if over.wait(0.005):
                    return
                headers = {"Content-Type": media_type} if media_type else {}
                sent.append(client.post("/predict", content=body, headers=headers).status_code == status)

    threads = [threading.Thread(target=attack) for _ in range(2)]
    with ExitStack() as stack:
        for _ in range(50):  # which send a head, and then nothing
            slow = stack.enter_context(create_connection((address.hostname, address.port)))
            slow.sendall(HEAD + b"Content-Length: 5000\r\n\r\n{")
        for thread in threads:
            thread.start()
        with httpx.Client(base_url=server.url, timeout=DEADLINE_SECONDS) as client:
            statuses = {client.post("/predict", content=BODY, headers=HEADERS).status_code for _ in range(1000)}
        over.set()
        for thread in threads:
            thread.join()
    assert statuses == {200}
    assert len(sent) > 100 and all(sent)
