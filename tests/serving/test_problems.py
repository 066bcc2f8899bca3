import json

from serving.problems import Problem, unavailable


def test_the_five_members():
    response = Problem(422, "inputs is 5", {"X-More": "1"}).answer("an-id")
    assert json.loads(response.body) == {
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "inputs is 5",
        "instance": "an-id",
    }
    assert response.status == 422
    assert response.media_type == "application/problem+json"
    assert response.headers["X-More"] == "1"


def test_unavailable_says_when_to_come_again():
    response = unavailable("not now").answer("an-id")
    assert response.status == 503
    assert response.headers["Retry-After"] == "5"
