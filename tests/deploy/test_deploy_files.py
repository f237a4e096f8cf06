"""What deploy/ says agrees with the program: settings, roles, times and secrets; containers are confined."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from consumer.config import _IN_FILES, Config
from consumer.sandbox.demo import load_demo
from consumer.service import Role


ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
ROLES = set(Role)
OF_GRAFANA = {f"CREWSYNC_{name}" for name in ("PROMETHEUS_URL", "DASHBOARDS", "RUNBOOK_BASE")}
"""What Grafana's provisioning asks for."""
SETTINGS = (
    {f"CREWSYNC_{name.upper()}" for name in Config.model_fields}
    | {f"CREWSYNC_{name.upper()}_FILE" for name in _IN_FILES}
    | OF_GRAFANA
)
LONGEST_COMMIT_S, LAST_LOOK_S = 60, 5
FILES = [
    DEPLOY / "compose.yaml",
    DEPLOY / "image/Dockerfile",
    *sorted(KUBERNETES.rglob("*.yaml")),
    *sorted(path for path in (DEPLOY / "systemd").rglob("*") if path.is_file()),
]


def documents() -> Iterator[Mapping[str, Any]]:
    for path in sorted(KUBERNETES.rglob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text("utf-8"))


COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
WORKLOADS = [one for one in documents() if one["kind"] in {"StatefulSet", "Deployment"}]
PODS = [one["spec"]["template"]["spec"] for one in WORKLOADS]
CONTAINERS = [container for pod in PODS for container in pod["containers"]]
OURS = {name: one for name, one in COMPOSE["services"].items() if one["image"].startswith("crewsync:")}
SYSTEMD = (DEPLOY / "systemd/crewsync@.service").read_text("utf-8")


def uncommented(path: Path) -> str:
    return "\n".join(
        line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_setting_that_a_file_names_exists(path: Path) -> None:
    assert set(re.findall(r"CREWSYNC_[A-Z_]+", uncommented(path))) <= SETTINGS


def test_every_role_is_started_by_compose_and_by_kubernetes_and_no_other() -> None:
    by_compose = {one["command"][2] for one in OURS.values() if one["command"][0] == "run"}
    by_kubernetes = {one["args"][2] for one in CONTAINERS}
    assert by_compose == by_kubernetes == ROLES


def test_every_role_with_a_drop_in_for_systemd_exists_and_its_port_is_its_own() -> None:
    drop_ins = {
        path.parent.name[len("crewsync@") : -len(".service.d")]: path.read_text("utf-8")
        for path in DEPLOY.glob("systemd/*.service.d/role.conf")
    }
    assert set(drop_ins) == ROLES - {"users"}
    ports = [re.findall(r"CREWSYNC_METRICS_PORT=(\d+)", text) for text in drop_ins.values()]
    assert len({tuple(each) for each in [*ports, ["9464"]]}) == len(ROLES)


def test_a_stop_has_more_time_than_a_drain_a_commit_and_the_last_look_take() -> None:
    def needed(drain: str) -> float:
        return float(drain) + LONGEST_COMMIT_S + LAST_LOOK_S

    for service in OURS.values():
        drain = service["environment"].get("CREWSYNC_DRAIN_S", "10")
        assert int(service["stop_grace_period"].removesuffix("s")) > needed(drain)
    settings = next(one for one in documents() if one["kind"] == "ConfigMap")["data"]
    assert all(pod["terminationGracePeriodSeconds"] > needed(settings["CREWSYNC_DRAIN_S"]) for pod in PODS)
    given = (DEPLOY / "systemd/crewsync.env").read_text("utf-8")
    drain = re.findall(r"^CREWSYNC_DRAIN_S=(\d+)$", given, re.MULTILINE)[0]
    assert int(re.findall(r"^TimeoutStopSec=(\d+)s$", SYSTEMD, re.MULTILINE)[0]) > needed(drain)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_container_of_compose_is_confined(name: str) -> None:
    service = COMPOSE["services"][name]
    assert int(service["user"].split(":")[0]) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"])
    assert "healthcheck" in service or name in OURS, "the image of crewsync has one of its own"
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


def test_every_container_of_kubernetes_is_confined_as_the_restricted_profile_asks() -> None:
    for pod in PODS:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in CONTAINERS:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"startupProbe", "livenessProbe", "readinessProbe", "resources"} <= set(container)
        port = next(one["value"] for one in container["env"] if one["name"] == "CREWSYNC_METRICS_PORT")
        assert str(container["livenessProbe"]["httpGet"]["port"]) == port


def test_containers_of_one_pod_have_different_ports() -> None:
    for pod in PODS:
        ports = [port["containerPort"] for one in pod["containers"] for port in one["ports"]]
        assert len(ports) == len(set(ports))


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_secret_that_compose_mounts_is_used_and_every_one_used_is_mounted(name: str) -> None:
    service = COMPOSE["services"][name]
    mounted = set(service.get("secrets", []))
    told = [*service.get("environment", {}).values(), *service.get("command", [])]
    used = {str(one).removeprefix("/run/secrets/") for one in told if str(one).startswith("/run/secrets/")}
    if name == "prometheus":
        used.add("metrics_token")  # named in prometheus.yml
    assert mounted == used
    assert mounted <= set(COMPOSE["secrets"])


