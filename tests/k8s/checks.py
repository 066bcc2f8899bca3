"""What holds of every overlay: each check gives a sentence for each problem, and nothing where all is well."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import kubernetes_validate

from tailorbird.drift import policy
from tailorbird.errors import InvalidInput
from tailorbird.settings import PREFIX, Settings
from tests.k8s.connections import (
    DATABASE,
    PROBES,
    egress,
    files,
    folders,
    isolation,
    names,
    ports,
    references,
    selectors,
)
from tests.k8s.kuberay import kuberay
from tests.k8s.manifests import ROOT, Object, containers, literals, main_config, name, of_kind, pick, pods, ray
from tuning import spec_file

KUBERNETES = "1.37"
CUSTOM = ("RayJob", "ServiceMonitor", "PodMonitor", "PrometheusRule", "HTTPRoute")
"""Kinds of CRDs, which Kubernetes' own schemas do not know."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"HOST", "PORT", "SWEEP"}
"""Variables that our programs read, beside the settings."""
DRAIN = f"{PREFIX}DRAIN_SECONDS"
REQUESTS_SECONDS = 20
"""For which an endpoint that has drained waits for requests in flight."""
BODY_LIMITS = ("nginx.org/client-max-body-size", "nginx.ingress.kubernetes.io/proxy-body-size")
TOKEN = f"{PREFIX}API_TOKEN"
IDENTITY = {"runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy", "seccompProfile"}
"""What a pod's security context may say; no container says otherwise, so that it holds of all of them."""
RESTRAINTS = {"allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem"}
"""What a container's security context may say."""


