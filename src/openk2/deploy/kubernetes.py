"""Kubernetes: the engine as a LeaderWorkerSet or a Deployment, the gateway before it, Services,
and a NetworkPolicy, since engines ask for no key.

A model at a path is a hostPath of every node; one of the hub lies in a claim that must exist. Keys
come from a Secret that must exist: nothing secret is in the file.
"""

from typing import Any

from openk2.deploy.deployment import CONFIG_FOLDER, EVERYWHERE, Deployment, NodePlace
from openk2.deploy.kubernetes_pods import (
    NAME,
    PART,
    engine_container,
    gateway_container,
    labels,
    pod,
    service,
)
from openk2.deploy.scripts import has_containers
from openk2.deploy.words import shell_command
from openk2.deploy.yaml_text import yaml_text

ENGINE, WORKER = "engine", "engine-worker"  # parts of the engine


def kubernetes_files(deployment: Deployment) -> dict[str, str]:
    """Texts by name; none where there can be no containers."""
    if not has_containers(deployment):
        return {}
    comment = f"{deployment.title}. Written by openk2 deploy."
    return {"kubernetes.yaml": yaml_text(kubernetes_objects(deployment), comment)}


def kubernetes_objects(deployment: Deployment) -> list[dict[str, Any]]:
    """All objects in the order in which they are made."""
    ports, engine = deployment.ports, f"{deployment.label}-engine"
    found = [] if (config := config_map(deployment)) is None else [config]
    found += [
        engine_deployment(deployment) if deployment.nodes == 1 else leader_worker_set(deployment),
        service(deployment, engine, "engine", ports.engine),
        gateway_deployment(deployment, f"http://{engine}:{ports.engine}"),
        service(deployment, deployment.label, "gateway", ports.gateway),
        engine_policy(deployment),
    ]
    return found


def named(kind: str, version: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """An object."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def engine_script(deployment: Deployment, rank: int | None) -> str:
    """What a container of the engine runs. rank: None for workers, which learn theirs at start."""
    file = deployment.engine.file(deployment)
    config = "" if file is None else f"{CONFIG_FOLDER}/{file[0]}"
    command = shell_command(deployment.command(NodePlace(rank, EVERYWHERE, config)))
    known = ""
    if deployment.nodes > 1:
        known = 'HEAD_ADDRESS="$LWS_LEADER_ADDRESS"\nNODE_RANK="$LWS_WORKER_INDEX"\n'
    return f"{known}exec {command}\n"


def engine_template(deployment: Deployment, rank: int | None) -> dict[str, Any]:
    """The pod of one node."""
    part = ENGINE if rank == 0 else WORKER
    script = engine_script(deployment, rank)
    container = engine_container(deployment, script, serves=rank == 0)
    return pod(deployment, part, container)


def leader_worker_set(deployment: Deployment) -> dict[str, Any]:
    """One group of as many pods as nodes, restarted together.

    Its controller makes a headless Service of its name, by which the nodes find each other, unless
    a Service of that name exists: none of ours may have it.
    """
    group = {
        "size": deployment.nodes,
        "restartPolicy": "RecreateGroupOnPodRestart",
        "leaderTemplate": engine_template(deployment, 0),
        "workerTemplate": engine_template(deployment, None),
    }
    return named(
        "LeaderWorkerSet",
        "leaderworkerset.x-k8s.io/v1",
        f"{deployment.label}-nodes",
        {"replicas": 1, "leaderWorkerTemplate": group},
    )


def engine_deployment(deployment: Deployment) -> dict[str, Any]:
    """A single pod, whose GPUs are free before the next one starts."""
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": labels(deployment, ENGINE)},
        "template": engine_template(deployment, 0),
    }
    return named("Deployment", "apps/v1", f"{deployment.label}-engine", spec)


def gateway_deployment(deployment: Deployment, url: str) -> dict[str, Any]:
    """The gateway, for clients inside the cluster."""
    container = gateway_container(deployment, deployment.gateway(url, EVERYWHERE))
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels(deployment, "gateway")},
        "template": pod(deployment, "gateway", container),
    }
    return named("Deployment", "apps/v1", f"{deployment.label}-gateway", spec)


def engine_policy(deployment: Deployment) -> dict[str, Any]:
    """Who may reach the engine's pods: the gateway their HTTP port, and they each other.

    Probes come from the node, which a NetworkPolicy never keeps out.
    """
    parts = {"key": PART, "operator": "In", "values": [ENGINE, WORKER]}
    nodes = {"matchLabels": {NAME: deployment.label}, "matchExpressions": [parts]}
    gateway = {
        "from": [{"podSelector": {"matchLabels": labels(deployment, "gateway")}}],
        "ports": [{"protocol": "TCP", "port": deployment.ports.engine}],
    }
    each_other = [{"from": [{"podSelector": nodes}]}] if deployment.nodes > 1 else []
    spec = {"podSelector": nodes, "policyTypes": ["Ingress"], "ingress": [gateway, *each_other]}
    return named("NetworkPolicy", "networking.k8s.io/v1", f"{deployment.label}-engine", spec)


def config_map(deployment: Deployment) -> dict[str, Any] | None:
    """The engine's own file; None if it reads none."""
    file = deployment.engine.file(deployment)
    if file is None:
        return None
    name = f"{deployment.label}-engine"
    data = {file[0]: file[1]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
