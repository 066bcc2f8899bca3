"""What objects of an overlay name of each other is there: each check gives a sentence for each problem."""

import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tailorbird.settings import PREFIX
from tests.k8s.manifests import Object, Pod, containers, literals, main_config, name, of_kind, pods

DATABASE = f"{PREFIX}DATABASE_URL"
PROMETHEUS = f"{PREFIX}PROMETHEUS_URL"
STORAGE = f"{PREFIX}STORAGE_URL"
MOUNTED = "/etc/tailorbird/"
"""Under which the files of ConfigMaps stand."""
DNS, POSTGRESQL, HTTPS = 53, 5432, 443
API_SERVER = (443, 6443)
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def references(objects: list[Object]) -> Iterator[str]:
    """ConfigMaps, accounts, claims, volumes, what a Role may get and whom it is given to, what is scaled or led to."""
    existing = {name(item) for item in objects}
    for pod in pods(objects):
        wanted = [f"ConfigMap/{value}" for value in names(pod.spec, "configMap", "configMapRef")]
        wanted += [f"PersistentVolumeClaim/{claim}" for claim in names(pod.spec, "persistentVolumeClaim")]
        if account := pod.spec.get("serviceAccountName"):
            wanted.append(f"ServiceAccount/{account}")
        yield from (
            f"{pod.owner}: names {missing}, which is not there" for missing in wanted if missing not in existing
        )
        volumes = {volume["name"] for volume in _volumes(pod, objects)}
        mounts = {mount["name"] for container in containers(pod) for mount in container.get("volumeMounts", [])}
        yield from (f"{pod.owner}: mounts {missing}, which is no volume of it" for missing in mounts - volumes)
    for item in of_kind(objects, "Role"):
        for rule in item["rules"]:
            for known in rule.get("resourceNames", []):
                if rule["resources"] == ["rayjobs"] and f"RayJob/{known}" not in existing:
                    yield f"{name(item)}: names RayJob/{known}, which is not there"
    for item in of_kind(objects, "RoleBinding"):
        for named in (item["roleRef"], *item["subjects"]):
            if f"{named['kind']}/{named['name']}" not in existing:
                yield f"{name(item)}: names {named['kind']}/{named['name']}, which is not there"
    for item in of_kind(objects, "HorizontalPodAutoscaler"):
        target = item["spec"]["scaleTargetRef"]
        if f"{target['kind']}/{target['name']}" not in existing:
            yield f"{name(item)}: scales {target['name']}, which is not there"
    yield from _backends(objects)


def _volumes(pod: Pod, objects: list[Object]) -> list[Object]:
    """With the claims that a StatefulSet makes for each of its pods."""
    claims = [
        {"name": claim["metadata"]["name"]}
        for item in of_kind(objects, "StatefulSet")
        if name(item) == pod.owner
        for claim in item["spec"].get("volumeClaimTemplates", [])
    ]
    return [*pod.spec.get("volumes", []), *claims]


def _backends(objects: list[Object]) -> Iterator[str]:
    known = {
        (service["metadata"]["name"], port[key])
        for service in of_kind(objects, "Service")
        for port in service["spec"]["ports"]
        for key in ("name", "port")
    }
    for item in of_kind(objects, "HTTPRoute"):
        backends = [
            (backend["name"], backend["port"]) for rule in item["spec"]["rules"] for backend in rule["backendRefs"]
        ]
        yield from (
            f"{name(item)}: leads to {backend}, which no Service has" for backend in backends if backend not in known
        )
    for item in of_kind(objects, "Ingress"):
        for path in (path for rule in item["spec"]["rules"] for path in rule["http"]["paths"]):
            service = path["backend"]["service"]
            backend = service["name"], next(iter(service["port"].values()))
            if backend not in known:
                yield f"{name(item)}: leads to {backend}, which no Service has"


def names(value: Any, *keys: str) -> Iterator[str]:
    """Of all that stands under these keys, however deep."""
    if isinstance(value, list):
        for item in value:
            yield from names(item, *keys)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in keys:
                yield item.get("name") or item["claimName"]
            else:
                yield from names(item, *keys)


