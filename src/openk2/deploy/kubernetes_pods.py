"""Pods, containers, probes and Services of `kubernetes.py`."""

from collections.abc import Sequence
from typing import Any

from openk2.deploy.deployment import CONFIG_FOLDER, HUB_CACHE, Deployment
from openk2.deploy.scripts import container_environment, load_seconds
from openk2.deploy.words import Word

SHARED_MEMORY = "/dev/shm"
NAME, PART = "app.kubernetes.io/name", "app.kubernetes.io/component"  # labels
PROBE_SECONDS, HEALTH_SECONDS = 10, 20


def labels(deployment: Deployment, part: str) -> dict[str, str]:
    """Of a part's pods."""
    return {NAME: deployment.label, PART: part}


def service(deployment: Deployment, name: str, part: str, port: int) -> dict[str, Any]:
    """An address inside the cluster."""
    ports = [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}]
    spec = {"type": "ClusterIP", "selector": labels(deployment, part), "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def pod(deployment: Deployment, part: str, container: dict[str, Any]) -> dict[str, Any]:
    """A pod template with one container and the volumes that it mounts."""
    wanted = {mount["name"] for mount in container["volumeMounts"]}
    volumes = [volume for volume in all_volumes(deployment) if volume["name"] in wanted]
    spec: dict[str, Any] = {"containers": [container], "volumes": volumes}
    spec["terminationGracePeriodSeconds"] = 60
    # Otherwise a Service called vllm sets VLLM_PORT in every pod, which vLLM reads as its own.
    spec["enableServiceLinks"] = False
    return {"metadata": {"labels": labels(deployment, part)}, "spec": spec}


def all_volumes(deployment: Deployment) -> list[dict[str, Any]]:
    """Shared memory, the model and the engine's file."""
    model: dict[str, Any] = {"name": "model"}
    if deployment.model.is_local:
        model["hostPath"] = {"path": deployment.model.mount, "type": "Directory"}
    else:
        model["persistentVolumeClaim"] = {"claimName": f"{deployment.label}-models"}
    config = {"name": "config", "configMap": {"name": f"{deployment.label}-engine"}}
    return [{"name": "shm", "emptyDir": {"medium": "Memory"}}, model, config]


def mounts(deployment: Deployment) -> list[dict[str, Any]]:
    """Where the model is: at the path that it has on the node, or in the hub's cache."""
    local = deployment.model.is_local
    place = deployment.model.mount if local else HUB_CACHE
    return [{"name": "model", "mountPath": place, **({"readOnly": True} if local else {})}]


def engine_container(deployment: Deployment, script: str, *, serves: bool) -> dict[str, Any]:
    """The engine. serves: whether its HTTP server runs here, so that it can be probed."""
    resource = "amd.com/gpu" if deployment.amd else "nvidia.com/gpu"
    config = deployment.engine.file(deployment)
    container: dict[str, Any] = {
        "name": "engine",
        "image": deployment.engine_image,
        "command": ["/bin/sh", "-c", literal(script)],
        "env": plain_variables(deployment),
        "resources": {"limits": {resource: str(deployment.node_gpus)}},
        "volumeMounts": [{"name": "shm", "mountPath": SHARED_MEMORY}, *mounts(deployment)],
    }
    if not deployment.model.is_local:
        container["env"].append(secret("HF_TOKEN", deployment, "hf-token", optional=True))
    if config is not None:
        container["volumeMounts"].append({"name": "config", "mountPath": CONFIG_FOLDER})
    if deployment.nodes > 1:
        # RDMA pins the memory that it sends from.
        container["securityContext"] = {"capabilities": {"add": ["IPC_LOCK"]}}
    if not serves:
        return container
    return {**container, **probed(deployment.ports.engine, load_seconds(deployment))}


def plain_variables(deployment: Deployment) -> list[dict[str, Any]]:
    """Environment variables that are no secrets."""
    found = container_environment(deployment).items()
    return [{"name": name, "value": value} for name, value in found]


def gateway_container(deployment: Deployment, words: Sequence[Word]) -> dict[str, Any]:
    """The gateway, with the clients' key from a Secret."""
    env = plain_variables(deployment)
    env.append(secret("OPENK2_API_KEY", deployment, "api-key", optional=False))
    if not deployment.model.is_local:
        env.append(secret("HF_TOKEN", deployment, "hf-token", optional=True))
    return {
        "name": "gateway",
        "image": deployment.gateway_image,
        "command": [literal(str(word)) for word in words],
        "env": env,
        "volumeMounts": mounts(deployment),
        **probed_gateway(deployment.ports.gateway),
    }


def probed(port: int, seconds: int) -> dict[str, Any]:
    """The port and its probes. seconds: to start; until then the others wait.

    SGLang answers once a token is generated, which takes as long as what is computed before it.
    """
    health = {"httpGet": {"path": "/health", "port": port}, "timeoutSeconds": HEALTH_SECONDS}
    often = {**health, "periodSeconds": PROBE_SECONDS}
    return {
        "ports": [{"name": "http", "containerPort": port}],
        "startupProbe": {**often, "failureThreshold": seconds // PROBE_SECONDS},
        "readinessProbe": {**often, "failureThreshold": 3},
        "livenessProbe": {**often, "failureThreshold": 12},
    }


def probed_gateway(port: int) -> dict[str, Any]:
    """The gateway's port and probes. Its /health is its engine's, by which it may not be killed:
    an engine takes an hour to load, and a gateway that is restarted loses what it remembers."""
    probes = probed(port, 120)
    for name in ("startupProbe", "livenessProbe"):
        del probes[name]["httpGet"]
        probes[name]["tcpSocket"] = {"port": port}
    return probes


def secret(name: str, deployment: Deployment, key: str, *, optional: bool) -> dict[str, Any]:
    """An environment variable from the Secret that the user makes."""
    reference = {"name": f"{deployment.label}-keys", "key": key, "optional": optional}
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}


def literal(text: str) -> str:
    """The text as Kubernetes reads it back: it replaces `$(NAME)`, and `$$` by `$`."""
    return text.replace("$", "$$")
