import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from registry import post
from tailorbird.errors import Unavailable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@contextlib.contextmanager
def server(talk, host="127.0.0.1", port=0, context=None):
    """Listens in a thread, and lets `talk` have each connection; gives the port."""
    with socket.create_server((host, port)) as listening:
        listening.settimeout(0.02)
        stopping = threading.Event()

        def work():
            while not stopping.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listening.accept()
                    with connection:
                        connection.settimeout(5)
                        talk(context.wrap_socket(connection, server_side=True) if context else connection)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stopping.set()
            thread.join()


def read(connection):
    """One request: its head and its body."""
    head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head, body


def answering(answer, requests=None):
    def talk(connection):
        request = read(connection)
        if requests is not None:
            requests.append(request)
        connection.sendall(answer)

    return talk


def send(url, body=b"{}", private=True, **headers):
    post.send(url, body, headers, private=private)


def problem(url, private=True):
    with pytest.raises(Unavailable) as caught:
        send(url, private=private)
    return str(caught.value)


@pytest.fixture
def hosts(monkeypatch):
    """Names and the addresses they are to have, an answer for each time they are asked for; and who was asked for."""
    asked, known, real = [], {}, socket.getaddrinfo

    def find(host, port, *more, **named):
        if host not in known:
            return real(host, port, *more, **named)
        asked.append(host)
        return [one for address in known[host].pop(0) for one in real(address, port, *more, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", find)
    known["asked"] = asked
    return known


# --- what is sent, and what comes back


@pytest.mark.parametrize(
    ("rest", "target"),
    [("", "/"), ("/", "/"), ("?a=b", "/?a=b"), ("/x/y?a=b#c", "/x/y?a=b"), ("//other.example/x", "//other.example/x")],
)
def test_the_body_arrives_at_the_path_with_its_headers(rest, target):
    requests = []
    with server(answering(OK, requests)) as port:
        send(f"http://localhost:{port}{rest}", b'{"a": 1}', **{"X-One": "1"})
    ((head, body),) = requests
    first, *lines = head.decode().split("\r\n")
    assert (first, body) == (f"POST {target} HTTP/1.1", b'{"a": 1}')
    assert [line for line in lines if line.startswith("Host:")] == [f"Host: localhost:{port}"]
    assert {"X-One: 1", "Content-Length: 8", "Connection: close"} <= set(lines)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_an_answer_of_2xx_is_all_that_is_wanted(status):
    with server(answering(f"HTTP/1.1 {status} \r\n\r\n".encode())) as port:
        send(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("status", "told"),
    [(199, "199"), (400, "400 Bad Request"), (410, "410 Gone"), (500, "500 Internal Server Error"), (599, "599")],
)
def test_another_answer_is_a_failure(status, told):
    with server(answering(f"HTTP/1.1 {status} a secret of theirs\r\n\r\n".encode())) as port:
        assert problem(f"http://127.0.0.1:{port}/") == f"it answered {told}"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
def test_a_redirect_is_a_failure_and_is_not_followed(status):
    requests, elsewhere = [], []
    with server(answering(OK, elsewhere)) as other:
        answer = f"HTTP/1.1 {status} \r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n"
        with server(answering(answer.encode(), requests)) as port:
            assert "redirects are not followed" in problem(f"http://127.0.0.1:{port}/")
    assert len(requests) == 1 and elsewhere == []


def test_an_interim_answer_is_not_the_answer():
    with server(answering(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)) as port:
        send(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-server\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
    ids=["another protocol", "no status", "a long line", "many headers"],
)
def test_what_is_not_http_is_a_failure(answer):
    with server(answering(answer)) as port:
        assert problem(f"http://127.0.0.1:{port}/") == "its answer is not HTTP"


def test_a_connection_closed_without_an_answer_is_a_failure():
    with server(read) as port:
        assert problem(f"http://127.0.0.1:{port}/").startswith("it cannot be reached: Remote end closed connection")


def test_a_closed_port_is_a_failure():
    with server(read) as port:
        pass
    assert problem(f"http://127.0.0.1:{port}/") == "it cannot be reached: Connection refused"


def test_proxies_are_not_asked(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with server(answering(OK)) as port:
        send(f"http://127.0.0.1:{port}/")


# --- time


def silent(connection):
    read(connection)
    connection.recv(1)


def deaf(connection):
    time.sleep(1.5)


def dripping(start):
    def talk(connection):
        read(connection)
        connection.sendall(start)
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"x")
                time.sleep(0.02)

    return talk


@pytest.mark.parametrize(
    ("talk", "scheme"),
    [
        (silent, "http"),
        (dripping(b""), "http"),
        (dripping(b"HTTP/1.1 200 OK\r\nX-Header: "), "http"),
        (deaf, "https"),
    ],
    ids=["silent", "a status that drips", "headers that drip", "no handshake"],
)
def test_an_answer_has_a_time_to_come(monkeypatch, talk, scheme):
    monkeypatch.setattr(post, "SECONDS", 0.4)
    with server(talk) as port:
        began = time.monotonic()
        assert problem(f"{scheme}://127.0.0.1:{port}/") == "there was no answer within 0.4 seconds"
        assert time.monotonic() - began > 0.35


def test_a_body_that_never_ends_is_not_waited_for():
    with server(dripping(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        send(f"http://127.0.0.1:{port}/")


def test_an_address_that_does_not_answer_leaves_time_for_the_next(monkeypatch, hosts):
    monkeypatch.setattr(post, "SECONDS", 1)
    requests = []
    with server(answering(OK, requests)) as port, contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.9", port), backlog=0))
        for _ in range(4):  # whoever comes after those who fill the queue is kept waiting
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        hosts["hook.example"] = [["127.0.0.9", "127.0.0.1"]]
        send(f"http://hook.example:{port}/")
    assert len(requests) == 1


# --- which addresses


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1"),
        *("172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
        *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1"),
        *("64:ff9b:1::808:808", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::", "5f00::1"),
        *("fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1"),
    ],
)
def test_an_address_that_is_not_public(address):
    assert not post.is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1", "223.255.255.254"),
        *("2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"),
    ],
)
def test_an_address_that_is_public(address):
    assert post.is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_the_same_in_ipv6_clothes(address):
    number = int(address)
    clothes = [(0xFFFF << 32) + number, (0x64FF9B << 96) + number, (0x2002 << 112) + (number << 80)]
    assert {post.is_public(str(ipaddress.IPv6Address(mapped))) for mapped in clothes} == {post.is_public(str(address))}


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0"],
)
def test_a_private_address_is_refused_however_it_is_written(host):
    requests = []
    with server(answering(OK, requests)) as port:
        message = problem(f"http://{host}:{port}/", private=False)
    assert "which is not a public address; TAILORBIRD_WEBHOOK_PRIVATE=true allows it" in message
    assert requests == []


def test_one_private_address_among_public_ones_is_enough_to_refuse(hosts, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("connected"))
    for addresses in (["8.8.8.8", "10.0.0.7"], ["10.0.0.7", "8.8.8.8"], ["2606:4700::1", "8.8.8.8", "10.0.0.7"]):
        hosts["hook.example"] = [addresses]
        assert problem("http://hook.example/", private=False).startswith("the host hook.example is at 10.0.0.7, which")


def test_public_addresses_are_connected_to(hosts, monkeypatch):
    called = []

    def refuse(address, timeout):
        called.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", refuse)
    for scheme, port in (("http", 80), ("https", 443)):
        hosts["hook.example"] = [["8.8.8.8", "2606:4700::1"]]
        assert problem(f"{scheme}://hook.example/", private=False) == "it cannot be reached: Connection refused"
        assert called == [("8.8.8.8", port), ("2606:4700::1", port)]
        called.clear()


def test_a_name_that_changes_its_address_is_connected_to_where_it_was_vetted(hosts):
    hosts["hook.example"] = [["127.0.0.2"], ["127.0.0.3"]]
    good, bad = [], []
    with server(answering(OK, good), "127.0.0.2") as port, server(answering(OK, bad), "127.0.0.3", port):
        send(f"http://hook.example:{port}/")
    assert hosts["asked"] == ["hook.example"]
    assert len(good) == 1 and bad == []
    assert f"Host: hook.example:{port}".encode() in good[0][0]


def test_the_next_address_is_tried_where_one_refuses(hosts):
    hosts["hook.example"] = [["127.0.0.2", "127.0.0.3", "127.0.0.1"]]
    requests = []
    with server(answering(OK, requests)) as port:
        send(f"http://hook.example:{port}/")
    assert len(requests) == 1


@pytest.mark.parametrize("host", ["nobody.invalid", "a..b", "a" * 64])
def test_a_host_that_is_not_there(host):
    assert problem(f"http://{host}/") == f"the host {host} cannot be found"


# --- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Makes servers' contexts with a certificate for a name or address, by an authority whose own lies in a file."""
    folder = tmp_path_factory.mktemp("tls")
    now = datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority for tests")])

    def certificate(subject, its_key, *extensions, valid=1):
        builder = x509.CertificateBuilder(name, subject, its_key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=2))
        builder = builder.not_valid_after(now + datetime.timedelta(days=valid))
        identifiers = [
            x509.SubjectKeyIdentifier.from_public_key(its_key.public_key()),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
        ]
        for extension in (*extensions, *identifiers):
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def context(host, valid=1, names=None):
        its_key = ec.generate_private_key(ec.SECP256R1())
        try:
            alternative = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            alternative = x509.DNSName(host)
        pem = its_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = folder / f"{host}-{valid}.pem"
        file.write_bytes(
            certificate(x509.Name([]), its_key, x509.SubjectAlternativeName([alternative]), valid=valid) + pem
        )
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(file)
        if names is not None:
            made.sni_callback = lambda _, asked, __: names.append(asked)
        return made

    usage = x509.KeyUsage(*([False] * 5), True, True, False, False)
    (folder / "authority.pem").write_bytes(certificate(name, key, x509.BasicConstraints(True, None), usage))
    return context, folder / "authority.pem"