def files(objects: list[Object]) -> Iterator[str]:
    """Commands name the files that ConfigMaps bring, and each is named by one; the dashboard is read by Grafana."""
    maps = {item["metadata"]["name"]: item for item in of_kind(objects, "ConfigMap")}
    brought = {}
    for pod in pods(objects):
        volumes = {
            volume["name"]: volume["configMap"]["name"]
            for volume in pod.spec.get("volumes", [])
            if "configMap" in volume
        }
        for mount in (mount for container in containers(pod) for mount in container.get("volumeMounts", [])):
            if source := volumes.get(mount["name"]):
                brought |= {f"{mount['mountPath']}/{key}": (source, key) for key in maps[source]["data"]}
    named = {word for word in _words(objects) if word.startswith(MOUNTED)}
    yield from (f"{path} is named by a command, and no ConfigMap brings it" for path in named - brought.keys())
    read = {brought[path] for path in named & brought.keys()}
    for source, item in maps.items():
        if "grafana_dashboard" not in item["metadata"].get("labels", {}):
            unread = [key for key in item["data"] if not key.isupper() and (source, key) not in read]
            yield from (f"ConfigMap/{source}: nothing reads {key}" for key in unread)


def _words(objects: list[Object]) -> Iterator[str]:
    for pod in pods(objects):
        for container in containers(pod):
            yield from (*container.get("command", []), *container.get("args", []))
    for item in of_kind(objects, "RayJob"):
        yield from shlex.split(item["spec"]["entrypoint"])


def folders(objects: list[Object]) -> Iterator[str]:
    """Folders that variables name are volumes that can be written."""
    for pod in pods(objects):
        for container in containers(pod):
            written = {m["mountPath"] for m in container.get("volumeMounts", []) if not m.get("readOnly")}
            named = {value for key, value in literals(container) if key.endswith("_DIR")}
            yield from (f"{pod.owner}: cannot write {folder}" for folder in named - written)


