"""Every overlay is what a cluster takes, and each check finds what it is for."""

import tomllib

import pytest
import yaml

from tailorbird.drift import policy
from tests.k8s import checks
from tests.k8s.manifests import K8S, OVERLAYS, ROOT, of_kind, pods, render
from tuning import spec

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("check", checks.ALL, ids=lambda check: check.__name__)
def test_overlay_has_no_problem(overlay, check):
    assert list(check(render(overlay))) == []


def pick(objects, kind, name=None):
    return next(item for item in of_kind(objects, kind) if name in (None, item["metadata"]["name"]))


def container(objects, owner):
    return next(pod for pod in pods(objects) if pod.owner.startswith(owner)).spec["containers"][0]


def ray(objects):
    return pick(objects, "RayJob")["spec"]


SPOILED = {
    "unknown field": (checks.schemas, lambda o: pick(o, "Deployment")["spec"].update(replica=2)),
    "wrong type": (checks.schemas, lambda o: pick(o, "Service")["spec"]["ports"][0].update(port="eighty")),
    "root": (checks.restricted, lambda o: container(o, "Job")["securityContext"].update(allowPrivilegeEscalation=True)),
    "capabilities": (checks.restricted, lambda o: container(o, "CronJob")["securityContext"].pop("capabilities")),
    "submitter": (
        checks.restricted,
        lambda o: ray(o)["submitterPodTemplate"]["spec"].pop("securityContext"),
    ),
    "autoscaler": (
        checks.restricted,
        lambda o: ray(o)["rayClusterSpec"]["autoscalerOptions"].pop("securityContext"),
    ),
    "host path": (
        checks.restricted,
        lambda o: pick(o, "Deployment")["spec"]["template"]["spec"]["volumes"].append(
            {"name": "root", "hostPath": {"path": "/"}}
        ),
    ),
    "no limit": (checks.resources, lambda o: container(o, "Deployment")["resources"].pop("limits")),
    "latest": (checks.images, lambda o: container(o, "Deployment").update(image="tailorbird-serve:latest")),
    "no tag": (checks.images, lambda o: container(o, "RayJob").update(image="registry.example:5000/tailorbird-train")),
    "secret in a file": (
        checks.secrets,
        lambda o: o.append({"kind": "Secret", "metadata": {"name": "x"}, "data": {}}),
    ),
    "secret in plain sight": (
        checks.secrets,
        lambda o: (
            container(o, "Deployment")
            .setdefault("env", [])
            .append({"name": "TAILORBIRD_RECEIPT_KEY", "value": "0123456789abcdef"})
        ),
    ),
    "unknown setting": (checks.settings, lambda o: _main(o)["data"].update(TAILORBIRD_MODELS="demo")),
    "service links": (
        checks.settings,
        lambda o: pick(o, "Deployment")["spec"]["template"]["spec"].pop("enableServiceLinks"),
    ),
    "missing config": (checks.references, lambda o: o.remove(_main(o))),
    "missing account": (checks.references, lambda o: o.remove(pick(o, "ServiceAccount", "tailorbird-watch"))),
    "autoscaler's target": (
        checks.references,
        lambda o: pick(o, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="serving"),
    ),
    "service without pods": (
        checks.selectors,
        lambda o: pick(o, "Service", "tailorbird-serving")["spec"].update(selector={"app": "tailorbird"}),
    ),
    "service's port": (
        checks.selectors,
        lambda o: pick(o, "Service", "tailorbird-serving")["spec"]["ports"][0].update(targetPort="web"),
    ),
    "probe's port": (
        checks.selectors,
        lambda o: container(o, "Deployment/tailorbird-serving")["readinessProbe"]["httpGet"].update(port="web"),
    ),
    "monitor without service": (
        checks.selectors,
        lambda o: pick(o, "ServiceMonitor")["spec"]["endpoints"][0].update(port="metrics"),
    ),
    "open pods": (checks.isolation, lambda o: o.remove(pick(o, "NetworkPolicy", "tailorbird-sweep"))),
    "open egress": (
        checks.isolation,
        lambda o: pick(o, "NetworkPolicy", "tailorbird-watch")["spec"].update(policyTypes=["Ingress"]),
    ),
    "long name": (checks.kuberay, lambda o: pick(o, "RayJob")["metadata"].update(name="s" * 48)),
    "dotted name": (checks.kuberay, lambda o: pick(o, "RayJob")["metadata"].update(name="sweep.1")),
    "suspended and kept": (checks.kuberay, lambda o: ray(o).update(shutdownAfterJobFinishes=False)),
    "deletion rules": (checks.kuberay, lambda o: ray(o).update(deletionStrategy={"deletionRules": []})),
    "sidecar": (checks.kuberay, lambda o: ray(o).update(submissionMode="SidecarMode")),
    "submitter restarts": (
        checks.kuberay,
        lambda o: ray(o)["submitterPodTemplate"]["spec"].update(restartPolicy="Always"),
    ),
    "no deadline": (checks.kuberay, lambda o: ray(o).pop("activeDeadlineSeconds")),
    "runtime environment": (checks.kuberay, lambda o: ray(o).update(runtimeEnvYAML="env_vars: {}")),
    "no token": (checks.kuberay, lambda o: ray(o)["rayClusterSpec"].pop("authOptions")),
    "no version": (checks.kuberay, lambda o: ray(o)["rayClusterSpec"].pop("rayVersion")),
    "alpha": (checks.kuberay, lambda o: ray(o)["rayClusterSpec"].update(networkPolicy={"mode": "DenyAll"})),
    "head restarts": (
        checks.kuberay,
        lambda o: ray(o)["rayClusterSpec"]["headGroupSpec"]["template"]["spec"].update(restartPolicy="Always"),
    ),
    "resources twice": (
        checks.kuberay,
        lambda o: ray(o)["rayClusterSpec"]["headGroupSpec"].update(resources={"CPU": "1"}),
    ),
    "replicas": (checks.kuberay, lambda o: ray(o)["rayClusterSpec"]["workerGroupSpecs"][0].update(replicas=99)),
}


