"""Docker compose files, one a node: the engine, and on the first node the gateway before it.

Containers share the node's network: the engines' ranks meet there, and the HTTP server of the
engine stays on its loopback.
"""

from typing import Any

from openk2.deploy.deployment import (
    CONFIG_FOLDER,
    EVERYWHERE,
    HERE,
    HUB_CACHE,
    Deployment,
    NodePlace,
)
from openk2.deploy.scripts import container_environment, has_containers, load_seconds
from openk2.deploy.words import shell_command
from openk2.deploy.yaml_text import yaml_text

KEY = "OPENK2_API_KEY=${OPENK2_API_KEY:?set it to the key of the clients}"


def compose_files(deployment: Deployment) -> dict[str, str]:
    """Texts by name; none where there can be no containers."""
    if not has_containers(deployment):
        return {}
    return {
        compose_name(deployment, rank): yaml_text(
            [compose_file(deployment, rank)],
            f"Node {rank} of {deployment.nodes}: {deployment.title}. Written by openk2 deploy.",
        )
        for rank in range(deployment.nodes)
    }


def compose_name(deployment: Deployment, rank: int) -> str:
    """The file of a node."""
    return "compose.yaml" if deployment.nodes == 1 else f"compose-{rank}.yaml"


def compose_file(deployment: Deployment, rank: int) -> dict[str, Any]:
    """One node's services."""
    services = {"engine": engine_service(deployment, rank)}
    if rank == 0:
        services["gateway"] = gateway_service(deployment)
    found: dict[str, Any] = {"name": deployment.label, "services": services}
    return found if deployment.model.is_local else {**found, "volumes": {"models": {}}}


def engine_service(deployment: Deployment, rank: int) -> dict[str, Any]:
    """The engine. `$` is doubled: compose replaces single ones by its own variables."""
    found = deployment.engine.file(deployment)
    config = "" if found is None else f"{CONFIG_FOLDER}/{found[0]}"
    command = shell_command(deployment.command(NodePlace(rank, HERE, config)))
    service: dict[str, Any] = {
        "image": escaped(str(deployment.engine_image)),
        "entrypoint": ["/bin/sh", "-c"],
        "command": [f"exec {command}\n".replace("$", "$$")],
        "network_mode": "host",
        "ipc": "host",
        "ulimits": {"memlock": -1, "stack": 67108864},
        "restart": "unless-stopped",
        "stop_grace_period": "60s",
        "environment": engine_environment(deployment),
        "volumes": volumes(deployment),
    }
    if rank == 0:
        service["healthcheck"] = healthcheck(deployment.ports.engine, load_seconds(deployment))
    return {**service, **devices(deployment)}


def plain_variables(deployment: Deployment) -> list[str]:
    """Environment variables that are no secrets."""
    return [f"{name}={value}" for name, value in container_environment(deployment).items()]


def engine_environment(deployment: Deployment) -> list[str]:
    """Names without a value come from the shell that starts compose: no secret is in a file."""
    names = plain_variables(deployment)
    names += [] if deployment.model.is_local else ["HF_TOKEN"]
    if deployment.nodes > 1:
        names.append("HEAD_ADDRESS=${HEAD_ADDRESS:?set it to the address of node 0}")
    return names


def volumes(deployment: Deployment) -> list[dict[str, Any]]:
    """The model, at its own path or in the hub's cache, and the engine's file."""
    place = escaped(deployment.model.mount)
    found: list[dict[str, Any]]
    if deployment.model.is_local:
        found = [{"type": "bind", "source": place, "target": place, "read_only": True}]
    else:
        found = [{"type": "volume", "source": "models", "target": HUB_CACHE}]
    file = deployment.engine.file(deployment)
    if file is not None:
        target = f"{CONFIG_FOLDER}/{file[0]}"
        found.append(
            {"type": "bind", "source": f"./{file[0]}", "target": target, "read_only": True}
        )
    return found


def devices(deployment: Deployment) -> dict[str, Any]:
    """The GPUs: the NVIDIA runtime's, or AMD's device files."""
    if deployment.amd:
        return {"devices": ["/dev/kfd:/dev/kfd", "/dev/dri:/dev/dri"], "group_add": ["video"]}
    wanted = {"driver": "nvidia", "count": deployment.node_gpus, "capabilities": ["gpu"]}
    return {"deploy": {"resources": {"reservations": {"devices": [wanted]}}}}


def gateway_service(deployment: Deployment) -> dict[str, Any]:
    """The gateway, which starts once the engine is healthy."""
    url = f"http://{HERE}:{deployment.ports.engine}"
    words = [str(word) for word in deployment.gateway(url, EVERYWHERE)]
    service: dict[str, Any] = {
        "image": escaped(deployment.gateway_image),
        "entrypoint": [],
        "command": [escaped(word) for word in words],
        "network_mode": "host",
        "restart": "unless-stopped",
        "environment": [
            *plain_variables(deployment),
            KEY,
            *([] if deployment.model.is_local else ["HF_TOKEN"]),
        ],
        "depends_on": {"engine": {"condition": "service_healthy"}},
        "healthcheck": healthcheck(deployment.ports.gateway, 60),
    }
    return {**service, "volumes": volumes(deployment)[:1]}


def healthcheck(port: int, seconds: int) -> dict[str, Any]:
    """/health by Python, which every image has. seconds: to start."""
    url = f"http://{HERE}:{port}/health"
    code = f"import urllib.request as r; r.urlopen('{url}', timeout=20)"
    return {
        "test": ["CMD", "python3", "-c", code],
        "interval": "10s",
        "timeout": "25s",
        "retries": 6,
        "start_period": f"{seconds}s",
    }


def escaped(text: str) -> str:
    """The text as compose reads it back."""
    return text.replace("$", "$$")
