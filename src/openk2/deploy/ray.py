"""Ray's way to vLLM on several nodes: `ray start` on each, then one command on the head.

The cluster is the user's to keep; `ray-engine.sh` runs on the head's shell, or as a Ray job.
"""

from openk2.deploy.deployment import HERE, Deployment
from openk2.deploy.scripts import NEEDS_HEAD, environment, script
from openk2.deploy.vllm import Vllm
from openk2.deploy.words import HEAD, Word, shell_command

HEAD_BODY = """\
exec ray start --head --node-ip-address="$HEAD_ADDRESS" --port={port} --num-gpus={gpus} \\
  --disable-usage-stats --block
"""
WORKER_BODY = """\
exec ray start --address="$HEAD_ADDRESS:{port}" --num-gpus={gpus} --disable-usage-stats --block
"""
JOB = """\
# On node 0, when `ray status` shows {gpus} GPUs. Or as a job, from this folder:
#   ray job submit --working-dir . -- bash ray-engine.sh
"""


def ray_files(deployment: Deployment) -> dict[str, str]:
    """Scripts by name; none but for vLLM on several nodes."""
    if not isinstance(deployment.engine, Vllm) or deployment.nodes == 1:
        return {}
    port, gpus = deployment.ports.ray, deployment.node_gpus
    start = HEAD_BODY.format(port=port, gpus=gpus)
    join = WORKER_BODY.format(port=port, gpus=gpus)
    title = deployment.title
    command = f"exec {shell_command(ray_command(deployment, deployment.engine))}\n"
    exports = "".join(f"export {name}={value}\n" for name, value in environment(deployment).items())
    note = JOB.format(gpus=deployment.planned.gpus)
    return {
        "ray-head.sh": script(f"Ray's head, node 0 of {title}", NEEDS_HEAD + start),
        "ray-worker.sh": script(f"Ray on every other node of {title}", NEEDS_HEAD + join),
        "ray-engine.sh": script(title, f"{note}{NEEDS_HEAD}{exports}{command}"),
    }


def ray_command(deployment: Deployment, engine: Vllm) -> list[Word]:
    """vLLM's only command, whose workers Ray places. Raises DeployError."""
    words = engine.common(deployment, HERE)
    if deployment.layout.dp > 1:
        local = deployment.layout.dp // deployment.nodes
        words += ["--data-parallel-backend", "ray", "--data-parallel-size-local", str(local)]
        words += ["--data-parallel-address", HEAD]
    words += ["--distributed-executor-backend", "ray"]
    deployment.flags.check_extra(deployment.extra, words)
    deployment.flags.check([*words[engine.first_flag(deployment) :], *deployment.extra])
    return [*words, *deployment.extra]