def test_every_secret_file_that_kubernetes_names_is_in_the_secret_and_the_other_way_round() -> None:
    text = "\n".join(uncommented(path) for path in KUBERNETES.rglob("*.yaml"))
    used = set(re.findall(r"/run/secrets/crewsync/([a-z_.]+)", text))
    held = next(one for one in documents() if one["kind"] == "Secret")["stringData"]
    assert used == set(held)


def test_every_credential_that_systemd_loads_is_used_and_the_other_way_round() -> None:
    for path in [DEPLOY / "systemd/crewsync@.service", *DEPLOY.glob("systemd/*.d/role.conf")]:
        text = path.read_text("utf-8")
        loaded = re.findall(r"^LoadCredential=([a-z_.]+):", text, re.MULTILINE)
        assert sorted(loaded) == sorted(re.findall(r"=%d/([a-z_.]+)$", text, re.MULTILINE))


def test_every_image_is_pinned() -> None:
    pinned = re.compile(r":v?\d+\.\d+\.\d+(\.Final)?(@sha256:[0-9a-f]{64})?$")
    assert all(pinned.search(one["image"]) for one in COMPOSE["services"].values())
    froms = re.findall(r"^FROM (\S+)", (DEPLOY / "image/Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert len(set(froms)) == 1
    assert re.search(r":\d+\.\d+\.\d+-[a-z-]+@sha256:[0-9a-f]{64}$", froms[0])
    images = [image for one in documents() for image in one.get("images", [])]
    assert [str(image["newTag"]) for image in images] == [COMPOSE_VERSION]


COMPOSE_VERSION = OURS["users"]["image"].removeprefix("crewsync:")


def test_kafka_and_the_registry_are_of_the_versions_that_are_tested_with() -> None:
    for service, path, tag in (
        ("kafka", "kafka/pom.xml", "kafka.version"),
        ("registry", "registry/pom.xml", "apicurio.version"),
    ):
        version = re.findall(rf"<{tag}>(.*)</{tag}>", (DEPLOY / path).read_text("utf-8"))[0]
        assert COMPOSE["services"][service]["image"].endswith(f":{version}")


def test_the_company_of_compose_is_the_sandboxs() -> None:
    data = load_demo()
    config = Config.model_validate({"companies": str(DEPLOY / "compose/companies.toml")})
    company = config.companies[0]
    assert company.company_id == data.procore["company"]["id"]
    assert company.smartbarrel_company_id == data.smartbarrel["company"]["id"]


def test_the_example_companies_are_taken_by_the_program() -> None:
    path = KUBERNETES / "overlays/example/companies.toml"
    assert len(Config.model_validate({"companies": str(path)}).companies) == 2


def test_autoscaling_makes_no_more_processes_than_there_are_partitions_and_asks_for_seconds() -> None:
    scaled = [one["spec"] for one in documents() if one["kind"] == "ScaledObject"]
    assert {one["scaleTargetRef"]["name"] for one in scaled} == {Role.USERS, Role.TIMESHEETS}
    for one in scaled:
        assert one["maxReplicaCount"] == 8
        assert "crewsync_consumer_lag_seconds" in one["triggers"][0]["metadata"]["query"]


def pins(name: str) -> Mapping[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / name).read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("lock", ["requirements-run.lock", "deploy/image/build.lock"])
def test_what_runs_and_builds_in_the_image_has_the_versions_that_are_tested(lock: str) -> None:
    assert pins(lock)
    assert pins(lock).items() <= pins("requirements.lock").items()
    assert "://" not in (ROOT / lock).read_text("utf-8")


def test_the_image_holds_all_that_the_program_depends_on() -> None:
    declared = re.findall(
        r'^  "([a-z0-9-]+)[^"]*",$',
        (ROOT / "pyproject.toml").read_text("utf-8").split("[project.optional-dependencies]")[0],
        re.MULTILINE,
    )
    assert declared
    assert set(declared) <= set(pins("requirements-run.lock"))


def test_the_secrets_of_compose_are_made_once_for_the_owner_and_the_containers(tmp_path: Path) -> None:
    """The containers read them as another user, from a folder that nobody else on the machine enters."""
    script = shutil.copy(DEPLOY / "compose/make-secrets.sh", tmp_path)
    folder = tmp_path / "secrets"

    def made() -> Mapping[str, str]:
        subprocess.run([script], check=True, timeout=10)  # noqa: S603 - the script under test
        return {path.name: path.read_text("utf-8").strip() for path in folder.iterdir()}

    first = made()
    assert made() == first
    assert set(first) == {Path(one["file"]).name for one in COMPOSE["secrets"].values()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
    assert first["smartbarrel_api_key"] == first["procore_client_secret"]
    assert len(set(first.values())) == len(first) - 1


def test_the_secrets_of_compose_leave_neither_for_the_repository_nor_for_the_image() -> None:
    assert "deploy/compose/secrets/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in allowed
    assert not any(line.startswith("!deploy/compose") for line in allowed)


def test_the_alerts_are_given_to_the_prometheus_operator_as_they_are(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(
        "# Why.\n---\ngroups:\n  - name: a\n    rules:\n"
        "      - alert: A\n        expr: |\n          x\n\n          > 1\n",
        encoding="utf-8",
    )
    command = [KUBERNETES / "components/monitoring/rule.sh", rules]
    printed = subprocess.run(command, check=True, timeout=10, capture_output=True, text=True)  # noqa: S603 - ours
    rule = yaml.safe_load(printed.stdout)
    assert (rule["kind"], rule["metadata"]["name"]) == ("PrometheusRule", "crewsync")
    assert rule["spec"] == yaml.safe_load(rules.read_text("utf-8"))
