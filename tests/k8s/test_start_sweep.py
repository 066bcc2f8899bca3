"""Sweeps are started from the suspended template, by a script that asks a real HTTPS server as the API server."""

import datetime
import json
import os
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.k8s import checks
from tests.k8s.manifests import K8S, of_kind, render

TEMPLATE = "tailorbird-sweep"
PATH = "/apis/ray.io/v1/namespaces/tailorbird/rayjobs"


class ApiServer(BaseHTTPRequestHandler):
    """Holds RayJobs by name, for whoever brings the token, and Jobs with who made them.

    As KubeRay's operator does, it makes a submitter of the RayJob's own name, where there is no Job of that name yet.
    """

    jobs: dict
    batch: dict
    token = "a-token"

    def do_GET(self):
        name = self.path.removeprefix(f"{PATH}/")
        self._answer(200, self.jobs[name]) if name in self.jobs else self._answer(404, {"message": "not found"})

    def do_POST(self):
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != PATH or job["metadata"]["name"] in self.jobs:
            self._answer(409, {"message": "exists"})
        else:
            self.jobs[job["metadata"]["name"]] = job
            self.batch.setdefault(job["metadata"]["name"], "KubeRay")
            self._answer(201, job)

    def _answer(self, status, content):
        if self.headers["Authorization"] != f"Bearer {self.token}":
            status, content = 401, {"message": "Unauthorized"}
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def certificate(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(*pem))


@pytest.fixture
def jobs():
    template = of_kind(render("cluster"), "RayJob")[0]
    return {TEMPLATE: template}


@pytest.fixture
def batch():
    return {"fashion-weekly": "the CronJob"}


@pytest.fixture
def account(tmp_path, jobs, batch):
    certificate(tmp_path)
    (tmp_path / "namespace").write_text("tailorbird\n")
    (tmp_path / "token").write_text("a-token")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (ApiServer,), {"jobs": jobs, "batch": batch}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield tmp_path, server.server_address[1]
    server.shutdown()
    server.server_close()


def start(account, sweep="fashion-weekly"):
    folder, port = account
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}
    environment |= {"SERVICE_ACCOUNT": str(folder), "SWEEP": sweep, "PATH": os.environ["PATH"]}
    command = [sys.executable, K8S / "base" / "start_sweep.py", TEMPLATE]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_ray_job_is_the_template_with_a_sweep_of_its_own(account, jobs):
    assert start(account).stdout == "rayjob ray-fashion-weekly created; its sweep is fashion-weekly\n"
    job = jobs["ray-fashion-weekly"]
    assert job["spec"]["suspend"] is False
    assert job["spec"]["entrypoint"].endswith("--id fashion-weekly")
    assert list(checks.kuberay([job])) == []
    assert jobs[TEMPLATE]["spec"]["suspend"] is True


def test_submitter_is_made_beside_the_job_that_starts_the_sweep(account, batch):
    start(account)
    assert batch == {"fashion-weekly": "the CronJob", "ray-fashion-weekly": "KubeRay"}


def test_second_start_of_a_sweep_makes_no_second_job(account, jobs):
    start(account)
    again = start(account)
    assert (again.returncode, again.stdout) == (0, "rayjob ray-fashion-weekly is there already\n")
    assert jobs.keys() == {TEMPLATE, "ray-fashion-weekly"}


def test_long_name_is_cut_to_what_a_ray_job_may_have(account, jobs):
    start(account, "a-sweep-of-a-name-that-is-longer-than-it-is-to-be")
    (name,) = jobs.keys() - {TEMPLATE}
    assert name == "ray-a-sweep-of-a-name-that-is-longer-than-it-is"
    assert jobs[name]["spec"]["entrypoint"].endswith("--id a-sweep-of-a-name-that-is-longer-than-it-is")
    assert list(checks.kuberay([jobs[name]])) == []


def test_refusal_is_one_sentence(account, jobs):
    (account[0] / "token").write_text("another")
    refused = start(account)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "the API server answered 401" in refused.stderr
    del jobs[TEMPLATE]
    (account[0] / "token").write_text("a-token")
    assert "404" in start(account).stderr


def test_absent_server_is_one_sentence(account):
    refused = start((account[0], 1))
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "the API server cannot be reached" in refused.stderr
