"""Wrong inputs against real servers, one of images and one of a table: the right 4xx, never a 200 or a 500."""

import io
import json
import socket
import struct
import time
import urllib.error
import urllib.request
import zlib
from contextlib import suppress
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from tailorbird.settings import Settings
from tests.faults.serving.test_swaps import workers
from tests.waiting import BOUND_SECONDS

JSON, OCTETS, PNG = "application/json", "application/octet-stream", "image/png"
GOOD = [[0] * 28] * 28
COLUMNS = [f"column {position}" for position in range(3)]
LIMIT = 2**20


@pytest.fixture(scope="module")
def servers(tmp_path_factory, register, toy, start):
    settings = Settings(_env_file=None, home=tmp_path_factory.mktemp("home"))
    register(settings, "demo", toy.files())
    register(settings, "table", toy.make(shape=(3,), classes=("a", "b", "c")).files())
    limits = {"TAILORBIRD_MAX_BODY_BYTES": str(LIMIT), "TAILORBIRD_RECEIVE_SECONDS": "1", "TAILORBIRD_MAX_ROWS": "50"}
    both = [start(settings, model, **limits) for model in ("demo", "table")]
    return {model: server.wait() for model, server in zip(("demo", "table"), both, strict=True)}


def of(inputs) -> bytes:
    return json.dumps({"inputs": inputs}).encode()


def changed(value, row=3, column=4) -> bytes:
    image = [list(line) for line in GOOD]
    image[row][column] = value
    return of([image])


def picture(mode="L", size=(28, 28), kind="PNG", **options) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 0).save(file, kind, **options)
    return file.getvalue()


