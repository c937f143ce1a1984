"""Chart and manifests: what they make is valid for Kubernetes, safe, and means the same."""

from __future__ import annotations

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from connector import __version__
from connector.settings import load
from tests.deploy.artefacts import DASHBOARD, DEPLOY, ROOT, RULES
from tests.support.programs import tool

CHART = DEPLOY / "helm" / "email-connector"
MANIFESTS = DEPLOY / "kubernetes"
OF_OPERATORS = {"ServiceMonitor", "PrometheusRule"}
KUBERNETES = "1.37"

Manifest = dict[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm; without it the test is skipped, in CI it fails."""
    return subprocess.run([tool("helm"), *arguments], capture_output=True, text=True, timeout=60, check=False)


def template(values: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Have the chart rendered with a file of values."""
    options = ("--namespace", "soc", "--kube-version", f"{KUBERNETES}.0", "-f", str(CHART / "ci" / values))
    return helm("template", "email-connector", str(CHART), *options, *arguments)


def rendered(values: str, *arguments: str) -> list[Manifest]:
    """What the chart makes of a file of values."""
    done = template(values, *arguments)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def plain() -> list[Manifest]:
    """The manifests without Helm."""
    files = [path for path in MANIFESTS.glob("*.yaml") if path.name != "kustomization.yaml"]
    return [yaml.safe_load(path.read_text()) for path in files]


def one(manifests: list[Manifest], kind: str) -> Manifest:
    """The only manifest of *kind* that is called like the connector."""
    [found] = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == "email-connector"]
    return found


def validate(manifest: Manifest) -> None:
    if manifest["kind"] not in OF_OPERATORS:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def pod_of(manifests: list[Manifest], kind: str = "StatefulSet") -> Manifest:
    pod: Manifest = one(manifests, kind)["spec"]["template"]["spec"]
    return pod


CERTIFICATE = {"cert_file": "tls.crt", "key_file": "tls.key", "client_ca_file": "ca.crt"}
"""Settings of a listener's TLS, and the keys of a Secret for it as cert-manager writes them."""


def mount_of(manifests: list[Manifest], volume: str) -> str:
    """Where the connector finds the files of *volume*."""
    mounts = connector_of(pod_of(manifests))["volumeMounts"]
    [path] = [mount["mountPath"] for mount in mounts if mount["name"] == volume]
    return str(path)


def connector_of(pod: Manifest) -> Manifest:
    """The connector's container among those of a pod."""
    [container] = [container for container in pod["containers"] if container["name"] == "connector"]
    return dict(container)


@pytest.mark.parametrize("values", ["least.yaml", "everything.yaml", "replicated.yaml"])
def test_what_the_chart_makes_is_valid(values: str) -> None:
    manifests = rendered(values)

    for manifest in manifests:
        validate(manifest)
        assert manifest["metadata"]["namespace"] == "soc"
    assert len({(m["kind"], m["metadata"]["name"]) for m in manifests}) == len(manifests)


def test_helm_finds_nothing_to_complain_about() -> None:
    done = helm("lint", str(CHART), "--strict", "-f", str(CHART / "ci" / "everything.yaml"))

    assert done.returncode == 0, done.stdout


