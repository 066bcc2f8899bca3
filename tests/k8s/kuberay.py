"""The rules by which KubeRay's operator refuses a RayJob, and those that its release notes ask to be kept."""

import re
from collections.abc import Iterator

from tests.k8s.manifests import Object, name, of_kind

LONGEST_NAME = 47


def kuberay(objects: list[Object]) -> Iterator[str]:
    for item in of_kind(objects, "RayJob"):
        spec = item["spec"]
        yield from (f"{name(item)}: {problem}" for problem in (*_job(item, spec), *_cluster(spec["rayClusterSpec"])))


def _job(item: Object, spec: Object) -> Iterator[str]:
    if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", item["metadata"]["name"]):
        yield "its name is no DNS-1035 label"
    if len(item["metadata"]["name"]) > LONGEST_NAME:
        yield f"its name is longer than {LONGEST_NAME} characters"
    if spec.get("suspend") and not spec.get("shutdownAfterJobFinishes"):
        yield "suspend needs shutdownAfterJobFinishes"
    if spec.get("ttlSecondsAfterFinished", 0) and not spec.get("shutdownAfterJobFinishes"):
        yield "ttlSecondsAfterFinished needs shutdownAfterJobFinishes"
    if spec.get("ttlSecondsAfterFinished", 0) < 0:
        yield "ttlSecondsAfterFinished is negative"
    if "deletionStrategy" in spec:
        yield "deletionStrategy excludes shutdownAfterJobFinishes, which Kueue asks for"
    if spec.get("clusterSelector"):
        yield "clusterSelector cannot be suspended"
    if spec["submissionMode"] != "K8sJobMode":
        yield f"{spec['submissionMode']} has a submitter without securityContext, or none"
    if spec["submitterPodTemplate"]["spec"].get("restartPolicy") not in ("Never", "OnFailure"):
        yield "its submitter's restartPolicy must be Never or OnFailure"
    if spec.get("activeDeadlineSeconds", 0) <= 0:
        yield "activeDeadlineSeconds must be positive"
    if spec.get("backoffLimit", 0) < 0:
        yield "backoffLimit must not be negative"
    if "runtimeEnvYAML" in spec:
        yield "runtimeEnvYAML is shown in the dashboard"


def _cluster(cluster: Object) -> Iterator[str]:
    head, groups = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    if cluster.get("authOptions", {}).get("mode") != "token":
        yield "authOptions.mode is not token: who reaches its port runs code"
    if "enableK8sTokenAuth" in cluster.get("authOptions", {}):
        yield "enableK8sTokenAuth is refused of RayJobs"
    if not cluster.get("rayVersion"):
        yield "token mode needs rayVersion"
    for feature in ("networkPolicy", "tlsOptions", "historyServerOptions"):
        if feature in cluster:
            yield f"{feature} is alpha"
    version = cluster.get("autoscalerOptions", {}).get("version")
    for group in (head, *groups):
        where = group.get("groupName", "head")
        started = group.get("rayStartParams", {}).keys() & {"num-cpus", "num-gpus", "memory", "resources"}
        if started and group.get("resources"):
            yield f"{where}: resources stand in rayStartParams and beside it"
        if "labels" in group.get("rayStartParams", {}):
            yield f"{where}: labels do not belong in rayStartParams"
        if version == "v2" and group["template"]["spec"].get("restartPolicy", "Never") != "Never":
            yield f"{where}: autoscaler v2 needs restartPolicy Never or none"
        if group.get("suspend"):
            yield f"{where}: cannot be suspended with an autoscaler"
        environment = {entry["name"] for entry in group["template"]["spec"]["containers"][0].get("env", [])}
        if spoiled := environment & {
            "RAY_REDIS_ADDRESS",
            "REDIS_PASSWORD",
            "REDIS_USERNAME",
            "RAY_enable_autoscaler_v2",
        }:
            yield f"{where}: {sorted(spoiled)} is refused in env"
    for group in groups:
        if not group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]:
            yield f"{group['groupName']}: replicas must lie between minReplicas and maxReplicas"