def bomb(width=60_000, height=60_000) -> bytes:
    """A PNG of some hundred bytes that says it has 3.6 thousand million pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def with_text(png, size) -> bytes:
    """With a comment of so many characters before its pixels, in a hundredth of that."""
    data = b"Comment\0\0" + zlib.compress(bytes(size), 9)
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    at = png.index(b"IDAT") - 4
    return png[:at] + chunk + png[at:]


def form(*contents, end=b"--b--\r\n") -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    return b"".join(head + content + b"\r\n" for content in contents) + end


FORM = "multipart/form-data; boundary=b"
IMAGES = {
    "nothing": (JSON, b"", 400),
    "half a document": (JSON, b'{"inputs": [', 400),
    "two documents": (JSON, of([GOOD]) + b"{}", 400),
    "bad UTF-8": (JSON, b'{"inputs": ["\xff"]}', 400),
    "a byte order mark": (JSON, b"\xef\xbb\xbf" + of([GOOD]), 400),
    "UTF-16": (JSON, of([GOOD]).decode().encode("utf-16"), 400),
    "a comma at the end": (JSON, of([GOOD])[:-1] + b",}", 400),
    "a comment": (JSON, b"/* */" + of([GOOD]), 400),
    "a line feed in a text": (JSON, b'{"inputs": ["\n"]}', 400),
    "a number of five thousand digits": (JSON, changed(0).replace(b"0", b"9" * 5000, 1), 400),
    "NaN": (JSON, changed(float("nan")), 400),
    "infinity": (JSON, changed(float("inf")), 400),
    "a lone surrogate": (JSON, b'{"inputs": ["\\ud800"]}', 400),
    "a key twice": (JSON, b'{"inputs": [1], "inputs": [2]}', 400),
    "a key twice deep inside": (JSON, b'{"inputs": [{"a": 1, "a": 2}]}', 400),
    "deep nesting": (JSON, b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "deep nesting of objects": (JSON, b'{"a":' * 900 + b"1" + b"}" * 900, 422),
    "a list": (JSON, b"[]", 422),
    "null": (JSON, b"null", 422),
    "another key": (JSON, b'{"instances": [1]}', 422),
    "one key more": (JSON, json.dumps({"inputs": [GOOD], "more": 1}).encode(), 422),
    "no image": (JSON, of([]), 422),
    "null for images": (JSON, of(None), 422),
    "an object for images": (JSON, of({}), 422),
    "a flat image": (JSON, of([[0] * 784]), 422),
    "one image without its list": (JSON, of(GOOD), 422),
    "ragged": (JSON, of([[*GOOD[:-1], [0] * 27]]), 422),
    "a row too few": (JSON, of([GOOD[:-1]]), 422),
    "colour": (JSON, of([[[[0] * 3] * 28] * 28]), 422),
    "an image of objects": (JSON, of([[{}] * 28]), 422),
    "an image of strings": (JSON, of([["0" * 28] * 28]), 422),
    "a string in it": (JSON, changed("0"), 422),
    "a boolean in it": (JSON, changed(True), 422),
    "null in it": (JSON, changed(None), 422),
    "a fraction in it": (JSON, changed(0.5), 422),
    "a whole number as a fraction": (JSON, changed(1.0), 422),
    "below the range": (JSON, changed(-1), 422),
    "above the range": (JSON, changed(256), 422),
    "far above the range": (JSON, changed(2**70), 422),
    "a URL": (JSON, of(["http://127.0.0.1:1/x.png"]), 422),
    "a path": (JSON, of(["/etc/passwd"]), 422),
    "base64": (JSON, of(["iVBORw0KGgo="]), 422),
    "too many images": (JSON, of([GOOD] * 51), 413),
    "a body that is too large": (JSON, b" " * (LIMIT + 1), 413),
    "no content type": ("", of([GOOD]), 415),
    "text": ("text/plain", of([GOOD]), 415),
    "an image without a subtype": ("image", picture(), 415),
    "any image": ("image/*", picture(), 415),
    "two content types": ("image/png, application/json", picture(), 415),
    "a form of the other kind": ("application/x-www-form-urlencoded", b"inputs=1", 415),
    "a GIF": ("image/gif", picture(kind="GIF"), 415),
    "JSON that says it is a PNG": (PNG, of([GOOD]), 400),
    "a PNG that says it is JSON": (JSON, picture(), 400),
    "a GIF that says it is a PNG": (PNG, picture(kind="GIF"), 400),
    "a TIFF that says it is a PNG": (PNG, picture(kind="TIFF"), 400),
    "an SVG": (PNG, b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400),
    "octets that say they are a PNG": (PNG, bytes(784), 400),
    "a PDF": (PNG, b"%PDF-1.7\n", 400),
    "a URL for a picture": (PNG, b"http://127.0.0.1:1/x.png", 400),
    "a path for a picture": (PNG, b"/etc/passwd", 400),
    "a picture without pixels": (PNG, bomb(0, 0), 400),
    "a picture of a wrong sum": (PNG, picture().replace(b"IDAT", b"IDAT\0", 1), 400),
    "a picture with a bomb for its text": (PNG, with_text(picture(), 50_000_000), 400),
    "a picture cut off": (PNG, picture()[:-20], 400),
    "a JPEG cut off": ("image/jpeg", picture("RGB", (300, 300), "JPEG")[:200], 400),
    "the head of a picture": (PNG, picture()[:20], 400),
    "a picture of nothing": (PNG, b"", 400),
    "a bomb": (PNG, bomb(), 413),
    "a bomb that says it is a WebP": ("image/webp", bomb(), 413),
    "a bomb of another size": (PNG, bomb(5000, 5000), 413),
    "octets too few": (OCTETS, bytes(783), 422),
    "no octets": (OCTETS, b"", 422),
    "octets of too many images": (OCTETS, bytes(784 * 51), 413),
    "a form without its boundary": ("multipart/form-data", form(picture()), 400),
    "a form that ends too early": (FORM, form(picture(), end=b""), 400),
    "no form": (FORM, b"no form", 400),
    "a form without files": (FORM, b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n1\r\n--b--\r\n', 422),
    "a form with a wrong file": (FORM, form(picture(), b"no picture"), 400),
    "a form with a bomb": (FORM, form(bomb()), 413),
    "a form of too many files": (FORM, form(*[picture()] * 51), 413),
    "a form of nothing": (FORM, b"", 400),
    "a form of a URL": (FORM, form(b"http://127.0.0.1:1/x.png"), 400),
    "a form in a form": (FORM, form(form(picture())), 400),
    "a form of an empty file": (FORM, form(b""), 400),
    "a form whose part has no head": (FORM, b"--b\r\n\r\n1\r\n--b--\r\n", 422),
    "a form whose head never ends": (FORM, b"--b\r\n" + b"a" * 100_000, 400),
    "a form whose boundary is none": ("multipart/form-data; boundary=", form(picture()), 400),
    "a form of another boundary": ("multipart/form-data; boundary=c", form(picture()), 400),
}
TABLE = {
    "a missing column": (JSON, of([dict.fromkeys(COLUMNS[:2], 1)]), 422),
    "an extra column": (JSON, of([dict.fromkeys([*COLUMNS, "more"], 1)]), 422),
    "an unseen column": (JSON, of([dict.fromkeys([*COLUMNS[:2], "other"], 1)]), 422),
    "no column": (JSON, of([{}]), 422),
    "a column twice": (JSON, b'{"inputs": [{"column 0": 1, "column 0": 1, "column 1": 1, "column 2": 1}]}', 400),
    "NaN": (JSON, of([[1, 2, float("nan")]]), 400),
    "NaN in a column": (JSON, of([dict(zip(COLUMNS, (1, 2, float("nan")), strict=True))]), 400),
    "NaN as a text": (JSON, of([[1, 2, "NaN"]]), 422),
    "a list for a number": (JSON, of([[1, 2, [3]]]), 422),
    "an object for a number": (JSON, of([{column: {} for column in COLUMNS}]), 422),
    "a text for a row": (JSON, of(["1,2,3"]), 422),
    "a number for a row": (JSON, of([1, 2, 3]), 422),
    "a whole number beyond all": (JSON, of([[1, 2, 10**400]]), 400),
    "one wrong row among right ones": (JSON, of([[1, 2, 3]] * 9 + [[1, 2]]), 422),
    "too many rows": (JSON, of([[1, 2, 3]] * 51), 413),
    "CSV": ("text/csv", b"1,2,3", 415),
    "a text": (JSON, of([dict.fromkeys(COLUMNS, "1")]), 422),
    "null": (JSON, of([[1, 2, None]]), 422),
    "a boolean": (JSON, of([[1, 2, True]]), 422),
    "too few values": (JSON, of([[1, 2]]), 422),
    "a number beyond all": (JSON, b'{"inputs": [[1, 2, 1e999]]}', 400),
    "numbers that the model cannot bear": (JSON, of([[1e300, -1e300, 1e300]]), 422),
    "octets of NaN": (OCTETS, np.full(3, np.nan).tobytes(), 422),
    "octets of infinity": (OCTETS, np.full(3, np.inf).tobytes(), 422),
    "octets cut off": (OCTETS, bytes(20), 422),
    "a picture": (PNG, picture(), 415),
    "a form": (FORM, form(picture()), 415),
}
CASES = [("demo", name) for name in IMAGES] + [("table", name) for name in TABLE]


@pytest.mark.parametrize(("model", "name"), CASES)
def test_wrong_inputs_get_the_right_answer(servers, model, name):
    server = servers[model]
    media_type, body, status = (IMAGES if model == "demo" else TABLE)[name]
    response = server.client.post("/predict", content=body, headers={"Content-Type": media_type} if media_type else {})
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["instance"] == response.headers["x-request-id"]
    assert " at 0x" not in response.text
    assert server.client.get("/readyz").status_code == 200


def animated(kind) -> bytes:
    file = io.BytesIO()
    frames = [Image.new("L", (28, 28), level) for level in (0, 255)]
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    return file.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture("RGB", (60, 20), "JPEG", exif=exif)


RIGHT = {
    "an animated PNG": (PNG, animated("PNG")),
    "an animated WebP": ("image/webp", animated("WEBP")),
    "turned by EXIF": ("image/jpeg", turned()),
    "16 bits": (PNG, picture("I;16")),
    "alpha": (PNG, picture("RGBA", (40, 30))),
    "grey with alpha": (PNG, picture("LA", (40, 30))),
    "one bit": (PNG, picture("1", (40, 30))),
    "a palette": (PNG, picture("P")),
    "CMYK": ("image/jpeg", picture("CMYK", (40, 30), "JPEG")),
    "a WebP that says it is a PNG": (PNG, picture("RGB", (40, 30), "WEBP")),
    "several files": (FORM, form(picture(), picture("RGB", (60, 20), "JPEG"))),
    "octets": (OCTETS, bytes(784 * 2)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_unusual_inputs_are_taken(servers, name):
    media_type, body = RIGHT[name]
    response = servers["demo"].client.post("/predict", content=body, headers={"Content-Type": media_type})
    assert response.status_code == 200, response.text


def test_a_table_is_answered_the_same_in_all_forms(servers, toy):
    rows = np.random.default_rng(0).normal(size=(4, 3))
    expected = toy.make(shape=(3,), classes=("a", "b", "c")).probabilities(rows).argmax(axis=1).tolist()
    objects = [dict(zip(COLUMNS, row, strict=True)) for row in rows.tolist()]
    for media_type, body in ((JSON, of(rows.tolist())), (JSON, of(objects)), (OCTETS, rows.astype("<f8").tobytes())):
        response = servers["table"].client.post("/predict", content=body, headers={"Content-Type": media_type})
        assert [prediction["index"] for prediction in response.json()["predictions"]] == expected


def exchange(server, *parts, pause=0.0) -> bytes:
    """All that comes back for bytes that are sent in pieces, until the server closes.

    On a busy machine it may do so before all are sent, since it reads the rest of a refused request for a time only.
    """
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=BOUND_SECONDS) as connection:
        received = b""
        with suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65_536):
                received += chunk
    return received


def head(body=b"", *lines: bytes) -> bytes:
    start = [
        b"POST /predict HTTP/1.1",
        b"Host: x",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
    ]
    return b"\r\n".join([*start, *lines, b"", b""])


BODY = of([GOOD])
BROKEN = {
    "no HTTP": ([b"\0\1\2\3\r\n\r\n"], b"400"),
    "TLS": ([b"\x16\x03\x01\x02\x00\x01\x00"], b"400"),
    "two lengths": ([b"POST /predict HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"], b"400"),
    "a length and chunks": (
        [b"POST /predict HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
        b"400",
    ),
    "a broken chunk": (
        [b"POST /feedback HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"xyz\r\n"],
        b"4",
    ),
    "8 MB of head": ([b"GET /livez HTTP/1.1\r\nX: ", *[b"a" * 4096] * 2048], b"431"),
    "many lines of head": ([b"GET /livez HTTP/1.1\r\n", *[b"X-A: b\r\n" * 500] * 100], b"431"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_request(servers, name):
    parts, status = BROKEN[name]
    received = exchange(servers["demo"], *parts)
    assert received.startswith(b"HTTP/1.1 " + status), received
    assert b"application/problem+json" in received
    assert b"x-request-id: " in received
    assert servers["demo"].client.get("/livez").status_code == 200


@pytest.mark.parametrize(
    "parts",
    [
        [b"POST /predict HTTP/1.1\r\n", *[b"X"] * 5],
        [head(BODY), *[b" "] * 5],
        [head(b" " * 300_000), *[b" "] * 5],
        [head(BODY, b"Expect: 100-continue"), *[b" "] * 5],
        [head(BODY).replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked"), *[b"1\r\n \r\n"] * 5],
        [head(BODY).replace(b"/predict", b"/feedback"), *[b" "] * 5],
    ],
    ids=["head", "small body", "large body", "body that is asked for", "body in chunks", "labels"],
)
def test_what_comes_too_slowly(servers, parts):
    received = exchange(servers["demo"], *parts, pause=0.3).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 408 "), received
    assert b"application/problem+json" in received


HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
PIECE = bytes(2**16)
PIECES = 100 * 2**20 // len(PIECE)


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_of_100_megabytes_is_refused_and_not_kept(servers, announced):
    server = servers["demo"]
    before = workers(server)[0].memory_info().rss
    if announced:
        parts = [HEAD + b"Content-Length: %d\r\n\r\n" % (PIECES * len(PIECE)), *[PIECE] * PIECES]
    else:
        parts = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"10000\r\n%b\r\n" % PIECE] * PIECES]
    received = exchange(server, *parts)
    assert received.startswith(b"HTTP/1.1 413 "), received
    assert b"application/problem+json" in received
    assert workers(server)[0].memory_info().rss < before + 20e6
    assert server.client.get("/livez").status_code == 200


@pytest.mark.parametrize(("path", "status"), [("/predict", 413), ("/nowhere", 404)])
def test_a_client_that_reads_only_after_its_whole_body_is_sent_gets_the_answer(servers, path, status):
    """As Python's urllib does, which asks to close the connection too."""
    request = urllib.request.Request(servers["demo"].url + path, bytes(30_000_000), {"Content-Type": JSON})
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(request, timeout=BOUND_SECONDS)
    assert answer.value.code == status
    assert json.load(answer.value)["status"] == status


