"""What holds of every overlay: each check gives a sentence for each problem, and nothing where all is well."""

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate

from tailorbird.settings import PREFIX, Settings
from tests.k8s.manifests import Object, Pod, name, of_kind, pods

KUBERNETES = "1.37"
CUSTOM = ("RayJob", "ServiceMonitor", "PodMonitor", "PrometheusRule", "HTTPRoute")
"""Kinds of CRDs, which Kubernetes' own schemas do not know."""
LONGEST_RAY_JOB = 47
OURS = {"HOST", "PORT"}
DATABASE = f"{PREFIX}DATABASE_URL"
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


def containers(pod: Pod) -> list[Object]:
    return [*pod.spec.get("initContainers", []), *pod.spec["containers"]]


def resources(objects: list[Object]) -> Iterator[str]:
    """Every container says what it needs, and has a limit of memory."""
    for pod in pods(objects):
        for container in containers(pod):
            sizes = container.get("resources", {})
            if not sizes.get("requests", {}).keys() >= {"cpu", "memory"} or "memory" not in sizes.get("limits", {}):
                yield f"{pod.owner} {container['name']}: has no requests of cpu and memory, or no limit of memory"


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
    literals = [(name(item), key) for item in of_kind(objects, "ConfigMap") for key in item["data"]]
    literals += [
        (pod.owner, entry["name"])
        for pod in pods(objects)
        for container in containers(pod)
        for entry in container.get("env", [])
        if "value" in entry
    ]
    yield from (f"{owner}: {key} is a secret in plain sight" for owner, key in literals if secret.search(key))


