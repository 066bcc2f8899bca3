import socket
import urllib.request
from types import SimpleNamespace

import pytest

from tailorbird.errors import InvalidInput
from tailorbird.watch.gauges import Gauges


def look(version, **estimates):
    judgement = SimpleNamespace(estimates={"fitted": None, "mix_moves": None, "mix_steady": 0.7, **estimates})
    return SimpleNamespace(version=SimpleNamespace(model="pets", number=version), judgement=judgement)


def test_the_last_looks_estimates_are_shown_and_no_others():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    gauges = Gauges("127.0.0.1", port)

    def shown():
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://127.0.0.1:{port}/metrics"
        ) as answer:
            return [line for line in answer.read().decode().splitlines() if not line.startswith("#")]

    gauges.show(look(2, fitted=0.9, mix_moves=0.8))
    assert shown() == [
        'tailorbird_estimated_accuracy_ratio{assumes="fitted",model="pets",version="2"} 0.9',
        'tailorbird_estimated_accuracy_ratio{assumes="mix_moves",model="pets",version="2"} 0.8',
    ]
    gauges.show(look(1, mix_moves=0.85))
    assert shown() == ['tailorbird_estimated_accuracy_ratio{assumes="mix_moves",model="pets",version="1"} 0.85']
    gauges.show(None)
    assert shown() == []
    with pytest.raises(InvalidInput, match=f"--metrics-port: 127.0.0.1:{port} cannot be bound"):
        Gauges("127.0.0.1", port)
