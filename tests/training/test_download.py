import gzip
import hashlib
import http.server
import shutil
import socket
import threading

import numpy as np
import pytest

from tailorbird.errors import Unavailable
from training import datasets, download
from training.config import DataConfig
from training.datasets import idx

STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
IMAGES, LABELS = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4), np.array([1, 0], np.uint8)
UNPACKED = {
    stem: b"\0\0\x08\x03\0\0\0\x02\0\0\0\x04\0\0\0\x04" + IMAGES.tobytes()
    if "images" in stem
    else b"\0\0\x08\x01\0\0\0\x02" + LABELS.tobytes()
    for stem in STEMS
}
FILES = {f"/{stem}.gz": gzip.compress(data) for stem, data in UNPACKED.items()}
SUMS = {stem: hashlib.sha256(data).hexdigest() for stem, data in UNPACKED.items()}
FIRST = f"{STEMS[0]}.gz"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server(monkeypatch):
    """A real server; `answers` is what it does for a request, and may be changed; `asked` is what it was asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.server.asked.append(self.path)
            self.close_connection = True
            self.server.answers(self)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.asked, made.answers, made.ended = [], whole, threading.Event()
        made.url = f"http://127.0.0.1:{made.server_port}/"
        monkeypatch.setitem(idx.SOURCES, "mnist", idx.IdxSource("Small", made.url, ("zero", "one"), SUMS))
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.ended.set()
        made.shutdown()
        thread.join()


def send(request, body, length=None):
    request.send_response(200)
    request.send_header("Content-Length", str(len(body) if length is None else length))
    request.end_headers()
    request.wfile.write(body)


def whole(request):
    send(request, FILES[request.path])


def left(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_what_is_missing_is_downloaded_once_and_kept_for_everyone(server, tmp_path, capsys):
    loaded = datasets.load(DataConfig(name="mnist"), tmp_path, tmp_path)
    assert (loaded.inputs == IMAGES).all() and loaded.targets.tolist() == [1, 0]
    assert server.asked == list(FILES)
    raw = tmp_path / "Small" / "raw"
    assert left(tmp_path) == sorted(name[1:] for name in FILES)
    assert (raw / FIRST).read_bytes() == FILES[f"/{FIRST}"]
    assert (raw / FIRST).stat().st_mode & 0o777 == 0o644
    datasets.load(DataConfig(name="mnist"), tmp_path, tmp_path)
    (raw / FIRST).unlink()
    datasets.load(DataConfig(name="mnist"), tmp_path, tmp_path)
    assert server.asked == [*FILES, f"/{FIRST}"]
    assert capsys.readouterr().out == ""  # which may be JSON for another program


def breaks_off(request):
    send(request, FILES[request.path][:20], len(FILES[request.path]))


def breaks_off_in_a_chunk(request):
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    request.wfile.write(b"ff\r\n" + FILES[request.path][:20])


def stops_in_the_middle(request):
    breaks_off(request)
    request.wfile.flush()
    request.server.ended.wait(30)


def says_nothing(request):
    request.server.ended.wait(30)


def cannot_find(request):
    request.send_error(404)


def is_broken(request):
    request.send_error(503)


def sends_a_page(request):
    send(request, b"<html>please log in to this network</html>")


def sends_nothing(request):
    send(request, b"")


def sends_another_set(request):
    send(request, gzip.compress(UNPACKED[STEMS[0]] + b"\0"))


def sends_half_as_if_it_were_all(request):
    send(request, FILES[request.path][:20])


def sends_it_damaged(request):
    data = FILES[request.path]
    send(request, data[:15] + b"\xff\xff\xff" + data[18:])


def speaks_no_http(request):
    request.wfile.write(b"\x15\x03\x01\x00\x02\x02\x46")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (breaks_off, r"the connection was closed after 20 of \d+ bytes"),
        (breaks_off_in_a_chunk, "IncompleteRead"),
        (stops_in_the_middle, "timed out"),
        (says_nothing, "timed out"),
        (cannot_find, "Not Found"),
        (is_broken, "Service Unavailable"),
        (sends_a_page, "the download cannot be unpacked"),
        (sends_nothing, r"the download is not the published file \(its SHA-256 sum differs\)"),
        (sends_another_set, r"the download is not the published file \(its SHA-256 sum differs\)"),
        (sends_half_as_if_it_were_all, "the download cannot be unpacked"),
        (sends_it_damaged, "the download cannot be unpacked"),
        (speaks_no_http, ""),
    ],
)
def test_what_fails_is_unavailable_in_time_leaves_nothing_and_works_again_next_time(server, tmp_path, answers, reason):
    server.answers = answers
    with pytest.raises(Unavailable, match=f"^{server.url}{FIRST} cannot be downloaded: .*{reason}") as failed:
        datasets.load(DataConfig(name="mnist"), tmp_path, tmp_path, timeout=0.5)
    assert f"put the file at {tmp_path}/Small/raw/{FIRST} or try again" in str(failed.value)
    assert left(tmp_path) == []
    server.answers = whole
    assert (datasets.load(DataConfig(name="mnist"), tmp_path, tmp_path).inputs == IMAGES).all()


def test_the_sum_is_of_what_is_unpacked(server, tmp_path):
    server.answers = lambda request: send(request, gzip.compress(UNPACKED[request.path[1:-3]], 1, mtime=7))
    assert (datasets.load(DataConfig(name="mnist"), tmp_path, tmp_path).inputs == IMAGES).all()


def test_a_refused_connection_is_unavailable(tmp_path):
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x.gz"
        with pytest.raises(Unavailable, match=f"{url} cannot be downloaded: .*[Cc]onnection refused"):
            download.fetch(url, tmp_path / "raw" / "x.gz", lambda _: None, 1, "")
    assert left(tmp_path) == []


def test_a_server_that_accepts_nobody_is_unavailable_in_time(tmp_path):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with pytest.raises(Unavailable, match="timed out"):
            download.fetch(f"http://127.0.0.1:{full.getsockname()[1]}/x.gz", tmp_path / "x.gz", lambda _: None, 0.3, "")


def test_a_folder_that_cannot_be_written_is_named_with_its_setting(server, tmp_path):
    (tmp_path / "Small").write_text("a file, where a folder should be")
    with pytest.raises(Unavailable, match=f"{tmp_path}/Small/raw/{FIRST} cannot be written.*TAILORBIRD_DATA_DIR"):
        datasets.load(DataConfig(name="mnist"), tmp_path, tmp_path)
    assert server.asked == []


def test_ctrl_c_leaves_nothing(server, tmp_path, monkeypatch):
    def interrupt(source, file):
        file.write(source.read(10))
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfileobj", interrupt)
    with pytest.raises(KeyboardInterrupt):
        datasets.load(DataConfig(name="mnist"), tmp_path, tmp_path)
    assert left(tmp_path) == []
