"""Each check finds what it is for: manifests are spoiled, and what it says is compared."""

import pytest

from tests.k8s import checks
from tests.k8s.manifests import main_config, pick, pods, ray, render


def box(objects, owner):
    return next(pod for pod in pods(objects) if pod.owner.startswith(owner)).spec["containers"][0]


def spec(objects, owner):
    return next(pod for pod in pods(objects) if pod.owner.startswith(owner)).spec


def cluster(objects):
    return ray(objects)["rayClusterSpec"]


def head(objects):
    return cluster(objects)["headGroupSpec"]


def policy(objects, name):
    return pick(objects, "NetworkPolicy", f"tailorbird-{name}")["spec"]


def file(objects, key, old, new):
    """Change what stands in a file of a ConfigMap."""
    data = next(item["data"] for item in objects if key in item.get("data", {}))
    data[key] = data[key].replace(old, new)


def daemon(objects):
    """A DaemonSet that nothing keeps in."""
    container = {"name": "agent", "image": "tailorbird-agent:latest", "securityContext": {"privileged": True}}
    template = {"metadata": {"labels": {}}, "spec": {"containers": [container]}}
    objects.append({"kind": "DaemonSet", "metadata": {"name": "tailorbird-agent"}, "spec": {"template": template}})


SERVING = "Deployment/tailorbird-serving"
WATCH = "Deployment/tailorbird-watch"
MIGRATE = "Job/tailorbird-migrate"
SWEEP = "RayJob/tailorbird-sweep"
CREDENTIALS = {"name": "tailorbird-serving", "key": "TAILORBIRD_API_TOKEN"}
EVERY_POD = {"namespaceSelector": {}, "podSelector": {}}