@pytest.fixture
def trusted(authority, monkeypatch):
    context, file = authority
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return context


def test_tls_is_spoken_with_the_name_of_the_url(trusted, hosts):
    requests, names = [], []
    hosts["hook.example"] = [["127.0.0.1"]]
    with server(answering(OK, requests), context=trusted("hook.example", names=names)) as port:
        send(f"https://hook.example:{port}/x")
    assert names == ["hook.example"]
    assert requests[0][0].startswith(b"POST /x HTTP/1.1") and f"Host: hook.example:{port}".encode() in requests[0][0]


def test_a_slow_handshake_has_the_time_that_other_addresses_do_not_need(trusted, hosts, monkeypatch):
    monkeypatch.setattr(post, "SECONDS", 3)
    hosts["hook.example"] = [["127.0.0.1", "127.0.0.2"]]
    context = trusted("hook.example")
    context.sni_callback = lambda *_: time.sleep(1.7)
    with server(answering(OK), context=context) as port:
        send(f"https://hook.example:{port}/")


def test_a_certificate_may_be_that_of_an_address(trusted):
    with server(answering(OK), context=trusted("127.0.0.1")) as port:
        send(f"https://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("host", "valid", "told"), [("other.example", 1, "Hostname mismatch"), ("hook.example", -1, "has expired")]
)
def test_a_certificate_that_does_not_fit_is_a_failure(trusted, hosts, host, valid, told):
    requests = []
    hosts["hook.example"] = [["127.0.0.1"]]
    with server(answering(OK, requests), context=trusted(host, valid)) as port:
        result = problem(f"https://hook.example:{port}/")
    assert result.startswith("its certificate does not verify: ") and told in result
    assert requests == []


def test_a_certificate_of_an_unknown_authority_is_a_failure(authority):
    with server(answering(OK), context=authority[0]("127.0.0.1")) as port:
        assert problem(f"https://127.0.0.1:{port}/").startswith("its certificate does not verify: unable to get")


def test_tls_where_none_is_spoken_is_a_failure():
    with server(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        assert problem(f"https://127.0.0.1:{port}/").startswith("it cannot be reached: [SSL")
