"""Kubernetes files against its own schemas, and LeaderWorkerSets against what their CRD demands.

kubernetes-validate has Kubernetes' JSON schemas and none of CRDs. `leaderworkerset.toml` records
what the CRD of kubernetes-sigs/lws at v0.10.0-11-g060ab4d has; pods inside it are pods.
"""

import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from deployed import HOSTILE, deployed
from openk2.deploy import ChatStyle, DeployedModel, deployment_files, published_model

FACTS = tomllib.loads(Path(__file__).with_name("leaderworkerset.toml").read_text())
CASES = [
    ("vllm", "k2", "h200", "DP16 EP16"),
    ("vllm", "k2-thinking", "h200", "TP8"),
    ("vllm", "k2.5", "h200", "TP8 PP2 DCP8"),
    ("sglang", "k2", "h200", "TP16 EP16"),
    ("sglang", "k2-thinking", "mi300x", "TP8"),
    ("tensorrt-llm", "k2", "b200", "TP8"),
]


def objects(*case: str, **changes: object) -> list[dict]:
    """The objects of a deployment."""
    files = deployment_files(deployed(*case, image="registry/engine:1", **changes))
    return list(yaml.safe_load_all(files["kubernetes.yaml"]))


def check_schema(found: dict) -> None:
    """Raises for an object that Kubernetes' strict schema refuses."""
    validate = pytest.importorskip("kubernetes_validate")
    if found["kind"] != "LeaderWorkerSet":
        validate.validate(found, FACTS["kubernetes"], strict=True)
        return
    check_table(found["spec"], FACTS["spec"])
    for part in ("leaderTemplate", "workerTemplate"):
        template = found["spec"]["leaderWorkerTemplate"][part]
        meta = {"name": "a", **template["metadata"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
        validate.validate(pod, FACTS["kubernetes"], strict=True)


def check_table(found: dict, facts: dict) -> None:
    """Fields against the recorded ones of the CRD."""
    assert set(found) <= set(facts["fields"])
    assert set(found) >= set(facts.get("required", []))
    for name, kind in facts["fields"].items():
        if name in found and isinstance(kind, list):
            assert found[name] in kind
        elif name in found and kind in facts:
            check_table(found[name], facts[kind])
        elif name in found:
            assert type(found[name]).__name__ == kind


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_every_object_is_one_that_kubernetes_takes(case: tuple[str, ...]) -> None:
    found = objects(*case)
    for each in found:
        check_schema(each)
    kinds = [each["kind"] for each in found if each["kind"] != "ConfigMap"]
    nodes = deployed(*case).nodes
    first = "LeaderWorkerSet" if nodes > 1 else "Deployment"
    assert kinds == [first, "Service", "Deployment", "Service", "NetworkPolicy"]
    if nodes > 1:
        assert found[0]["spec"]["leaderWorkerTemplate"]["size"] == nodes


def test_the_check_finds_a_field_that_is_none() -> None:
    broken = objects("vllm", "k2", "h200", "DP16 EP16")[0]
    broken["spec"]["leaderWorkerTemplate"]["leaderTemplate"]["spec"]["containers"][0]["prots"] = []
    validate = pytest.importorskip("kubernetes_validate")
    with pytest.raises(validate.ValidationError):
        check_schema(broken)


def test_services_select_the_pods_that_serve_http_and_no_worker() -> None:
    found = objects("vllm", "k2", "h200", "DP16 EP16")
    group = found[0]["spec"]["leaderWorkerTemplate"]
    leader, worker = (
        group[part]["metadata"]["labels"] for part in ("leaderTemplate", "workerTemplate")
    )
    selector = found[1]["spec"]["selector"]
    assert selector.items() <= leader.items()
    assert not selector.items() <= worker.items()
    assert (
        found[3]["spec"]["selector"].items()
        <= found[2]["spec"]["template"]["metadata"]["labels"].items()
    )


def selects(selector: dict, found: dict[str, str]) -> bool:
    """Whether a label selector selects a pod of these labels."""
    return selector.get("matchLabels", {}).items() <= found.items() and all(
        each["operator"] == "In" and found.get(each["key"]) in each["values"]
        for each in selector.get("matchExpressions", [])
    )


def reaches(policy: dict, source: dict[str, str], target: dict[str, str], port: int) -> bool:
    """Whether a pod may open a connection to another, by a policy of ingress."""
    if not selects(policy["spec"]["podSelector"], target):
        return True
    return any(
        any(selects(peer["podSelector"], source) for peer in rule["from"])
        and port in [each["port"] for each in rule.get("ports", [{"port": port}])]
        for rule in policy["spec"]["ingress"]
    )


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_only_the_gateway_and_its_own_nodes_reach_an_engine(case: tuple[str, ...]) -> None:
    """An engine asks for no key and listens for the whole cluster."""
    found = [each for each in objects(*case) if each["kind"] != "ConfigMap"]
    engine, _, gateway, _, policy = found
    gateway_labels = gateway["spec"]["template"]["metadata"]["labels"]
    group = engine["spec"].get(
        "leaderWorkerTemplate", {"leaderTemplate": engine["spec"].get("template")}
    )
    nodes = [group[part]["metadata"]["labels"] for part in group if part.endswith("Template")]
    other_model = {**nodes[0], "app.kubernetes.io/name": "another"}
    http = deployed(*case).ports.engine
    for node in nodes:
        assert reaches(policy, gateway_labels, node, http)
        assert not reaches(policy, gateway_labels, node, http + 1)
        assert not reaches(policy, {"app": "curl"}, node, http)
        assert not reaches(policy, other_model, node, http)
        for other in nodes:
            assert reaches(policy, other, node, 1) == (len(nodes) > 1)
    assert reaches(policy, {"app": "curl"}, gateway_labels, 8000)


def test_volumes_are_those_that_are_mounted_and_no_value_is_secret() -> None:
    for case in CASES:
        for each in objects(*case):
            for pod in pods(each):
                names = [volume["name"] for volume in pod["volumes"]]
                for container in pod["containers"]:
                    assert names == [mount["name"] for mount in container["volumeMounts"]]
                    plain = {each["name"]: each.get("value") for each in container["env"]}
                    plain = {name: value for name, value in plain.items() if value is not None}
                    assert plain.keys() <= {"HF_HUB_OFFLINE", "HF_HOME"}
                    if "HF_HOME" in plain:  # the hub's cache is the volume
                        assert plain["HF_HOME"] in [
                            m["mountPath"] for m in container["volumeMounts"]
                        ]


def pods(found: dict) -> list[dict]:
    """The pod specs of an object."""
    spec = found.get("spec", {})
    group = spec.get("leaderWorkerTemplate", {})
    templates = [spec.get("template"), group.get("leaderTemplate"), group.get("workerTemplate")]
    return [template["spec"] for template in templates if template]


def expanded(text: str) -> str:
    """What Kubernetes makes of a command: `$$` is `$`; no variable of ours is expanded by it."""
    assert "$(" not in text.replace("$$", "")
    return text.replace("$$", "$")


def test_a_hostile_path_and_name_arrive_as_they_are(tmp_path: Path) -> None:
    model = DeployedModel(HOSTILE, "a 'b' $(id)", ChatStyle.instruct)
    found = objects("vllm", "k2", "h200", "DP16 EP16", changed=model)
    for each in found:
        check_schema(each)
    (tmp_path / "vllm").write_text('#!/bin/bash\nprintf "%s\\0" "$@"\n')
    (tmp_path / "vllm").chmod(0o755)
    for part, rank in (("leaderTemplate", 0), ("workerTemplate", 1)):
        container = found[0]["spec"]["leaderWorkerTemplate"][part]["spec"]["containers"][0]
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LWS_LEADER_ADDRESS": "head.svc",
                       "LWS_WORKER_INDEX": str(rank)}  # fmt: skip
        command = [expanded(word) for word in container["command"]]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        words = done.stdout.decode().split("\0")[:-1]
        assert words[:4] == ["serve", HOSTILE, "--served-model-name", "a 'b' $(id)"]
        assert words[words.index("--data-parallel-address") + 1] == "head.svc"
        if rank:
            assert words[words.index("--data-parallel-start-rank") + 1] == "8"
    gateway = found[2]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert HOSTILE in [expanded(word) for word in gateway]


def test_without_an_image_for_amd_no_file_is_written_and_the_notes_say_so() -> None:
    from openk2.deploy import deployment_notes

    deployment = deployed("vllm", "k2", "mi300x")
    assert not {"kubernetes.yaml", "compose.yaml"} & set(deployment_files(deployment))
    assert any("--image" in note for note in deployment_notes(deployment))
    assert "kubernetes.yaml" in deployment_files(replace(deployment, image="rocm/vllm:1"))


def test_no_service_has_the_name_of_the_group_whose_controller_makes_one() -> None:
    found = objects("vllm", "k2", "h200", "DP16 EP16")
    services = {each["metadata"]["name"] for each in found if each["kind"] == "Service"}
    assert found[0]["kind"] == "LeaderWorkerSet"
    assert found[0]["metadata"]["name"] not in services


def test_a_gateway_is_not_killed_while_its_engine_loads() -> None:
    gateway = objects("vllm", "k2-thinking", "h200", "TP8")[2]["spec"]["template"]["spec"]
    (container,) = gateway["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/health"
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["tcpSocket"] == {"port": 8000}
        assert "httpGet" not in container[probe]


@pytest.mark.parametrize(("location", "bytes_a_second"), [(None, 60e6), ("/models/k2", 250e6)])
def test_an_engine_has_time_to_load_and_to_download(
    location: str | None, bytes_a_second: float
) -> None:
    model = published_model("k2", location, None)
    deployment = deployed("vllm", "k2", "h200", "TP16", changed=model)
    files = deployment_files(deployment)
    (first, *_) = yaml.safe_load_all(files["kubernetes.yaml"])
    leader = first["spec"]["leaderWorkerTemplate"]["leaderTemplate"]["spec"]
    probe = leader["containers"][0]["startupProbe"]
    seconds = probe["failureThreshold"] * probe["periodSeconds"]
    assert seconds * bytes_a_second > 1.03e12
    assert f"HEALTH_SECONDS:-{seconds}" in files["health.sh"]
    assert leader["enableServiceLinks"] is False