def schemas(objects: list[Object]) -> Iterator[str]:
    """Kubernetes' own schemas, strictly: an unknown field is dropped by the API server without a word."""
    for item in objects:
        if item["kind"] in CUSTOM:
            continue
        try:
            kubernetes_validate.validate(item, KUBERNETES, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            yield f"{name(item)}: {error}"


def restricted(objects: list[Object]) -> Iterator[str]:
    """The Pod Security Standard `restricted` (https://kubernetes.io/docs/concepts/security/pod-security-standards/)."""
    for pod in pods(objects):
        shared = pod.spec.get("securityContext", {})
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.spec.get(key):
                yield f"{pod.owner}: {key}"
        if shared.get("runAsNonRoot") is not True or not shared.get("runAsUser", 0):
            yield f"{pod.owner}: may run as root"
        if shared.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{pod.owner}: has no seccomp profile"
        if others := shared.keys() - IDENTITY:
            yield f"{pod.owner}: sets {sorted(others)}"
        for volume in pod.spec.get("volumes", []):
            kinds = volume.keys() - {"name"}
            if not kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret", "downwardAPI"}:
                yield f"{pod.owner}: volume {volume['name']} is {sorted(kinds)}"
        for container in containers(pod):
            yield from (f"{pod.owner} {container['name']}: {problem}" for problem in _container(container))


def _container(container: Object) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False:
        yield "may escalate its privileges"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "has a root file system that can be written"
    if others := context.keys() - RESTRAINTS:
        yield f"sets {sorted(others)} otherwise than its pod"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "takes a port of the host"
    hooks = [*(container.get(probe, {}) for probe in PROBES), *container.get("lifecycle", {}).values()]
    if any("host" in hook.get(action, {}) for hook in hooks for action in ("httpGet", "tcpSocket")):
        yield "has a probe that names a host"


def resources(objects: list[Object]) -> Iterator[str]:
    """Every container says what it needs, and has a limit of memory."""
    for pod in pods(objects):
        for container in containers(pod):
            sizes = container.get("resources", {})
            if not sizes.get("requests", {}).keys() >= {"cpu", "memory"} or "memory" not in sizes.get("limits", {}):
                yield f"{pod.owner} {container['name']}: has no requests of cpu and memory, or no limit of memory"


def messages(objects: list[Object]) -> Iterator[str]:
    """What a container says last is its termination message; of the autoscaler KubeRay decides that."""
    for pod in pods(objects):
        for container in containers(pod):
            if (
                container["name"] != "autoscaler"
                and container.get("terminationMessagePolicy") != "FallbackToLogsOnError"
            ):
                yield f"{pod.owner} {container['name']}: has no termination message"


def images(objects: list[Object]) -> Iterator[str]:
    for pod in pods(objects):
        for container in containers(pod):
            tag = re.search(r"(?::([\w.-]+)|@sha256:[0-9a-f]{64})$", container["image"])
            if tag is None or tag[1] == "latest":
                yield f"{pod.owner}: image {container['image']} has no fixed tag"


def secrets(objects: list[Object]) -> Iterator[str]:
    """No secret stands in a file: they are made by commands, and named here."""
    for item in of_kind(objects, "Secret"):
        yield f"{name(item)}: is a Secret in a file"
    secret = re.compile(r"PASSWORD|TOKEN|_KEY|SECRET|DATABASE_URL")
    shown = [(name(item), key) for item in of_kind(objects, "ConfigMap") for key in item["data"]]
    shown += [
        (pod.owner, key) for pod in pods(objects) for container in containers(pod) for key, _ in literals(container)
    ]
    yield from (f"{owner}: {key} is a secret in plain sight" for owner, key in shown if secret.search(key))


def settings(objects: list[Object]) -> Iterator[str]:
    """Every variable of our containers is one that the code reads."""
    known = {PREFIX + field.upper() for field in Settings.model_fields} | OURS
    variables = [(name(item), key) for item in of_kind(objects, "ConfigMap") for key in item["data"] if key.isupper()]
    variables += [
        (pod.owner, entry["name"])
        for pod in pods(objects)
        for container in containers(pod)
        if "tailorbird-" in container["image"]
        for entry in container.get("env", [])
    ]
    yield from (f"{owner}: {key} is no setting" for owner, key in variables if key not in known)
    for pod in pods(objects):
        if pod.spec.get("enableServiceLinks") is not False:
            yield f"{pod.owner}: gets variables of every Service, {PREFIX}PORT of one named tailorbird among them"


def required(objects: list[Object]) -> Iterator[str]:
    """Who gets a Secret asks for the database's URL by its key, so that Kubernetes tells where it is missing.

    A process without one would make an SQLite database of its own.
    """
    for pod in pods(objects):
        for container in containers(pod):
            named = [source["secretRef"]["name"] for source in container.get("envFrom", []) if "secretRef" in source]
            asked = [entry.get("valueFrom", {}).get("secretKeyRef") for entry in container.get("env", [])]
            for secret in named:
                if {"name": secret, "key": DATABASE} not in asked:
                    yield f"{pod.owner}: does not ask {secret} for {DATABASE}"


def tokens(objects: list[Object]) -> Iterator[str]:
    """A monitor brings the token that its endpoint must have, and no other.

    The Prometheus operator refuses a monitor whose key is missing, even one that is `optional`; without the token that
    an endpoint asks for, Prometheus is refused.
    """
    asked = {
        (entry["valueFrom"]["secretKeyRef"]["name"], entry["name"])
        for pod in pods(objects)
        for container in containers(pod)
        for entry in container.get("env", [])
        if entry["name"] == TOKEN
    }
    brought = set()
    for item in of_kind(objects, "ServiceMonitor", "PodMonitor"):
        for endpoint in (*item["spec"].get("endpoints", []), *item["spec"].get("podMetricsEndpoints", [])):
            if credentials := endpoint.get("authorization", {}).get("credentials"):
                brought.add((credentials["name"], credentials["key"]))
    yield from (f"no pod must have {key} of {secret}, which a monitor brings" for secret, key in brought - asked)
    yield from (f"no monitor brings {key} of {secret}" for secret, key in asked - brought)


def workloads(objects: list[Object]) -> Iterator[str]:
    """Roll-outs keep every replica, schedules wait for the user and never overlap, and no Job has to change.

    An autoscaler has one metric: with a second one that goes missing it never scales down.
    """
    for item in of_kind(objects, "Deployment"):
        rolling = item["spec"].get("strategy", {}).get("rollingUpdate")
        if item["spec"].get("replicas") != 1 and (rolling or {}).get("maxUnavailable") != 0:
            yield f"{name(item)}: loses replicas while it is rolled out"
    for item in of_kind(objects, "CronJob"):
        if item["spec"].get("suspend") is not True:
            yield f"{name(item)}: is not suspended"
        if item["spec"].get("concurrencyPolicy") != "Forbid":
            yield f"{name(item)}: may run beside itself"
    for item in of_kind(objects, "Job"):
        for config in names(item["spec"], "configMap", "configMapRef"):
            yield f"{name(item)}: names ConfigMap/{config}, whose name changes, and cannot be changed itself"
    for item in of_kind(objects, "HorizontalPodAutoscaler"):
        if len(item["spec"]["metrics"]) != 1:
            yield f"{name(item)}: has not one metric"


def stops(objects: list[Object]) -> Iterator[str]:
    """An endpoint has longer to stop than it takes."""
    seconds = int(main_config(objects)["data"][DRAIN]) + REQUESTS_SECONDS
    for pod in pods(objects):
        listens = any(key == "PORT" for container in containers(pod) for key, _ in literals(container))
        if listens and pod.spec.get("terminationGracePeriodSeconds", 30) <= seconds:
            yield f"{pod.owner}: is killed before its {seconds} s of draining are over"


def probes(objects: list[Object]) -> Iterator[str]:
    """An endpoint is restarted where it is dead, and left out where it has no model; a stale one is neither."""
    wanted = {"startupProbe": "/livez", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
    for pod in pods(objects):
        for container in containers(pod):
            if any(key == "PORT" for key, _ in literals(container)):
                asked = {probe: container.get(probe, {}).get("httpGet", {}).get("path") for probe in wanted}
                yield from (
                    f"{pod.owner}: its {probe} asks {asked[probe]}" for probe in wanted if asked[probe] != wanted[probe]
                )


def limits(objects: list[Object]) -> Iterator[str]:
    """What stands before the endpoint takes as long a body, and waits as long, as the endpoint itself."""
    endpoint = Settings(_env_file=None)
    body = f"{endpoint.max_body_bytes // 2**20}m"
    for item in of_kind(objects, "Ingress"):
        annotations = item["metadata"].get("annotations", {})
        yield from (f"{name(item)}: {key} is not {body}" for key in BODY_LIMITS if annotations.get(key) != body)
    seconds = f"{endpoint.receive_seconds + endpoint.request_seconds:g}s"
    for item in of_kind(objects, "HTTPRoute"):
        for rule in item["spec"]["rules"]:
            if rule.get("timeouts", {}).get("request") != seconds:
                yield f"{name(item)}: does not wait {seconds} for an answer"


def versions(objects: list[Object]) -> Iterator[str]:
    """Images and the migration are of this release, and Ray is the one that it is tested with."""
    version = PROJECT["version"]
    for pod in pods(objects):
        for image in (container["image"] for container in containers(pod)):
            if "tailorbird-" in image and not image.endswith(f":{version}"):
                yield f"{pod.owner}: image {image} is not of release {version}"
    if (job := pick(objects, "Job")["metadata"]["name"]) != f"tailorbird-migrate-{version.replace('.', '-')}":
        yield f"Job/{job}: is not named by release {version}"
    (pin,) = (pin for pin in PROJECT["optional-dependencies"]["train"] if pin.startswith("ray["))
    if (known := ray(objects)["rayClusterSpec"]["rayVersion"]) != pin.partition("==")[2]:
        yield f"rayVersion {known} is not that of {pin}"


def contents(objects: list[Object]) -> Iterator[str]:
    """Files of ConfigMaps are what the code takes, and what the sweep promotes is what is served."""
    served = main_config(objects)["data"][f"{PREFIX}MODEL"]
    with TemporaryDirectory() as folder:
        for item in of_kind(objects, "ConfigMap"):
            for key, content in item["data"].items():
                path = Path(folder, key)
                path.write_text(content)
                try:
                    if key == "spec.yaml" and (promoted := spec_file.read(path, []).promote.model) != served:
                        yield f"{name(item)}: promotes {promoted}, and {served} is served"
                    if key == "policy.yaml":
                        policy.load(path)
                except InvalidInput as error:
                    yield f"{name(item)}: {key}: {error}"


ALL = (
    schemas,
    restricted,
    resources,
    messages,
    images,
    secrets,
    settings,
    required,
    tokens,
    workloads,
    stops,
    probes,
    limits,
    versions,
    contents,
    references,
    files,
    folders,
    selectors,
    ports,
    isolation,
    egress,
    kuberay,
)