@pytest.mark.parametrize("pieces", [1, 2, 3], ids=["in one piece", "after its head", "in chunks"])
def test_a_body_with_the_offer_of_h2c_is_read(servers, pieces):
    """As the JDK's client sends it."""
    lines = (
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAEAAEAAAAIAAAAB",
    )
    whole = [head(BODY, *lines), BODY] if pieces == 2 else [head(BODY, *lines) + BODY]
    if pieces == 3:
        chunked = head(BODY, *lines).replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked")
        whole = [chunked, b"%x\r\n%b\r\n" % (len(BODY), BODY), b"0\r\n\r\n"]
    received = exchange(servers["demo"], *whole, head(BODY, b"Connection: close") + BODY, pause=0.05)
    assert received.count(b"HTTP/1.1 200 OK") == 2


def test_requests_that_never_end_do_not_silence_it(servers):
    """More of them than a process usually may have files open."""
    address = urlsplit(servers["demo"].url)
    connections = []
    try:
        for _ in range(300):
            connection = socket.create_connection((address.hostname, address.port), timeout=BOUND_SECONDS)
            connection.sendall(b"POST /predict HTTP/1.1\r\nX: ")
            connections.append(connection)
        assert servers["demo"].client.get("/livez").status_code == 200
    finally:
        for connection in connections:
            connection.close()


def test_a_line_feed_in_the_path_is_another_path(servers):
    def others() -> float:
        lines = servers["demo"].client.get("/metrics").text.splitlines()
        name = 'tailorbird_request_duration_seconds_count{code="404",route="other"}'
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    before = others()
    response = servers["demo"].client.post("/predict%0a", content=BODY, headers={"Content-Type": JSON})
    assert response.status_code == 404
    assert others() == before + 1
