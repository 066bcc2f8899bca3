"""Every overlay is what a cluster takes."""

import pytest

from tests.k8s import checks
from tests.k8s.manifests import OVERLAYS, pick, ray, render


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("check", checks.ALL, ids=lambda check: check.__name__)
def test_overlay_has_no_problem(overlay, check):
    assert list(check(render(overlay))) == []


def test_components_of_choice_have_no_problem():
    objects = render("cluster", "gateway", "ingress", "token")
    assert {"Ingress", "HTTPRoute"} <= {item["kind"] for item in objects}
    assert "authorization" in pick(objects, "ServiceMonitor")["spec"]["endpoints"][0]
    assert [problem for check in checks.ALL for problem in check(objects)] == []


def test_gpu_overlay_adds_a_group_and_nothing_else():
    cluster, gpu = ray(render("cluster")), ray(render("gpu"))
    groups = gpu["rayClusterSpec"].pop("workerGroupSpecs")
    assert groups[:-1] == cluster["rayClusterSpec"].pop("workerGroupSpecs")
    assert (groups[-1]["replicas"], groups[-1]["minReplicas"]) == (0, 0)
    assert groups[-1]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert gpu == cluster