def selectors(objects: list[Object]) -> Iterator[str]:
    """Every selector picks something, and what it leads to has the port that it names."""
    templates = list(pods(objects))
    for item in of_kind(objects, "Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        chosen = [pod for pod in templates if selects(selector(item), pod.labels)]
        if not chosen:
            yield f"{name(item)}: selects no pod"
        declared = {
            value
            for pod in chosen
            for container in containers(pod)
            for port in container.get("ports", [])
            for value in port.values()
        }
        yield from (f"{name(item)}: port {port} is none of its pods'" for port in _ports(item) if port not in declared)
    for item in of_kind(objects, "NetworkPolicy"):
        for peer in _peers(item):
            if "namespaceSelector" not in peer and not any(
                selects(peer["podSelector"], pod.labels) for pod in templates
            ):
                yield f"{name(item)}: is about {peer['podSelector']}, which selects no pod"
    services = of_kind(objects, "Service")
    for item in of_kind(objects, "ServiceMonitor"):
        monitored = [service for service in services if selects(selector(item), service["metadata"]["labels"])]
        declared = {port["name"] for service in monitored for port in service["spec"]["ports"]}
        if not {endpoint["port"] for endpoint in item["spec"]["endpoints"]} <= declared:
            yield f"{name(item)}: selects no Service with its port"
    for item in of_kind(objects, "Deployment", "StatefulSet"):
        template = item["spec"]["template"]
        spread = [rule["labelSelector"] for rule in template["spec"].get("topologySpreadConstraints", [])]
        for own in (selector(item), *spread):
            if not selects(own, template["metadata"]["labels"]):
                yield f"{name(item)}: {own} does not select its own pods"


def selector(item: Object) -> Object:
    spec = item["spec"]
    if item["kind"] == "Service":
        return {"matchLabels": spec["selector"]}
    return spec["podSelector" if item["kind"] == "NetworkPolicy" else "selector"]


def selects(selector: Object, labels: dict[str, str]) -> bool:
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


def _peers(policy: Object) -> Iterator[Object]:
    for rule in policy["spec"].get("ingress", []):
        yield from rule.get("from", [])
    for rule in policy["spec"].get("egress", []):
        yield from rule.get("to", [])


def ports(objects: list[Object]) -> Iterator[str]:
    """A container declares the ports that it listens on, at its pod's address, and those that its probes ask."""
    for pod in pods(objects):
        for container in containers(pod):
            declared = {value for port in container.get("ports", []) for value in port.values()}
            listening = [int(value) for key, value in literals(container) if key == "PORT"]
            words = container.get("args", [])
            listening += [int(words[words.index("--metrics-port") + 1])] if "--metrics-port" in words else []
            yield from (
                f"{pod.owner}: listens on {port}, and declares no such port"
                for port in listening
                if port not in declared
            )
            if listening and ("HOST", "0.0.0.0") not in literals(container):
                yield f"{pod.owner}: does not listen at the pod's address"
            for probe in PROBES:
                action = container.get(probe, {})
                asked = (action.get("httpGet") or action.get("tcpSocket") or {}).get("port")
                if asked not in (None, *declared):
                    yield f"{pod.owner}: {probe} asks port {asked}, which it does not declare"


def isolation(objects: list[Object]) -> Iterator[str]:
    """Every pod has a policy that says who may reach it and whom it may reach; PostgreSQL's lets in who needs it."""
    policies = of_kind(objects, "NetworkPolicy")
    for pod in pods(objects):
        chosen = [policy for policy in policies if selects(selector(policy), pod.labels)]
        closed = {kind for policy in chosen for kind in policy["spec"]["policyTypes"]}
        if closed != {"Ingress", "Egress"}:
            yield f"{pod.owner}: has no NetworkPolicy for {sorted({'Ingress', 'Egress'} - closed)}"
    rays = [pod for pod in pods(objects) if pod.owner.startswith("RayJob/")]
    for policy in policies:
        for rule in policy["spec"].get("ingress", []):
            if not rule.get("ports") and not rule.get("from"):
                yield f"{name(policy)}: lets everybody in at every port"
            anybody = not rule.get("from") or any(not any(peer.values()) for peer in rule["from"])
            if anybody and any(selects(selector(policy), pod.labels) for pod in rays):
                yield f"{name(policy)}: lets everybody reach Ray"
        if "postgres" in policy["metadata"]["name"]:
            (peer,) = policy["spec"]["ingress"][0]["from"]
            for pod in pods(objects):
                if _asks_database(pod) and not selects(peer["podSelector"], pod.labels):
                    yield f"{pod.owner}: is not let in by {name(policy)}"


def egress(objects: list[Object]) -> Iterator[str]:
    """Policies let out whoever needs the database, the store, Prometheus or Kubernetes' API server."""
    policies = of_kind(objects, "NetworkPolicy")
    config = main_config(objects)["data"]
    for pod in pods(objects):
        opened = {
            port["port"]
            for policy in policies
            if selects(selector(policy), pod.labels)
            for rule in policy["spec"].get("egress", [])
            if "to" not in rule
            for port in rule["ports"]
        }
        needed = set(_needed(pod, config))
        yield from (f"{pod.owner}: no policy lets it out by port {port}" for port in sorted(needed - opened))


def _needed(pod: Pod, config: dict[str, str]) -> Iterator[int]:
    if _asks_database(pod):
        yield from (DNS, POSTGRESQL)
    if config[STORAGE].startswith("s3:") and any(names(pod.spec, "configMapRef")):
        yield from (DNS, HTTPS)
    if PROMETHEUS in config and any("watch" in container.get("command", []) for container in containers(pod)):
        yield from (DNS, urlsplit(config[PROMETHEUS]).port or HTTPS)
    if pod.spec.get("automountServiceAccountToken", True):
        yield from (DNS, *API_SERVER)


def _asks_database(pod: Pod) -> bool:
    return any(entry["name"] == DATABASE for container in containers(pod) for entry in container.get("env", []))