def settings(objects: list[Object]) -> Iterator[str]:
    """Every variable of ours is one that the code reads."""
    known = {PREFIX + field.upper() for field in Settings.model_fields} | OURS
    variables = [(name(item), key) for item in of_kind(objects, "ConfigMap") for key in item["data"] if key.isupper()]
    variables += [
        (pod.owner, entry["name"])
        for pod in pods(objects)
        for container in containers(pod)
        for entry in container.get("env", [])
        if entry["name"].startswith(PREFIX)
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
    """Roll-outs keep every replica, schedules wait for the user and never overlap, and no Job has to change."""
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
        for config in _values(item["spec"], "configMap", "configMapRef"):
            yield f"{name(item)}: names ConfigMap/{config}, whose name changes, and cannot be changed itself"


def references(objects: list[Object]) -> Iterator[str]:
    """What is named is there: ConfigMaps, accounts, claims, what a Role may get, what is scaled or led to."""
    there = {name(item) for item in objects}
    for pod in pods(objects):
        wanted = [f"ConfigMap/{value}" for value in _values(pod.spec, "configMap", "configMapRef")]
        wanted += [f"PersistentVolumeClaim/{claim}" for claim in _values(pod.spec, "persistentVolumeClaim")]
        if account := pod.spec.get("serviceAccountName"):
            wanted.append(f"ServiceAccount/{account}")
        yield from (f"{pod.owner}: names {missing}, which is not there" for missing in wanted if missing not in there)
    for item in of_kind(objects, "Role"):
        for rule in item["rules"]:
            for known in rule.get("resourceNames", []):
                if rule["resources"] == ["rayjobs"] and f"RayJob/{known}" not in there:
                    yield f"{name(item)}: names RayJob/{known}, which is not there"
    known = {
        (service["metadata"]["name"], port[key])
        for service in of_kind(objects, "Service")
        for port in service["spec"]["ports"]
        for key in ("name", "port")
    }
    for item in of_kind(objects, "Ingress", "HTTPRoute"):
        for backend in _backends(item):
            if backend not in known:
                yield f"{name(item)}: leads to {backend}, which no Service has"
    for item in of_kind(objects, "HorizontalPodAutoscaler"):
        target = item["spec"]["scaleTargetRef"]
        if f"{target['kind']}/{target['name']}" not in there:
            yield f"{name(item)}: scales {target['name']}, which is not there"


def _backends(item: Object) -> Iterator[tuple[str, Any]]:
    for rule in item["spec"]["rules"]:
        if item["kind"] == "HTTPRoute":
            yield from ((backend["name"], backend["port"]) for backend in rule["backendRefs"])
        else:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                yield service["name"], next(iter(service["port"].values()))


def _values(value: Any, *keys: str) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _values(item, *keys)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in keys:
                yield item.get("name") or item["claimName"]
            else:
                yield from _values(item, *keys)


def selectors(objects: list[Object]) -> Iterator[str]:
    """Every selector picks something, and what it leads to has the port that it names."""
    templates = list(pods(objects))
    for item in of_kind(objects, "Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        chosen = [pod for pod in templates if _selects(_selector(item), pod.labels)]
        if not chosen:
            yield f"{name(item)}: selects no pod"
        ports = {port["name"] for pod in chosen for box in pod.spec["containers"] for port in box.get("ports", [])}
        for port in _ports(item):
            if isinstance(port, str) and port not in ports:
                yield f"{name(item)}: port {port} is none of {sorted(ports)}"
    services = of_kind(objects, "Service")
    for item in of_kind(objects, "ServiceMonitor"):
        chosen = [service for service in services if _selects(_selector(item), service["metadata"]["labels"])]
        ports = {port["name"] for service in chosen for port in service["spec"]["ports"]}
        if not {endpoint["port"] for endpoint in item["spec"]["endpoints"]} <= ports:
            yield f"{name(item)}: selects no Service with its port"
    for pod in templates:
        for container in containers(pod):
            names = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container.get(probe, {}).get("httpGet", {}).get("port")
                if isinstance(asked, str) and asked not in names:
                    yield f"{pod.owner}: {probe} asks port {asked}, which is none of {sorted(names)}"


def _selector(item: Object) -> Object:
    spec = item["spec"]
    if item["kind"] == "Service":
        return {"matchLabels": spec["selector"]}
    return spec["podSelector" if item["kind"] == "NetworkPolicy" else "selector"]


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    wanted = {key: [value] for key, value in selector.get("matchLabels", {}).items()}
    wanted |= {rule["key"]: rule["values"] for rule in selector.get("matchExpressions", [])}  # all of them `In`
    return all(labels.get(key) in values for key, values in wanted.items())


def _ports(item: Object) -> Iterator[Any]:
    spec = item["spec"]
    match item["kind"]:
        case "Service":
            yield from (port["targetPort"] for port in spec["ports"])
        case "PodMonitor":
            yield from (endpoint["port"] for endpoint in spec["podMetricsEndpoints"])
        case "NetworkPolicy":
            yield from (port["port"] for rule in spec.get("ingress", []) for port in rule.get("ports", []))


def isolation(objects: list[Object]) -> Iterator[str]:
    """Every pod has a policy that says who may reach it and whom it may reach; PostgreSQL's lets in who needs it."""
    policies = of_kind(objects, "NetworkPolicy")
    for pod in pods(objects):
        chosen = [policy for policy in policies if _selects(_selector(policy), pod.labels)]
        closed = {kind for policy in chosen for kind in policy["spec"]["policyTypes"]}
        if closed != {"Ingress", "Egress"}:
            yield f"{pod.owner}: has no NetworkPolicy for {sorted({'Ingress', 'Egress'} - closed)}"
    rays = [pod for pod in pods(objects) if pod.owner.startswith("RayJob/")]
    for policy in policies:
        for rule in policy["spec"].get("ingress", []):
            if not rule.get("ports") and not rule.get("from"):
                yield f"{name(policy)}: lets everybody in at every port"
            anybody = not rule.get("from") or any(not any(peer.values()) for peer in rule["from"])
            if anybody and any(_selects(_selector(policy), pod.labels) for pod in rays):
                yield f"{name(policy)}: lets everybody reach Ray"
        if "postgres" in policy["metadata"]["name"]:
            (peer,) = policy["spec"]["ingress"][0]["from"]
            for pod in pods(objects):
                asks = any(entry["name"] == DATABASE for box in containers(pod) for entry in box.get("env", []))
                if asks and not _selects(peer["podSelector"], pod.labels):
                    yield f"{pod.owner}: is not let in by {name(policy)}"


def kuberay(objects: list[Object]) -> Iterator[str]:
    """The rules by which KubeRay's operator refuses a RayJob, and those that its release notes ask to be kept."""
    for item in of_kind(objects, "RayJob"):
        spec = item["spec"]
        yield from (f"{name(item)}: {problem}" for problem in (*_job(item, spec), *_cluster(spec["rayClusterSpec"])))


def _job(item: Object, spec: Object) -> Iterator[str]:
    if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", item["metadata"]["name"]):
        yield "its name is no DNS-1035 label"
    if len(item["metadata"]["name"]) > LONGEST_RAY_JOB:
        yield f"its name is longer than {LONGEST_RAY_JOB} characters"
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


ALL = (
    schemas,
    restricted,
    resources,
    images,
    secrets,
    settings,
    required,
    tokens,
    workloads,
    references,
    selectors,
    isolation,
    kuberay,
)
