import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import multipart
from serving.problems import Problem


def form(*contents: bytes) -> tuple[bytes, bytes]:
    """The content type and the body of a form with these files."""
    files = [("file", (f"{index}.png", content, "image/png")) for index, content in enumerate(contents)]
    request = httpx.Request("POST", "http://here", files=files)
    return request.headers["content-type"].encode(), request.read()


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_files_in_their_order(contents):
    assert multipart.files(*form(*contents), most=5) == contents


def test_more_files_than_are_taken():
    with pytest.raises(Problem, match="has 3 files; accepted: 2 in one request") as caught:
        multipart.files(*form(b"a", b"b", b"c"), most=2)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("content_type", "body", "status", "sentence"),
    [
        (b"multipart/form-data", b"x", 400, "has no boundary"),
        (b"multipart/form-data; boundary=", b"x", 400, "has no boundary"),
        (b"multipart/form-data; boundary=b", b"", 400, "ends before its last boundary"),
        (b"multipart/form-data; boundary=b", b"no boundary", 400, "is not multipart/form-data"),
        (b"multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data", 400, "ends before"),
        (b"multipart/form-data; boundary=b", b"--b\r\n\xff: x\r\n\r\n\r\n--b--\r\n", 400, "is not multipart"),
        (
            b"multipart/form-data; boundary=b",
            b'--b\r\nA: form-data; name="x"\r\n\r\n1\r\n--b--\r\n',
            422,
            "is not a file",
        ),
        (
            b"multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\n',
            422,
            "part 0 is not a file",
        ),
    ],
)
def test_what_is_no_form(content_type, body, status, sentence):
    with pytest.raises(Problem, match=sentence) as caught:
        multipart.files(content_type, body, most=5)
    assert caught.value.status == status


@given(st.binary(max_size=200))
def test_no_bytes_break_it(body):
    with pytest.raises(Problem):
        multipart.files(b"multipart/form-data; boundary=never-so-rarely", body, most=5)