SPOILED = {
    checks.schemas: [
        ("'replica' was unexpected", lambda o: pick(o, "Deployment")["spec"].update(replica=2)),
        ("'eighty' is not of type", lambda o: pick(o, "Service")["spec"]["ports"][0].update(port="eighty")),
    ],
    checks.restricted: [
        ("may escalate its privileges", lambda o: box(o, MIGRATE)["securityContext"].pop("allowPrivilegeEscalation")),
        ("start: keeps capabilities", lambda o: box(o, "CronJob")["securityContext"].pop("capabilities")),
        ("can be written", lambda o: box(o, SERVING)["securityContext"].update(readOnlyRootFilesystem=False)),
        ("sets ['privileged']", lambda o: box(o, SERVING)["securityContext"].update(privileged=True)),
        ("sets ['runAsUser']", lambda o: box(o, SERVING)["securityContext"].update(runAsUser=0)),
        ("sets ['runAsNonRoot']", lambda o: box(o, SERVING)["securityContext"].update(runAsNonRoot=False)),
        ("sets ['procMount']", lambda o: box(o, SERVING)["securityContext"].update(procMount="Unmasked")),
        (
            "serve: sets ['seccompProfile']",
            lambda o: box(o, SERVING)["securityContext"].update(seccompProfile={"type": "Unconfined"}),
        ),
        ("serving: sets ['sysctls']", lambda o: spec(o, SERVING)["securityContext"].update(sysctls=[{"name": "x"}])),
        ("DaemonSet/tailorbird-agent agent: sets ['privileged']", daemon),
        ("takes a port of the host", lambda o: box(o, SERVING)["ports"][0].update(hostPort=80)),
        (
            "serve: has a probe that names a host",
            lambda o: box(o, SERVING)["livenessProbe"]["httpGet"].update(host="10.0.0.1"),
        ),
        ("hostNetwork", lambda o: spec(o, SERVING).update(hostNetwork=True)),
        ("may run as root", lambda o: spec(o, SERVING)["securityContext"].pop("runAsNonRoot")),
        ("has no seccomp profile", lambda o: spec(o, MIGRATE)["securityContext"].pop("seccompProfile")),
        ("submitter: may run as root", lambda o: ray(o)["submitterPodTemplate"]["spec"].pop("securityContext")),
        ("autoscaler: keeps capabilities", lambda o: cluster(o)["autoscalerOptions"].pop("securityContext")),
        (
            "volume root is ['hostPath']",
            lambda o: spec(o, SERVING)["volumes"].append({"name": "root", "hostPath": {"path": "/"}}),
        ),
    ],
    checks.resources: [
        ("no limit of memory", lambda o: box(o, SERVING)["resources"].pop("limits")),
        ("no requests of cpu", lambda o: cluster(o)["autoscalerOptions"]["resources"]["requests"].pop("cpu")),
    ],
    checks.messages: [
        ("watch watch: has no termination message", lambda o: box(o, WATCH).pop("terminationMessagePolicy")),
    ],
    checks.images: [
        ("agent:latest has no fixed tag", daemon),
        ("serve:latest has no fixed tag", lambda o: box(o, SERVING).update(image="tailorbird-serve:latest")),
        ("train has no fixed tag", lambda o: box(o, SWEEP).update(image="registry.example:5000/tailorbird-train")),
    ],
    checks.secrets: [
        ("is a Secret in a file", lambda o: o.append({"kind": "Secret", "metadata": {"name": "x"}, "data": {}})),
        (
            "TAILORBIRD_API_TOKEN is a secret in plain sight",
            lambda o: box(o, SERVING)["env"].append({"name": "TAILORBIRD_API_TOKEN", "value": "12345678"}),
        ),
        ("AWS_SECRET_ACCESS_KEY is", lambda o: main_config(o)["data"].update(AWS_SECRET_ACCESS_KEY="x")),
    ],
    checks.settings: [
        ("TAILORBIRD_MODELS is no setting", lambda o: main_config(o)["data"].update(TAILORBIRD_MODELS="demo")),
        (
            "TAILORBIRD_KEY is no setting",
            lambda o: box(o, SERVING)["env"].append({"name": "TAILORBIRD_KEY", "value": "x"}),
        ),
        ("HOSTS is no setting", lambda o: box(o, SERVING)["env"].append({"name": "HOSTS", "value": "0.0.0.0"})),
        ("gets variables of every Service", lambda o: spec(o, SERVING).pop("enableServiceLinks")),
    ],
    checks.required: [
        ("does not ask tailorbird-serving for", lambda o: box(o, SERVING).pop("env")),
        ("head: does not ask tailorbird-sweep for", lambda o: box(o, f"{SWEEP} head").pop("env")),
    ],
    checks.tokens: [
        (
            "no pod must have TAILORBIRD_API_TOKEN of tailorbird-serving, which",
            lambda o: pick(o, "ServiceMonitor")["spec"]["endpoints"][0].update(
                authorization={"credentials": CREDENTIALS | {"optional": True}}
            ),
        ),
        (
            "no monitor brings TAILORBIRD_API_TOKEN of tailorbird-serving",
            lambda o: box(o, SERVING)["env"].append(
                {"name": CREDENTIALS["key"], "valueFrom": {"secretKeyRef": CREDENTIALS}}
            ),
        ),
    ],
    checks.workloads: [
        (
            "serving: loses replicas",
            lambda o: pick(o, "Deployment")["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1),
        ),
        ("serving: has not one metric", lambda o: pick(o, "HorizontalPodAutoscaler")["spec"].update(metrics=[])),
        ("retrain: is not suspended", lambda o: pick(o, "CronJob")["spec"].update(suspend=False)),
        ("retrain: may run beside itself", lambda o: pick(o, "CronJob")["spec"].update(concurrencyPolicy="Allow")),
        (
            "migrate-0-1-0: names ConfigMap/tailorbird-",
            lambda o: box(o, MIGRATE)["envFrom"].append(box(o, SERVING)["envFrom"][0]),
        ),
    ],
    checks.stops: [
        ("killed before its 70 s", lambda o: main_config(o)["data"].update(TAILORBIRD_DRAIN_SECONDS="50")),
        ("killed before its 35 s", lambda o: spec(o, SERVING).pop("terminationGracePeriodSeconds")),
    ],
    checks.probes: [
        (
            "its livenessProbe asks /readyz",
            lambda o: box(o, SERVING)["livenessProbe"]["httpGet"].update(path="/readyz"),
        ),
        ("its readinessProbe asks None", lambda o: box(o, SERVING).pop("readinessProbe")),
    ],
    checks.folders: [
        ("serving: cannot write /cache", lambda o: box(o, SERVING)["volumeMounts"].pop(0)),
        ("head: cannot write /data", lambda o: box(o, f"{SWEEP} head")["volumeMounts"][1].update(readOnly=True)),
    ],
    checks.limits: [
        ("client-max-body-size is not 16m", lambda o: pick(o, "Ingress")["metadata"].pop("annotations")),
        ("does not wait 60s", lambda o: pick(o, "HTTPRoute")["spec"]["rules"][0].pop("timeouts")),
    ],
    checks.versions: [
        ("serve:0.0.9 is not of release", lambda o: box(o, SERVING).update(image="registry/tailorbird-serve:0.0.9")),
        ("Job/migrate: is not named by", lambda o: pick(o, "Job")["metadata"].update(name="migrate")),
        ("rayVersion 2.59.0 is not", lambda o: cluster(o).update(rayVersion="2.59.0")),
    ],
    checks.contents: [
        ("spec.yaml: trails: ", lambda o: file(o, "spec.yaml", "trials:", "trails:")),
        ("promotes pets, and fashion is served", lambda o: file(o, "spec.yaml", "model: fashion", "model: pets")),
        ("policy.yaml: ", lambda o: file(o, "policy.yaml", "roll_back", "roll_forward")),
    ],
    checks.references: [
        ("names ConfigMap/tailorbird-", lambda o: o.remove(main_config(o))),
        ("names ServiceAccount/tailorbird-watch", lambda o: o.remove(pick(o, "ServiceAccount", "tailorbird-watch"))),
        ("mounts temporary, which", lambda o: box(o, SERVING)["volumeMounts"].append({"name": "temporary"})),
        ("names Role/retrain", lambda o: pick(o, "RoleBinding")["roleRef"].update(name="retrain")),
        ("names RayJob/sweep", lambda o: pick(o, "Role")["rules"][1].update(resourceNames=["sweep"])),
        (
            "names PersistentVolumeClaim/home",
            lambda o: spec(o, SERVING)["volumes"].append(
                {"name": "home", "persistentVolumeClaim": {"claimName": "home"}}
            ),
        ),
        (
            "HTTPRoute/tailorbird-serving: leads to",
            lambda o: pick(o, "HTTPRoute")["spec"]["rules"][0]["backendRefs"][0].update(port=3000),
        ),
        (
            "Ingress/tailorbird-serving: leads to",
            lambda o: pick(o, "Service")["spec"]["ports"][0].update(name="web"),
        ),
        (
            "scales serving, which",
            lambda o: pick(o, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="serving"),
        ),
    ],
    checks.files: [
        (
            "/watch/rules.yaml is named by a command",
            lambda o: box(o, WATCH)["args"].append("/etc/tailorbird/watch/rules.yaml"),
        ),
        ("nothing reads policy.yaml", lambda o: box(o, WATCH).update(args=[])),
        ("nothing reads tailorbird_model", lambda o: main_config(o)["data"].update(tailorbird_model="fashion")),
    ],
    checks.selectors: [
        (
            "Service/tailorbird-serving: selects no pod",
            lambda o: pick(o, "Service")["spec"].update(selector={"a": "b"}),
        ),
        ("port web is none of", lambda o: pick(o, "Service")["spec"]["ports"][0].update(targetPort="web")),
        ("port 8266 is none of", lambda o: policy(o, "sweep")["ingress"][1]["ports"][0].update(port=8266)),
        (
            "serving: {'matchLabels': {'a': 'b'}} does not select its own pods",
            lambda o: pick(o, "Deployment")["spec"]["selector"].update(matchLabels={"a": "b"}),
        ),
        (
            "serving: {'matchLabels': {'a': 'b'}} does not select its own pods",
            lambda o: spec(o, SERVING)["topologySpreadConstraints"][0]["labelSelector"].update(matchLabels={"a": "b"}),
        ),
        (
            "sweep: is about {'matchLabels': {'a': 'b'}}, which selects no pod",
            lambda o: policy(o, "sweep")["egress"][0]["to"][0]["podSelector"].update(matchLabels={"a": "b"}),
        ),
        ("selects no Service with", lambda o: pick(o, "ServiceMonitor")["spec"]["endpoints"][0].update(port="metrics")),
        (
            "PodDisruptionBudget/",
            lambda o: pick(o, "PodDisruptionBudget")["spec"]["selector"].update(matchLabels={"a": "b"}),
        ),
        (
            "NetworkPolicy/tailorbird-watch: selects no pod",
            lambda o: policy(o, "watch").update(podSelector={"matchLabels": {"a": "b"}}),
        ),
        (
            "port scrape is none of",
            lambda o: pick(o, "PodMonitor")["spec"]["podMetricsEndpoints"][0].update(port="scrape"),
        ),
    ],
    checks.ports: [
        (
            "listens on 3001",
            lambda o: next(v for v in box(o, SERVING)["env"] if v["name"] == "PORT").update(value="3001"),
        ),
        ("watch: does not listen at the pod's address", lambda o: box(o, WATCH)["env"].pop()),
        ("listens on 9100", lambda o: box(o, WATCH)["ports"][0].update(containerPort=9101)),
        ("readinessProbe asks port web", lambda o: box(o, SERVING)["readinessProbe"]["httpGet"].update(port="web")),
        ("livenessProbe asks port 3001", lambda o: box(o, SERVING)["livenessProbe"]["httpGet"].update(port=3001)),
    ],
    checks.egress: [
        ("migrate-0-1-0: no policy lets it out by port 5432", lambda o: policy(o, "migrate")["egress"].pop()),
        ("serving: no policy lets it out by port 443", lambda o: policy(o, "serving")["egress"][1]["ports"].pop()),
        ("watch: no policy lets it out by port 9090", lambda o: policy(o, "watch")["egress"][1]["ports"].pop()),
        ("head: no policy lets it out by port 6443", lambda o: policy(o, "sweep")["egress"][2]["ports"].pop()),
        ("retrain: no policy lets it out by port 53", lambda o: policy(o, "retrain")["egress"].pop(0)),
    ],
    checks.isolation: [
        ("sweep head: has no NetworkPolicy", lambda o: o.remove(pick(o, "NetworkPolicy", "tailorbird-sweep"))),
        ("sweep: lets everybody in at every port", lambda o: policy(o, "sweep").update(ingress=[{}])),
        ("sweep: lets everybody reach Ray", lambda o: policy(o, "sweep").update(ingress=[{"ports": [{"port": 8080}]}])),
        ("sweep: lets everybody reach Ray", lambda o: policy(o, "sweep")["ingress"][0].update({"from": [EVERY_POD]})),
        ("has no NetworkPolicy for ['Egress']", lambda o: policy(o, "watch").update(policyTypes=["Ingress"])),
        (
            "head: is not let in by NetworkPolicy/tailorbird-postgres",
            lambda o: policy(o, "postgres")["ingress"][0]["from"][0]["podSelector"]["matchExpressions"][0].update(
                values=["serving"]
            ),
        ),
    ],
    checks.kuberay: [
        ("longer than 47 characters", lambda o: pick(o, "RayJob")["metadata"].update(name="s" * 48)),
        ("no DNS-1035 label", lambda o: pick(o, "RayJob")["metadata"].update(name="sweep.1")),
        ("suspend needs shutdownAfterJobFinishes", lambda o: ray(o).update(shutdownAfterJobFinishes=False)),
        ("ttlSecondsAfterFinished needs", lambda o: ray(o).update(shutdownAfterJobFinishes=False)),
        ("ttlSecondsAfterFinished is negative", lambda o: ray(o).update(ttlSecondsAfterFinished=-1)),
        ("deletionStrategy excludes", lambda o: ray(o).update(deletionStrategy={"deletionRules": []})),
        ("clusterSelector cannot be suspended", lambda o: ray(o).update(clusterSelector={"ray.io/cluster": "x"})),
        ("SidecarMode has a submitter without", lambda o: ray(o).update(submissionMode="SidecarMode")),
        (
            "restartPolicy must be Never or OnFailure",
            lambda o: ray(o)["submitterPodTemplate"]["spec"].pop("restartPolicy"),
        ),
        ("activeDeadlineSeconds must be positive", lambda o: ray(o).pop("activeDeadlineSeconds")),
        ("backoffLimit must not be negative", lambda o: ray(o).update(backoffLimit=-1)),
        ("runtimeEnvYAML is shown", lambda o: ray(o).update(runtimeEnvYAML="env_vars: {}")),
        ("authOptions.mode is not token", lambda o: cluster(o).pop("authOptions")),
        ("enableK8sTokenAuth is refused", lambda o: cluster(o)["authOptions"].update(enableK8sTokenAuth=True)),
        ("token mode needs rayVersion", lambda o: cluster(o).pop("rayVersion")),
        ("networkPolicy is alpha", lambda o: cluster(o).update(networkPolicy={"mode": "DenyAll"})),
        ("head: resources stand in rayStartParams", lambda o: head(o).update(resources={"CPU": "1"})),
        ("labels do not belong in rayStartParams", lambda o: head(o)["rayStartParams"].update(labels="a=b")),
        (
            "autoscaler v2 needs restartPolicy Never",
            lambda o: head(o)["template"]["spec"].update(restartPolicy="Always"),
        ),
        ("cpu: cannot be suspended", lambda o: cluster(o)["workerGroupSpecs"][0].update(suspend=True)),
        ("['REDIS_PASSWORD'] is refused", lambda o: box(o, f"{SWEEP} head")["env"].append({"name": "REDIS_PASSWORD"})),
        ("cpu: replicas must lie between", lambda o: cluster(o)["workerGroupSpecs"][0].update(replicas=99)),
    ],
}
CASES = [(check, problem, spoil) for check, cases in SPOILED.items() for problem, spoil in cases]


def test_no_check_is_without_a_case():
    assert SPOILED.keys() == set(checks.ALL)


@pytest.mark.parametrize(("check", "problem", "spoil"), CASES, ids=[f"{c.__name__}: {p}" for c, p, _ in CASES])
def test_check_finds_what_is_spoiled(check, problem, spoil):
    objects = (
        render("local", "gateway", "ingress") if "postgres" in problem else render("cluster", "gateway", "ingress")
    )
    spoil(objects)
    assert any(problem in result for result in check(objects))
