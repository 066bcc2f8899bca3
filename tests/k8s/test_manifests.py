"""Every overlay is what a cluster takes."""

import tomllib

import pytest
import yaml

from tailorbird.drift import policy
from tests.k8s import checks
from tests.k8s.manifests import K8S, OVERLAYS, ROOT, main_config, pick, pods, ray, render
from tuning import spec

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("check", checks.ALL, ids=lambda check: check.__name__)
def test_overlay_has_no_problem(overlay, check):
    assert list(check(render(overlay))) == []


def test_components_of_choice_have_no_problem():
    objects = render("cluster", "gateway", "ingress", "token")
    assert {"Ingress", "HTTPRoute"} <= {item["kind"] for item in objects}
    assert "authorization" in pick(objects, "ServiceMonitor")["spec"]["endpoints"][0]
    assert [problem for check in checks.ALL for problem in check(objects)] == []


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
    return main_config(render("cluster"))["data"]["TAILORBIRD_MODEL"]


def test_endpoint_has_longer_to_stop_than_it_takes():
    objects = render("cluster")
    drain = int(main_config(objects)["data"]["TAILORBIRD_DRAIN_SECONDS"])
    pod = pick(objects, "Deployment", "tailorbird-serving")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > drain + 20


def test_gpu_overlay_adds_a_group_and_nothing_else():
    cluster, gpu = ray(render("cluster")), ray(render("gpu"))
    groups = gpu["rayClusterSpec"].pop("workerGroupSpecs")
    assert groups[:-1] == cluster["rayClusterSpec"].pop("workerGroupSpecs")
    assert (groups[-1]["replicas"], groups[-1]["minReplicas"]) == (0, 0)
    assert groups[-1]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert gpu == cluster
