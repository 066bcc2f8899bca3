"""Start a sweep: `python start_sweep.py TEMPLATE` creates a RayJob from the suspended one of that name.

Environment: SWEEP, the name of the sweep; a sweep of that name goes on. Runs in a pod, whose service account may get
TEMPLATE and create RayJobs. Needs nothing but Python.
"""

import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path(os.environ.get("SERVICE_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
PREFIX = "ray-"
"""Of the RayJob's name. KubeRay's submitter is a Job of exactly that name, and SWEEP is the name of the Job that runs
this: were both the same, the operator would take the one that runs this for its submitter, and submit nothing."""
LONGEST_NAME = 47
"""Of a RayJob, by KubeRay's own rule."""


def main(template: str) -> None:
    sweep = os.environ["SWEEP"][: LONGEST_NAME - len(PREFIX)].rstrip("-")
    name = PREFIX + sweep
    job = ask("GET", template)
    try:
        ask("POST", body=started(job, name, sweep))
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise
        print(f"rayjob {name} is there already")
    else:
        print(f"rayjob {name} created; its sweep is {sweep}")


def started(template: dict[str, Any], name: str, sweep: str) -> dict[str, Any]:
    """The RayJob of a sweep: the template's spec, no longer suspended."""
    spec = {**template["spec"], "suspend": False}
    spec["entrypoint"] = spec["entrypoint"].replace("SWEEP_ID", sweep)
    labels = template["metadata"].get("labels", {})
    return {
        "apiVersion": template["apiVersion"],
        "kind": template["kind"],
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


def ask(method: str, name: str = "", body: dict[str, Any] | None = None) -> dict[str, Any]:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    namespace = (ACCOUNT / "namespace").read_text().strip()
    token = (ACCOUNT / "token").read_text().strip()
    place = f"[{host}]" if ":" in host else host
    url = f"https://{place}:{port}/apis/ray.io/v1/namespaces/{namespace}/rayjobs/{name}"
    request = urllib.request.Request(  # noqa: S310 (https, above)
        url.rstrip("/"),
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method=method,
    )
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:  # noqa: S310
        content: dict[str, Any] = json.load(answer)
    return content


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except urllib.error.HTTPError as error:
        sys.exit(f"the API server answered {error.code}: {error.read().decode(errors='replace')[:500]}")
    except OSError as error:
        sys.exit(f"the API server cannot be reached: {error}")