def test_a_wrong_manifest_would_be_found() -> None:
    manifest = copy.deepcopy(one(plain(), "StatefulSet"))
    manifest["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}

    with pytest.raises(kubernetes_validate.ValidationError):
        validate(manifest)


def test_the_plain_manifests_are_valid_and_all_listed() -> None:
    listed = set(yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["resources"])

    for manifest in plain():
        validate(manifest)
    there = {path.name for path in MANIFESTS.glob("*.yaml")}
    instead = {"deployment.yaml", "poddisruptionbudget.yaml"}  # of the StatefulSet
    optional = {"actions-service.yaml", "actions-networkpolicy.yaml"}
    assert there - listed == {"kustomization.yaml", "secret.example.yaml", *instead, *optional}


def test_chart_and_plain_manifests_run_the_same_pod() -> None:
    chart, by_hand = rendered("least.yaml"), plain()

    assert pod_of(chart) == pod_of(by_hand)
    for key in ("replicas", "podManagementPolicy", "volumeClaimTemplates", "serviceName"):
        assert one(chart, "StatefulSet")["spec"][key] == one(by_hand, "StatefulSet")["spec"][key]
    assert one(chart, "Service")["spec"] == one(by_hand, "Service")["spec"]


@pytest.mark.parametrize("values", ["least.yaml", "everything.yaml"])
def test_no_neighbour_on_the_network_can_restart_the_pod(values: str) -> None:
    container = connector_of(pod_of(rendered(values)))

    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["exec"] == {"command": ["email-connector", "status", "--health"]}
    assert pod_of(plain())["containers"][0]["livenessProbe"] == container["livenessProbe"]


def test_a_collector_on_hold_does_not_fail_an_upgrade_that_waits() -> None:
    """Readiness follows the process by default; an operator may ask for more."""
    for pod in (pod_of(rendered("least.yaml")), pod_of(plain())):
        assert connector_of(pod)["readinessProbe"]["httpGet"]["path"] == "/healthz"

    strict = connector_of(pod_of(rendered("everything.yaml")))["readinessProbe"]
    assert (strict["httpGet"], strict["failureThreshold"]) == ({"path": "/readyz", "port": "http"}, 10)


def test_replicas_that_share_a_database_are_a_deployment_without_a_volume() -> None:
    manifests = rendered("replicated.yaml")
    deployment, budget = one(manifests, "Deployment")["spec"], one(manifests, "PodDisruptionBudget")["spec"]
    pod = pod_of(manifests, "Deployment")

    assert "StatefulSet" not in {manifest["kind"] for manifest in manifests}
    assert (deployment["replicas"], budget["maxUnavailable"]) == (2, 1)
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert budget["selector"] == deployment["selector"]
    assert {"name": "state", "emptyDir": {}} in pod["volumes"]
    spread = [constraint["topologyKey"] for constraint in pod["topologySpreadConstraints"]]
    assert spread == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    egress = one(manifests, "NetworkPolicy")["spec"]["egress"]
    assert 5432 in [port["port"] for rule in egress for port in rule["ports"]]


def test_chart_and_plain_manifests_run_the_same_replicas() -> None:
    chart, by_hand = rendered("replicated.yaml"), plain()

    assert pod_of(chart, "Deployment") == pod_of(by_hand, "Deployment")
    for key in ("replicas", "strategy", "selector"):
        assert one(chart, "Deployment")["spec"][key] == one(by_hand, "Deployment")["spec"][key]
    assert one(chart, "PodDisruptionBudget")["spec"] == one(by_hand, "PodDisruptionBudget")["spec"]


def test_the_replicas_load_their_configuration(tmp_path: Path) -> None:
    (tmp_path / "splunk_hec_token").write_text("x")
    (tmp_path / "db_password").write_text("x")

    assert set(configuration(rendered("replicated.yaml"), tmp_path)) == {"siem"}


def test_operators_place_the_pod_and_add_containers() -> None:
    pod = pod_of(rendered("everything.yaml"))

    assert [container["name"] for container in pod["containers"]] == ["connector", "shipper"]
    assert [container["name"] for container in pod["initContainers"]] == ["wait"]
    assert pod["topologySpreadConstraints"][0]["topologyKey"] == "topology.kubernetes.io/zone"
    assert set(connector_of(pod)["lifecycle"]) == {"preStop"}


def test_a_probe_is_replaced_or_removed() -> None:
    replaced = connector_of(
        pod_of(
            rendered(
                "least.yaml",
                "--set-json",
                'livenessProbe={"exec":null,"httpGet":{"path":"/healthz","port":"http"}}',
                "--set-json",
                "startupProbe=null",
            )
        )
    )

    assert "startupProbe" not in replaced
    assert replaced["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert "exec" not in replaced["livenessProbe"]


def test_a_network_policy_is_on_and_lets_the_usual_collectors_through() -> None:
    policy = one(rendered("least.yaml"), "NetworkPolicy")["spec"]
    ports = {(port["port"], port["protocol"]) for rule in policy["egress"] for port in rule["ports"]}

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert {(53, "UDP"), (443, "TCP"), (514, "UDP"), (6514, "TCP"), (8088, "TCP"), (9200, "TCP")} <= ports
    assert policy["ingress"][0]["from"] == [{"podSelector": {}}]


@pytest.mark.parametrize("values", ["least.yaml", "everything.yaml"])
def test_the_pod_can_do_nothing_that_it_needs_not(values: str) -> None:
    manifests = rendered(values)
    pod, stateful = pod_of(manifests), one(manifests, "StatefulSet")["spec"]
    container = connector_of(pod)

    assert stateful["replicas"] == 1
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["terminationGracePeriodSeconds"] > 25 + 10
    writable = [mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["state"]


def configuration(manifests: list[Manifest], directory: Path) -> dict[str, Any]:
    """Lay what the pod would see into *directory*, load it, and give the outputs by name."""
    text = one(manifests, "ConfigMap")["data"]["connector.yaml"]
    secrets: dict[str, str] = next((m["stringData"] for m in manifests if m["kind"] == "Secret"), {})
    for name, value in {"cloudflare_api_token": "x", **secrets}.items():
        (directory / name).write_text(value)
    for manifest in manifests:
        if manifest["metadata"]["name"].endswith("-mappings"):
            for name, content in manifest["data"].items():
                (directory / name).write_text(content)
    text = text.replace("/run/secrets/email-connector-actions", str(directory))
    text = text.replace("/run/secrets/email-connector", str(directory))
    (directory / "connector.yaml").write_text(text.replace("/etc/email-connector/mappings", str(directory)))
    return dict(load(directory / "connector.yaml", {}).settings.outputs)


def test_the_configuration_in_the_pod_is_one_that_the_connector_takes(tmp_path: Path) -> None:
    assert set(configuration(plain(), tmp_path)) == {"siem"}
    assert set(configuration(rendered("everything.yaml"), tmp_path)) == {"siem", "splunk"}


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    [found] = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name)]
    return found


def test_response_actions_are_published_to_their_callers_alone() -> None:
    manifests = rendered("everything.yaml")
    pod = pod_of(manifests)
    container = connector_of(pod)
    service = named(manifests, "Service", "email-connector-actions")
    rules = one(manifests, "NetworkPolicy")["spec"]["ingress"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}

    assert {"name": "actions", "containerPort": 9465, "protocol": "TCP"} in container["ports"]
    assert {"name": "CONNECTOR_ACTIONS__LISTEN", "value": "0.0.0.0:9465"} in container["env"]
    assert service["spec"]["ports"] == [
        {"name": "actions", "port": 443, "targetPort": "actions", "protocol": "TCP"}
    ]
    assert "publishNotReadyAddresses" not in service["spec"]
    assert (
        service["spec"]["selector"].items()
        <= one(manifests, "StatefulSet")["spec"]["template"]["metadata"]["labels"].items()
    )
    assert [
        (rule["ports"][0]["port"], rule["from"][0]["namespaceSelector"]["matchLabels"]) for rule in rules
    ] == [
        ("http", {"kubernetes.io/metadata.name": "monitoring"}),
        ("actions", {"kubernetes.io/metadata.name": "soar"}),
    ]
    assert mounts["actions-tls"]["readOnly"] is True
    assert {
        "name": "actions-tls",
        "secret": {"secretName": "email-connector-actions-tls", "defaultMode": 288},
    } in pod["volumes"]


def test_the_connector_in_the_pod_serves_callers_with_the_certificate_of_the_secret(tmp_path: Path) -> None:
    manifests = rendered("everything.yaml")
    where = mount_of(manifests, "actions-tls")
    text = one(manifests, "ConfigMap")["data"]["connector.yaml"]
    tls = yaml.safe_load(text)["actions"]["tls"]

    assert tls == {name: f"{where}/{file}" for name, file in CERTIFICATE.items()}
    configuration(manifests, tmp_path)
    settings = load(tmp_path / "connector.yaml", {"CONNECTOR_ACTIONS__LISTEN": "0.0.0.0:9465"}).settings
    assert settings.actions is not None
    assert settings.actions.listen == "0.0.0.0:9465"
    assert settings.actions.tls is not None
    assert settings.actions.tls.client_ca_file == tmp_path / "ca.crt"


@pytest.mark.parametrize(
    "values", [(), ("--set-json", 'config.actions={"listen": null}'), ("--set-json", "config.actions=null")]
)
def test_without_callers_nothing_of_response_actions_is_there(values: tuple[str, ...]) -> None:
    done = template("least.yaml", *values)

    assert done.returncode == 0, done.stderr
    manifests = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert [m["metadata"]["name"] for m in manifests if m["kind"] == "Service"] == ["email-connector"]
    assert "9465" not in done.stdout
    assert pod_of(manifests) == pod_of(plain())


def test_a_configuration_that_the_chart_does_not_see_may_have_response_actions() -> None:
    own = (
        "--set",
        "existingConfigMap=own",
        "--set",
        "actions.enabled=true",
        "--set",
        "actions.tlsSecret=own-tls",
    )
    manifests = rendered("least.yaml", *own)

    for manifest in manifests:
        validate(manifest)
    assert named(manifests, "Service", "email-connector-actions")["spec"]["type"] == "ClusterIP"
    assert mount_of(manifests, "actions-tls") == "/run/secrets/email-connector-actions"


def test_chart_and_plain_manifests_publish_response_actions_alike(tmp_path: Path) -> None:
    values = tmp_path / "actions.yaml"
    values.write_text(
        "config: {actions: {callers: {soar: {token: '${env:T}', may: [search]}}}}\n"
        "actions: {tlsSecret: tls}\n"
    )
    chart, by_hand = rendered("least.yaml", "-f", str(values)), plain()
    service = named(by_hand, "Service", "email-connector-actions")["spec"]
    policy = named(by_hand, "NetworkPolicy", "email-connector-actions")["spec"]
    of_chart = one(chart, "NetworkPolicy")["spec"]

    # By hand the pod does not name the port: nothing of it changes for those who only forward.
    by_name = copy.deepcopy(named(chart, "Service", "email-connector-actions")["spec"])
    by_name["ports"][0]["targetPort"] = 9465
    assert service == by_name
    assert policy["ingress"] == [{**of_chart["ingress"][1], "ports": [{"port": 9465, "protocol": "TCP"}]}]
    assert policy["podSelector"] == of_chart["podSelector"]


def test_the_operators_objects_carry_what_the_repository_has() -> None:
    manifests = rendered("everything.yaml")
    monitor, rule = one(manifests, "ServiceMonitor")["spec"], one(manifests, "PrometheusRule")["spec"]
    service = one(manifests, "Service")

    assert rule == yaml.safe_load(RULES.read_text())
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"] == [{"port": "http", "path": "/metrics", "interval": "15s"}]
    assert [port["name"] for port in service["spec"]["ports"]] == ["http"]
    for copied, original in (("rules.yaml", RULES), ("dashboard.json", DASHBOARD)):
        assert (CHART / "files" / copied).read_bytes() == original.read_bytes(), "copy it into the chart"


def test_the_links_of_the_alerts_lead_to_where_the_documentation_is_published() -> None:
    address = "https://wiki.example.org/mail"
    manifests = rendered("everything.yaml", "--set", f"prometheusRule.docsUrl={address}/")

    [group] = one(manifests, "PrometheusRule")["spec"]["groups"]
    links = {rule["annotations"]["runbook_url"] for rule in group["rules"]}
    assert all(link.startswith(f"{address}/operations.md#emailconnector") for link in links)


def test_probes_and_scrapes_follow_the_endpoints_tls_and_token(tmp_path: Path) -> None:
    values = tmp_path / "tls.yaml"
    values.write_text(
        "config: {server: {token: '${file:/run/token}', tls: {cert_file: /run/tls.pem}}}\n"
        "serviceMonitor: {endpoint: {authorization: {credentials: {name: s, key: endpoint_token}}}}\n"
    )
    for arguments, scheme in (((), "HTTP"), (("-f", str(values)), "HTTPS")):
        manifests = rendered("everything.yaml", *arguments)
        container = connector_of(pod_of(manifests))
        assert container["readinessProbe"]["httpGet"].get("scheme", "HTTP") == scheme

    [endpoint] = one(manifests, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["scheme"] == "https"
    assert endpoint["authorization"]["credentials"]["key"] == "endpoint_token"


def test_the_values_that_the_page_shows_make_a_connector(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    shown, acting = re.findall(r"```yaml\n(# values\.yaml\b.*?)```", page, re.DOTALL)
    (tmp_path / "values.yaml").write_text(shown)
    (tmp_path / "acting.yaml").write_text(acting)
    for name in ("splunk_hec_token", "cloudflare_write_token", "soar_token"):
        (tmp_path / name).write_text(f"a-secret-{name}")

    manifests = rendered("least.yaml", "-f", str(tmp_path / "values.yaml"))
    more = rendered("least.yaml", "-f", str(tmp_path / "values.yaml"), "-f", str(tmp_path / "acting.yaml"))

    assert set(configuration(manifests, tmp_path)) == {"siem"}
    assert {"ServiceMonitor", "PrometheusRule"} <= {manifest["kind"] for manifest in manifests}
    assert set(configuration(more, tmp_path)) == {"siem"}
    assert named(more, "Service", "email-connector-actions")


@pytest.mark.parametrize(
    ("wrong", "reported"),
    [
        ("replicas=2", "replicas: more than one needs a shared journal"),
        ("replicas=0", "replicas"),
        ("config.state.postgres.password=abc", "password"),
        ("config.accounts=null", "accounts"),
        ("config.accounts.prod.account_id=abc", "account_id"),
        ("config.accounts.prod.api_token=abc", "api_token"),
        ("config.state.directory=/tmp", "directory"),
        ("terminationGracePeriodSeconds=5", "terminationGracePeriodSeconds"),
        ("config.drain=90s", "expected more than config.drain (90s), got 60 s"),
        ("config.drain=1m0.5s", "expected more than config.drain (1m0.5s), got 60 s"),
        ("persistence.accessModes={ReadWriteMany}", "accessModes"),
        ("secrets.values.token=x", "existingSecret"),
        ("config.accounts.prod.write_token=abc", "write_token"),
        ("config.actions.listen=127.0.0.1:1", "listen"),
        ("config.actions.callers.soar.token=abc", "token"),
        ("config.actions.callers.soar.token=${env:T}", "callers beyond the pod need TLS"),
        ("config.actions.tls.cert_file=/x", "nobody may call"),
        ("actions.tlsSecret=tls", "nobody is served"),
        ("actions.clientCertificates=true", "needs actions.tlsSecret"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_installed(wrong: str, reported: str) -> None:
    done = template("least.yaml", "--set", wrong)

    assert done.returncode != 0
    assert reported in done.stderr


def test_the_chart_is_of_the_version_of_the_connector() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    [container] = pod_of(plain())["containers"]

    assert chart["appVersion"] == __version__
    assert container["image"] == f"email-connector:{__version__}"
    assert (
        yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["images"][0]["newTag"] == __version__
    )
