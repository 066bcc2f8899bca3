import base64
import hashlib
import http.server
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest

from registry.storage.opening import open_store
from registry.storage.s3 import BATCH, S3Store
from tailorbird.errors import Corrupt, Unavailable
from tests import s3 as server
from tests import stores

DIGEST = hashlib.sha256(b"data").hexdigest()

USES = {
    "put": lambda store: store.put(b"data"),
    "get": lambda store: store.get(DIGEST),
    "verify": lambda store: store.verify(DIGEST),
    "holds": lambda store: store.holds(DIGEST),
    "listing": lambda store: list(store.listing()),
    "delete": lambda store: store.delete([DIGEST]),
}


@pytest.fixture
def store(request):
    return open_store(stores.storage("s3", request))


def keys(store):
    return [item["Key"] for item in store._client().list_objects_v2(Bucket=store.bucket).get("Contents", ())]


# --- what lies where


@pytest.mark.parametrize("prefix", ["", "one", "one/two"])
def test_blobs_lie_under_the_prefix(store, prefix):
    prefixed = S3Store(f"s3://{store.bucket}/{prefix}".rstrip("/"))
    digest = prefixed.put(b"data")
    assert keys(store) == [prefixed.key(digest)] == [f"{prefix}/blobs/3a/{digest}".lstrip("/")]
    assert prefixed.place(digest) == f"s3://{store.bucket}/{prefixed.key(digest)}"


def test_stores_of_one_bucket_do_not_see_each_other(store):
    digest = store.put(b"data")
    for prefix in ("some/prefix/more", "some", "some/pre"):
        other = S3Store(f"s3://{store.bucket}/{prefix}")
        assert list(other.listing()) == []
        assert not other.holds(digest)
        with pytest.raises(Corrupt):
            other.get(digest)


def test_what_is_not_a_blob_is_neither_listed_nor_deleted(store):
    digest = store.put(b"data")
    for name in ("README", "3a/", "3a/README", f"3a/{digest}.tmp", f"3a/{digest.upper()}", f"x/3a/{digest}", digest):
        server.client(store._client().meta.endpoint_url).put_object(Bucket=store.bucket, Key=store.prefix + name)
    assert [blob.digest for blob in store.listing()] == [digest]
    store.delete([digest])
    assert len(keys(store)) == 7


def test_more_than_one_request_can_list_and_delete_are_listed_and_deleted(store, monkeypatch):
    monkeypatch.setattr("registry.storage.s3.BATCH", 4)
    kept, *gone = store.put_all([b"%d" % n for n in range(10)])
    requests = []
    store._client().meta.events.register("before-send.s3.DeleteObjects", lambda **_: requests.append(1))
    store.delete(gone)
    assert len(requests) == 3
    assert [blob.digest for blob in store.listing()] == [kept]
    assert BATCH == 1000  # more are refused by S3


@pytest.mark.long
def test_a_listing_goes_on_after_its_first_page(store):
    digests = store.put_all([b"%d" % n for n in range(1001)])
    assert [blob.digest for blob in store.listing()] == sorted(digests)
    store.delete(digests)
    assert list(store.listing()) == []


def test_the_sum_goes_along_so_that_the_server_refuses_a_torn_upload(store):
    sent = []
    store._client().meta.events.register("before-send.s3.PutObject", lambda request, **_: sent.append(request.headers))
    digest = store.put(b"data")
    [headers] = sent
    assert base64.b64decode(headers["x-amz-checksum-sha256"]).hex() == digest


def test_a_put_that_dies_at_any_request_leaves_each_blob_whole_or_absent(store, deaths):
    def whole(acknowledged):
        for blob in store.listing():
            store.verify(blob.digest)
        assert all(store.get(digest) for digest in acknowledged or ())

    assert deaths(lambda step: store.put_all([b"%d %d" % (step, n) for n in range(2)]), whole) >= 4


# --- one sentence for what is wrong


def told(store, use):
    with pytest.raises(Unavailable) as error:
        USES[use](store)
    assert error.value.__cause__ is None and "\n" not in str(error.value)
    assert str(error.value).startswith(f"s3://{store.bucket}")
    return str(error.value)


def told_by_all(store):
    """What is told after the place, which is the same whatever is asked for."""
    [sentence] = {told(store, use).partition(": ")[2] for use in USES}
    return sentence


