"""The manifests of k8s/, rendered by kubectl, and the pods in them."""

import copy
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
K8S = ROOT / "k8s"
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())
Object = dict[str, Any]


class Pod(NamedTuple):
    """A pod template: who makes it, its labels, its spec."""

    owner: str
    labels: dict[str, str]
    spec: Object


def render(overlay: str, *components: str) -> list[Object]:
    """The objects of an overlay with further components, which a test may spoil."""
    return copy.deepcopy(_rendered(overlay, components))


@functools.cache
def _rendered(overlay: str, components: tuple[str, ...]) -> list[Object]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed, which renders the manifests", allow_module_level=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(os.path.relpath(K8S, Path(folder).resolve()))
        kustomization = {
            "resources": [str(root / "overlays" / overlay)],
            "components": [str(root / "components" / component) for component in components],
        }
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        rendered = subprocess.run(["kubectl", "kustomize", folder], check=True, capture_output=True, text=True).stdout
    return list(yaml.load_all(rendered, yaml.CSafeLoader))


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [item for item in objects if item["kind"] in kinds]


def pick(objects: list[Object], kind: str, name: str | None = None) -> Object:
    return next(item for item in of_kind(objects, kind) if name in (None, item["metadata"]["name"]))


def main_config(objects: list[Object]) -> Object:
    """The ConfigMap that all our pods get."""
    return next(item for item in of_kind(objects, "ConfigMap") if "TAILORBIRD_MODEL" in item["data"])


def ray(objects: list[Object]) -> Object:
    """The spec of the RayJob."""
    spec: Object = pick(objects, "RayJob")["spec"]
    return spec


def name(item: Object) -> str:
    return f"{item['kind']}/{item['metadata']['name']}"


def pods(objects: list[Object]) -> Iterator[Pod]:
    for item in objects:
        spec = item.get("spec", {})
        match item["kind"]:
            case "CronJob":
                yield _pod(name(item), spec["jobTemplate"]["spec"]["template"])
            case "RayJob":
                yield from _ray_pods(item)
            case "Pod":
                yield _pod(name(item), item)
            case _ if "template" in spec:  # a Deployment, StatefulSet, DaemonSet, ReplicaSet or Job
                yield _pod(name(item), spec["template"])


def _ray_pods(item: Object) -> Iterator[Pod]:
    spec = item["spec"]
    cluster = spec["rayClusterSpec"]
    yield _pod(f"{name(item)} submitter", spec["submitterPodTemplate"])
    head = _pod(f"{name(item)} head", cluster["headGroupSpec"]["template"])
    autoscaler = {"name": "autoscaler", "image": head.spec["containers"][0]["image"], **cluster["autoscalerOptions"]}
    yield head._replace(spec={**head.spec, "containers": [*head.spec["containers"], autoscaler]})
    for group in cluster["workerGroupSpecs"]:
        yield _pod(f"{name(item)} {group['groupName']}", group["template"])


def _pod(owner: str, template: Object) -> Pod:
    return Pod(owner, template["metadata"]["labels"], template["spec"])


def containers(pod: Pod) -> list[Object]:
    return [*pod.spec.get("initContainers", []), *pod.spec["containers"]]


def literals(container: Object) -> Iterator[tuple[str, str]]:
    """The variables whose value stands in the manifest."""
    yield from ((entry["name"], entry["value"]) for entry in container.get("env", []) if "value" in entry)


def secrets_named(objects: list[Object]) -> Iterator[tuple[str, str | None]]:
    """The Secrets that pods and Ray ask for, with the key where one is named."""
    for pod in pods(objects):
        for container in containers(pod):
            yield from (
                (source["secretRef"]["name"], None) for source in container.get("envFrom", []) if "secretRef" in source
            )
            for entry in container.get("env", []):
                if chosen := entry.get("valueFrom", {}).get("secretKeyRef"):
                    yield chosen["name"], chosen["key"]
    for item in of_kind(objects, "RayJob"):
        yield item["spec"]["rayClusterSpec"]["authOptions"]["secretName"], "auth_token"
