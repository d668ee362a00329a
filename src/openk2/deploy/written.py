"""All files of a deployment, and what an operator must know that no file says."""

import re
from pathlib import Path

from openk2.deploy.compose import compose_files
from openk2.deploy.deployment import Deployment, writes_prompts
from openk2.deploy.error import DeployError
from openk2.deploy.kubernetes import kubernetes_files
from openk2.deploy.ray import ray_files
from openk2.deploy.scripts import script_files, script_ranks
from openk2.deploy.slurm import slurm_script
from openk2.deploy.vllm import dispatches
from openk2.record import write_folder_atomically

OURS = re.compile(
    r"(node-\d+|gateway|health|slurm|ray-head|ray-worker|ray-engine)\.sh"
    r"|compose(-\d+)?\.yaml|kubernetes\.yaml|trtllm\.yaml"
)


def deployment_files(deployment: Deployment) -> dict[str, str]:
    """Texts by name. Raises DeployError for a flag that the engine does not have."""
    files = script_files(deployment)
    own = deployment.engine.file(deployment)
    files |= {} if own is None else {own[0]: own[1]}
    files["slurm.sh"] = slurm_script(deployment)
    return files | ray_files(deployment) | compose_files(deployment) | kubernetes_files(deployment)


def deployment_notes(deployment: Deployment) -> list[str]:
    """What the files take for granted."""
    notes = [f"flags checked against {deployment.flags.origin}"]
    if deployment.engine.profile != deployment.engine.id:
        notes.append(f"planned with what {deployment.engine.profile} keeps for itself")
    if deployment.model.remote_code:
        notes.append(f"{deployment.model.location} has code of its own, which the engine runs")
    if needs_hub(deployment):
        notes.append(
            f"the gateway downloads the tokenizer of {deployment.model.location}: it needs "
            "openk2[hub], in its image too"
        )
    if not deployment.model.style.is_k2:
        notes.append("not K2's chat format: no parser is set, add flags after --")
    if len(script_ranks(deployment)) < deployment.nodes:
        notes.append("several nodes need MPI: Slurm only, no Kubernetes and no compose")
    elif deployment.engine_image is None:
        notes.append("no image is known for these GPUs: give --image for Kubernetes and compose")
    elif deployment.model.linked is not None:
        notes.append(
            f"{deployment.model.linked} is a link out of {deployment.model.mount}, which is all "
            "that containers see: no Kubernetes and no compose, copy the files (cp -rL) for them"
        )
    else:
        notes.append(
            f"Kubernetes: the Secret {deployment.label}-keys has api-key"
            + (
                ""
                if deployment.model.is_local
                else f", the claim {deployment.label}-models is ReadWriteMany"
            )
        )
        notes.append(f"no image of openk2 is published: build {deployment.gateway_image}")
    if dispatches(deployment) and deployment.nodes > 1:
        notes.append(
            "DeepEP between nodes needs RDMA: give the pods your cluster's resource for it"
        )
    return notes


def needs_hub(deployment: Deployment) -> bool:
    """Whether the gateway reads a tokenizer of the hub, for which openk2 has an extra."""
    model = deployment.model
    return not model.is_local and writes_prompts(model, ids=deployment.engine.reads_ids())


def write_files(folder: Path, files: dict[str, str]) -> None:
    """Write a folder, whole or not at all. An earlier deployment in it is replaced.

    Raises OSError, and DeployError if it holds anything else.
    """
    found = folder.iterdir() if folder.is_dir() else ()
    foreign = [path.name for path in found if not OURS.fullmatch(path.name)]
    if foreign:
        raise DeployError(f"{folder} holds {min(foreign)!r}, no launch file: give a new --out")
    with write_folder_atomically(folder) as writing:
        for name, text in files.items():
            path = writing / name
            path.write_text(text, encoding="utf-8")
            if name.endswith(".sh"):
                path.chmod(0o755)