def _main(objects):
    return next(item for item in of_kind(objects, "ConfigMap") if "TAILORBIRD_MODEL" in item["data"])


@pytest.mark.parametrize("case", SPOILED)
def test_check_finds_what_is_spoiled(case):
    check, spoil = SPOILED[case]
    objects = render("cluster")
    spoil(objects)
    assert list(check(objects))


def test_versions_are_those_of_the_project():
    objects = render("gpu")
    version = PROJECT["version"]
    tags = {box["image"].partition(":")[2] for pod in pods(objects) for box in checks.containers(pod)}
    assert tags == {version}
    assert pick(objects, "Job")["metadata"]["name"] == f"tailorbird-migrate-{version.replace('.', '-')}"
    pins = [pin for pin in PROJECT["optional-dependencies"]["train"] if pin.startswith("ray[")]
    assert pins == [f"ray[default,tune]=={ray(objects)['rayClusterSpec']['rayVersion']}"]


def test_sweep_is_a_spec():
    assert spec.parse(yaml.safe_load((K8S / "base" / "spec.yaml").read_text())).promote.model == _model()


def test_watch_has_a_policy():
    assert policy.load(K8S / "base" / "policy.yaml").labels == "roll_back"


def _model():
    return _main(render("cluster"))["data"]["TAILORBIRD_MODEL"]


def test_endpoint_has_longer_to_stop_than_it_takes():
    objects = render("cluster")
    drain = int(_main(objects)["data"]["TAILORBIRD_DRAIN_SECONDS"])
    pod = pick(objects, "Deployment", "tailorbird-serving")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > drain + 20


def test_gpu_overlay_adds_a_group_and_nothing_else():
    cluster, gpu = ray(render("cluster")), ray(render("gpu"))
    groups = gpu["rayClusterSpec"].pop("workerGroupSpecs")
    assert groups[:-1] == cluster["rayClusterSpec"].pop("workerGroupSpecs")
    assert groups[-1]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert gpu == cluster