@pytest.fixture
def impatient(monkeypatch):
    """Waits for nothing between one attempt and the next."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)


def test_a_bucket_that_is_missing_is_told(store):
    missing = S3Store(f"s3://{store.bucket}-not/prefix")
    assert told_by_all(missing) == (
        f"there is no bucket '{store.bucket}-not'; create it, or set TAILORBIRD_STORAGE_URL to another one"
    )


def test_credentials_that_are_refused_are_told_without_them(store, s3, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONGWRONGWRONG1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "quite-secret")
    with server.checked_credentials(s3):
        for use in USES:
            code = "403" if use == "holds" else "InvalidAccessKeyId"
            assert told(store, use).endswith(f": the AWS credentials are wrong or do not allow it ({code})")


@pytest.mark.parametrize("missing", [["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], ["AWS_SECRET_ACCESS_KEY"]])
def test_credentials_that_are_missing_are_told(store, missing, monkeypatch):
    for name in missing:
        monkeypatch.delenv(name)
    assert told_by_all(store) == (
        "there are no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    )


def test_a_profile_that_is_not_there_is_told(store, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "mine")
    assert told(store, "get").endswith("cannot be reached: The config profile (mine) could not be found")


def test_a_program_that_should_tell_the_credentials_and_fails_is_told_without_its_words(store, tmp_path, monkeypatch):
    (tmp_path / "config").write_text("[default]\ncredential_process = sh -c 'echo quite-secret >&2; exit 1'\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert told(store, "get").endswith(": CredentialRetrievalError; check the AWS_… variables")


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize(
    "endpoint",
    [
        "me:quite-secret",
        "localhost:9000",
        "http://",
        "http://[::1",
        "ftp://me:quite-secret@127.0.0.1:1",
        "http://me:quite-secret@127.0.0.1:port",
    ],
)
def test_an_endpoint_that_is_no_url_is_told_by_its_variable_and_without_it(store, monkeypatch, variable, endpoint):
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv(variable, endpoint)
    assert told(store, "get").partition(": ")[2] == (
        f"{variable}, or endpoint_url in the AWS config file, must be a URL as https://HOST:PORT"
    )


def test_a_region_that_is_none_is_not_taken_for_a_wrong_endpoint(store, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "over there")
    assert told(store, "get").endswith("Provided region_name 'over there' doesn't match a supported format.")


def test_an_endpoint_whose_host_is_not_known_is_told_by_its_variable(store, monkeypatch, impatient):
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://no-such-host.invalid:9000")
    assert told_by_all(store) == (
        "the connection to no-such-host.invalid:9000 fails (EndpointConnectionError); AWS_ENDPOINT_URL names the server"
    )


def test_a_bucket_with_an_impossible_name_is_told(store):
    assert 'Invalid bucket name "Not A Bucket"' in told(S3Store("s3://Not A Bucket"), "get")


def test_an_endpoint_that_refuses_connections_is_told_without_its_password(store, monkeypatch, impatient):
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://me:quite-secret@127.0.0.1:{port}")
    assert told_by_all(store) == (
        f"the connection to 127.0.0.1:{port} fails (EndpointConnectionError); AWS_ENDPOINT_URL_S3 names the server"
    )


@pytest.mark.long
@pytest.mark.parametrize("use", ["put", "get"])
def test_an_endpoint_that_never_answers_is_told_in_time(store, use, monkeypatch):
    with closing(socket.socket()) as full:  # whose queue of connections is full, so that the next ones wait
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{full.getsockname()[1]}")
        begun = time.monotonic()
        assert "fails (ConnectTimeoutError)" in told(store, use)
        assert 10 < time.monotonic() - begun < 60
        for one in waiting:
            one.close()


@contextmanager
def answering(answer):
    """A server of our own, for answers that a good one does not give; `answer` gets the request's handler."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        do_PUT = do_HEAD = do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as started:
        threading.Thread(target=started.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{started.server_port}"
        started.shutdown()


def test_processes_do_not_share_a_connection(store, monkeypatch, race):
    connections = []

    def serve(request):  # unlike moto's server this one keeps connections open
        connections.append(request.client_address)
        request.send_response(200)
        request.send_header("Content-Length", "4")
        request.end_headers()
        request.wfile.write(b"data")

    with answering(serve) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        store.get(DIGEST)
        store.get(DIGEST)
        assert race(lambda _: [store.get(DIGEST), store.get(DIGEST)], 2) == [[b"data"] * 2] * 2
    mine = connections[:2]
    assert len({*mine}) == 1 and not {*mine} & {*connections[2:]}
    assert len(connections) == 6 and len({*connections}) == 3


def test_a_blob_that_may_not_be_seen_is_not_taken_for_missing(store, monkeypatch):
    def answer(request):
        request.send_response(403 if DIGEST in request.path else 200)
        request.send_header("Content-Length", "0")
        request.end_headers()

    with answering(answer) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert told(store, "holds").endswith(" do not allow it (403)")


def test_an_answer_that_breaks_off_is_not_taken_for_damage(store, monkeypatch):
    def cut(request):
        request.send_response(200)
        request.send_header("Content-Length", "4")
        request.end_headers()
        request.wfile.write(b"da")
        request.close_connection = True

    with answering(cut) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        sentence = told(store, "get")
    assert re.search(r"cannot be read: the connection to 127\.0\.0\.1:\d+ fails \(\w+\)", sentence)


def test_a_server_that_hangs_up_is_told(store, monkeypatch, impatient):
    def hang_up(request):
        request.close_connection = True

    with answering(hang_up) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert "fails (ConnectionClosedError); AWS_ENDPOINT_URL_S3 names the server" in told(store, "get")


def refuse(status, code, message, seen):
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()

    def answer(request):
        seen.append(request.command)
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def test_an_upload_that_the_server_found_torn_is_told(store, monkeypatch):
    with answering(refuse(400, "BadDigest", "The SHA256 you specified did not match.", [])) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert told(store, "put").endswith(" cannot be written: BadDigest: The SHA256 you specified did not match.")


def test_a_server_that_is_busy_is_asked_three_times(store, monkeypatch, impatient):
    seen = []
    with answering(refuse(503, "SlowDown", "Please reduce your request rate.", seen)) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert told(store, "put").endswith(" cannot be written: SlowDown: Please reduce your request rate.")
    assert seen == ["PUT"] * 3


def test_an_expired_token_is_told_as_credentials(store, monkeypatch):
    with answering(refuse(400, "ExpiredToken", "quite-secret", [])) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert told(store, "put").endswith(": the AWS credentials are wrong or do not allow it (ExpiredToken)")


def test_what_could_not_be_deleted_is_named(store, monkeypatch):
    key = store.key(DIGEST)
    body = f"<DeleteResult><Error><Key>{key}</Key><Code>AccessDenied</Code></Error></DeleteResult>".encode()

    def answer(request):
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    with answering(answer) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert told(store, "delete") == f"s3://{store.bucket}/{key} cannot be removed: AccessDenied"


def test_one_of_many_puts_that_fails_is_told(store, monkeypatch):
    bad = hashlib.sha256(b"7").hexdigest()

    def answer(request):
        if request.path.endswith(bad):
            refuse(400, "BadDigest", "torn", [])(request)
        else:
            request.send_response(200)
            request.send_header("Content-Length", "0")
            request.end_headers()

    with answering(answer) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        with pytest.raises(Unavailable, match=rf"{bad} cannot be written: BadDigest: torn$"):
            store.put_all([b"%d" % n for n in range(20)])


# --- the usual AWS variables


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
    ],
)
def test_the_region_is_that_of_the_variables(store, variables, region, monkeypatch):
    monkeypatch.delenv("AWS_REGION")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert store._client().meta.region_name == region


def test_an_endpoint_for_all_of_aws_is_used_where_there_is_none_for_s3(store, s3, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    assert store.get(store.put(b"data")) == b"data"


def test_credentials_of_a_profile_are_used(store, tmp_path, monkeypatch):
    (tmp_path / "credentials").write_text("[mine]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert store.get(store.put(b"data")) == b"data"


def test_what_to_install_is_told_where_boto3_is_missing():
    code = (
        "import sys; sys.modules['boto3'] = None; from registry.storage.opening import open_store\n"
        "from tailorbird.errors import Unavailable\n"
        "for use in (lambda s: s.put(b''), lambda s: s.get('0'), lambda s: s.holds('0'), lambda s: s.delete(['0']),"
        " lambda s: [*s.listing()]):\n"
        "    try: use(open_store('s3://bucket/prefix'))\n"
        "    except Unavailable as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (
        set(done.stdout.splitlines())
        == {"s3://bucket requires boto3, which is not installed: pip install 'tailorbird[s3]'"}
        and done.stdout.count("\n") == 5
    )
