"""Shell scripts: the exact command of every node, the gateway's, and one that waits for both."""

from openk2.deploy.deployment import EVERYWHERE, HERE, HUB_CACHE, Deployment, NodePlace
from openk2.deploy.words import Shell, shell_command

HEADER = "#!/bin/bash\n# {comment}. Written by openk2 deploy.\nset -euo pipefail\n"
NEEDS_HEAD = ': "${HEAD_ADDRESS:?set it to the address of node 0, which all nodes reach}"\n'
# A cluster's proxy cannot reach the loopback.
NO_PROXY = (
    'export NO_PROXY="127.0.0.1${NO_PROXY:+,$NO_PROXY}"\n'
    'export no_proxy="127.0.0.1${no_proxy:+,$no_proxy}"\n'
)
NEEDS_KEY = ': "${OPENK2_API_KEY:?set it to the key that clients must send}"\n'
LOAD_SECONDS = 5400  # to read a terabyte of weights from a slow file system
DOWNLOAD_SECONDS = 6 * 3600  # and to download it first, at 50 MB/s

HEALTH = """\
# Waits until the engine and the gateway answer. Arguments: the gateway's URL, the engine's.
gateway="${{1:-http://127.0.0.1:{gateway}}}"
engine="${{2:-http://127.0.0.1:{engine}}}"
for url in "$engine" "$gateway"; do
  until curl --silent --fail --max-time 20 --noproxy 127.0.0.1 --output /dev/null "$url/health"; do
    if [ "$SECONDS" -gt "${{HEALTH_SECONDS:-{seconds}}}" ]; then
      echo "error: $url/health does not answer after $SECONDS s: see its log" >&2
      exit 1
    fi
    sleep 5
  done
done
echo "$gateway is ready"
"""


def load_seconds(deployment: Deployment) -> int:
    """How long the engine may take until it answers."""
    return LOAD_SECONDS + (0 if deployment.model.is_local else DOWNLOAD_SECONDS)


def script(comment: str, body: str) -> str:
    """A script with its first lines."""
    return HEADER.format(comment=comment) + body


def node_script(deployment: Deployment, rank: int) -> str:
    """What node `rank` runs. The engine listens on the loopback, where the gateway reaches it."""
    found = deployment.engine.file(deployment)
    beside = "" if found is None else Shell(f'$(dirname -- "$0")/{found[0]}')
    words = deployment.command(NodePlace(rank, HERE, beside))
    body = NEEDS_HEAD if len(script_ranks(deployment)) > 1 else ""
    for name, value in environment(deployment).items():
        body += f"export {name}={value}\n"
    comment = f"Node {rank} of {deployment.nodes}: {deployment.title}"
    return script(comment, f"{body}exec {shell_command(words)}\n")


def environment(deployment: Deployment) -> dict[str, str]:
    """Of the engine. A model that lies at a path needs no hub."""
    return {"HF_HUB_OFFLINE": "1"} if deployment.model.is_local else {}


def container_environment(deployment: Deployment) -> dict[str, str]:
    """Of engine and gateway in containers, where the hub's cache is a volume of its own."""
    here = environment(deployment)
    return here if deployment.model.is_local else {**here, "HF_HOME": HUB_CACHE}


def gateway_script(deployment: Deployment) -> str:
    """The gateway on node 0, for all networks, with a key."""
    url = f"http://{HERE}:{deployment.ports.engine}"
    command = shell_command(deployment.gateway(url, EVERYWHERE))
    comment = f"The gateway in front of {deployment.model.name}, on node 0"
    return script(comment, f"{NEEDS_KEY}{NO_PROXY}exec {command}\n")


def health_script(deployment: Deployment) -> str:
    """Waits for /health of both."""
    ports = deployment.ports
    body = HEALTH.format(
        gateway=ports.gateway, engine=ports.engine, seconds=load_seconds(deployment)
    )
    return script(f"Health of {deployment.model.name}", body)


def script_files(deployment: Deployment) -> dict[str, str]:
    """All of them by name; over MPI node 0 starts the others."""
    files = {f"node-{rank}.sh": node_script(deployment, rank) for rank in script_ranks(deployment)}
    files["gateway.sh"] = gateway_script(deployment)
    files["health.sh"] = health_script(deployment)
    return files


def has_containers(deployment: Deployment) -> bool:
    """Whether there are files for containers: not without an image, where MPI has to reach other
    nodes, or where the model's files are links out of the folder that containers see."""
    alone = len(script_ranks(deployment)) == deployment.nodes
    return deployment.engine_image is not None and alone and deployment.model.linked is None


def script_ranks(deployment: Deployment) -> range:
    """The nodes that have a script of their own."""
    return range(1 if deployment.engine.id == "tensorrt-llm" else deployment.nodes)
