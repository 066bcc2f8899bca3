"""The description of the routes against what a server answers."""

import subprocess
import sys
from importlib.util import find_spec

import jsonschema
import numpy as np
import pytest

from serving import openapi
from serving.inputs import Reader
from serving.routes import Routes
from tailorbird.package.signature import Signature
from tests import packages
from tests.waiting import BOUND_SECONDS

IMAGE = np.zeros((28, 28), np.uint8).tolist()
OF_CARD = ("config.yaml", "environment.txt", "curves.json", "curves.png", "confusion.png")
RECEIPT = {"receipt": "forged", "label": "two"}


@pytest.fixture(scope="module")
def described(client) -> dict:
    return client.get("/openapi.json").json()


def conforms(described, schema, value) -> bool:
    whole = schema | {"components": described["components"]}
    jsonschema.Draft202012Validator.check_schema(whole)
    return jsonschema.Draft202012Validator(whole).is_valid(value)


def test_it_has_the_routes_and_no_other(described):
    table = Routes(None).table()
    assert {path: [*operations] for path, operations in described["paths"].items()} == {
        path: [route.methods[0].lower()] for path, route in table.items()
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", {"inputs": [IMAGE]}), ("/predict", {"inputs": []}), ("/predict", {"inputs": [[[256] * 28] * 28]}),
        ("/predict", {"inputs": [IMAGE[1:]]}), ("/predict", {"inputs": [IMAGE], "more": 1}), ("/predict", [IMAGE]),
        ("/feedback", {"labels": [RECEIPT]}), ("/feedback", {"labels": []}), ("/feedback", {"labels": [{}]}),
        ("/feedback", {"labels": [RECEIPT | {"label": 2}]}), ("/feedback", {"labels": [RECEIPT | {"more": 1}]}),
    ],
)  # fmt: skip
def test_bodies_that_it_describes_are_taken_and_no_other(client, described, path, body):
    operation = described["paths"][path]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    response = client.post(path, json=body)
    assert response.is_success == conforms(described, schema, body)
    answer = operation["responses"][str(response.status_code)]["content"][response.headers["content-type"]]
    assert conforms(described, answer["schema"], response.json())


@pytest.mark.parametrize("path", [path for path, route in Routes(None).table().items() if "GET" in route.methods])
def test_answers_are_as_it_describes_them(client, described, path):
    response = client.get(path)
    media_type = response.headers["content-type"].partition(";")[0]
    answer = described["paths"][path]["get"]["responses"][str(response.status_code)]["content"][media_type]
    content = response.json() if media_type.endswith("json") else response.text
    assert conforms(described, answer["schema"], content)


def test_a_table_is_described_by_its_columns():
    signature = Signature.of(
        {
            "kind": "table", "shape": [2], "dtype": "float64", "columns": ["long", "wide"],
            "classes": ["a", "b"], "objective": "binary", "temperature": 1.0,
        }
    )  # fmt: skip
    described = openapi.describe(Routes(None).table(), Reader(signature, max_pixels=1, max_rows=2), token=True)
    inputs = described["components"]["schemas"]["Inputs"]
    assert "/pixels" not in described["paths"]
    assert [*described["paths"]["/predict"]["post"]["requestBody"]["content"]] == [
        "application/json", "application/octet-stream",
    ]  # fmt: skip
    assert conforms(described, inputs, {"inputs": [[1, 2.5], {"long": 1, "wide": 2}]})
    assert not conforms(described, inputs, {"inputs": [{"long": 1}]})


def test_the_token_is_asked_for_by_all_but_health_and_empty_pages(client):
    signature = Signature.of(client.get("/model").json()["signature"])
    described = openapi.describe(Routes(None).table(), Reader(signature, max_pixels=1, max_rows=1), token=True)
    assert described["security"] == [{"token": []}]
    operations = {path: operation for path, methods in described["paths"].items() for operation in methods.values()}
    free = {path for path, operation in operations.items() if operation.get("security") == []}
    assert free == {"/livez", "/readyz", "/", "/docs", "/drift"}
    assert {path for path, operation in operations.items() if "401" not in operation["responses"]} == free


@pytest.mark.long
@pytest.mark.skipif(find_spec("schemathesis") is None, reason="needs schemathesis")
@pytest.mark.parametrize("kind", ["image", "table"])
def test_schemathesis_finds_nothing(start, settings, register, toy, kind, tmp_path):
    """Requests that fit the description, and some that do not, by every check but one.

    That one wants all that fits to be taken; but a description cannot say what a picture is, or how long octets are.
    """
    model = toy if kind == "image" else type(toy).make((3,), ("low", "high"))
    card = packages.files()
    register(settings, kind, model.files() | {name: card[name] for name in OF_CARD})
    server = start(settings, kind).wait()
    program = "from schemathesis.cli import schemathesis; schemathesis()"
    options = ["--checks=all", "--exclude-checks=positive_data_acceptance", "--max-examples=100", "--seed=0"]
    options.append(f"--request-timeout={BOUND_SECONDS}")
    command = [sys.executable, "-c", program, "run", f"{server.url}/openapi.json", *options]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
    assert server.stop() == 0
