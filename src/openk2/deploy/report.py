"""A deployment as text for a terminal, and as a dict for programs."""

from typing import Any

from openk2.deploy.deployment import HERE, Deployment, NodePlace
from openk2.deploy.scripts import script_ranks
from openk2.deploy.words import Shell, Word, quoted, shell_command
from openk2.deploy.written import deployment_notes


def deployment_text(deployment: Deployment) -> str:
    """What is deployed, the notes, and the command of every node and of the gateway."""
    lines = [deployment.title, *(f"note: {note}" for note in deployment_notes(deployment))]
    for name, words in commands(deployment).items():
        lines += ["", f"{name}:", shell_command(words)]
    return "\n".join(lines)


def commands(deployment: Deployment) -> dict[str, list[Word]]:
    """Every command by where it runs."""
    file = deployment.engine.file(deployment)
    config = "" if file is None else file[0]
    found = {
        f"node {rank}": deployment.command(NodePlace(rank, HERE, config))
        for rank in script_ranks(deployment)
    }
    url = f"http://{HERE}:{deployment.ports.engine}"
    return {**found, "gateway, on node 0": deployment.gateway(url, HERE)}


def deployment_dict(deployment: Deployment, files: dict[str, str]) -> dict[str, Any]:
    """All of it in plain values. Words that a node's shell evaluates are in double quotes."""
    layout = deployment.layout
    return {
        "engine": deployment.engine.id,
        "model": deployment.model.name,
        "location": deployment.model.location,
        "layout": deployment.planned.name,
        "gpus": deployment.planned.gpus,
        "nodes": deployment.nodes,
        "sizes": {"tp": layout.tp, "dp": layout.dp, "pp": layout.pp, "dcp": layout.dcp,
                  "ep": layout.expert_ranks if layout.expert_parallel else 1},
        "context": deployment.context,
        "ports": {"gateway": deployment.ports.gateway, "engine": deployment.ports.engine},
        "notes": deployment_notes(deployment),
        "commands": {
            name: [quoted(word) if isinstance(word, Shell) else word for word in words]
            for name, words in commands(deployment).items()
        },
        "files": files,
    }  # fmt: skip
