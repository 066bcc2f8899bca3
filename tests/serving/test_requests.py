import asyncio

import pytest

from serving.problems import Problem
from serving.requests import ClientLeft, Request, of_scope


def scope(**keys):
    return {"method": "GET", "path": "/", "headers": [(b"a", b"1"), (b"a", b"2")], **keys}


def chunk(message, **keys):
    async def receive():
        return message

    return asyncio.run(of_scope(scope(**keys), receive).chunk())


def test_of_a_repeated_header_the_last_counts():
    assert of_scope(scope(), None).headers == {b"a": b"2"}


def test_pieces_of_a_body():
    assert chunk({"type": "http.request", "body": b"x", "more_body": True}) == (b"x", True)
    assert chunk({"type": "http.request"}) == (b"", False)


def test_a_client_that_leaves():
    with pytest.raises(ClientLeft):
        chunk({"type": "http.disconnect"})


def test_a_body_that_is_late():
    with pytest.raises(Problem, match="too slow"):
        chunk({"type": "http.request"}, state={"problem": Problem(408, "too slow")})


def test_one_that_is_read_already_has_no_more():
    assert asyncio.run(Request("POST", "/", {}).chunk()) == (b"", False)
