"""A Slurm batch script: the engine's nodes by srun, the gateway on the first of them.

The batch script runs on the first node of the allocation, whose SLURM_NODEID is 0. `--exclusive`
alone leaves the memory at the cluster's default, which is too small for weights: `--mem=0` is all
of it.
"""

from openk2.deploy.deployment import Deployment
from openk2.deploy.scripts import NEEDS_KEY

HEADER = """\
#!/bin/bash
#SBATCH --job-name={label}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node={tasks}
#SBATCH --gpus-per-node={gpus}
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --output=%x-%j.log
# {title}. Written by openk2 deploy.
# Submit it from its folder: OPENK2_API_KEY=... sbatch slurm.sh
set -euo pipefail
"""
BODY = """\
cd "$SLURM_SUBMIT_DIR"
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
export HEAD_ADDRESS="${{hosts[0]}}"
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
srun --nodes={nodes} --ntasks-per-node={tasks} --cpu-bind=none --kill-on-bad-exit=1 {start} &
engine=$!
bash gateway.sh &
gateway=$!
bash health.sh &
echo "clients, when it is ready: http://$HEAD_ADDRESS:{port}/v1"
# Not wait -n: bash 4.4 ignores its numbers, and returns when health.sh has ended well.
while kill -0 "$engine" 2>/dev/null && kill -0 "$gateway" 2>/dev/null; do sleep 2; done
echo "error: the engine or the gateway has ended: see above" >&2
exit 1
"""
EACH_NODE = "bash -c 'exec bash \"node-$SLURM_NODEID.sh\"'"
MPI = "--mpi=pmix bash node-0.sh"


def slurm_script(deployment: Deployment) -> str:
    """The batch script. TensorRT-LLM runs a task for every GPU, the others one for every node."""
    over_mpi = deployment.engine.id == "tensorrt-llm" and deployment.nodes > 1
    header = HEADER.format(
        label=deployment.label,
        nodes=deployment.nodes,
        tasks=deployment.node_gpus if over_mpi else 1,
        gpus=deployment.node_gpus,
        title=deployment.title,
    )
    body = BODY.format(
        nodes=deployment.nodes,
        tasks=deployment.node_gpus if over_mpi else 1,
        start=MPI if over_mpi else EACH_NODE,
        port=deployment.ports.gateway,
    )
    return header + NEEDS_KEY + body
