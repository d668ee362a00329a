"""KTransformers' command: its fork of SGLang with kt-kernel, routed experts in the node's RAM.

Flags and values as in its Kimi-K2-Thinking and Kimi-K2.5 tutorials. Cores and NUMA nodes are
counted by the node's shell when the script runs.
"""

import math

from openk2.deploy.deployment import Deployment, NodePlace, ServingEngine, is_amd
from openk2.deploy.error import DeployError
from openk2.deploy.sglang import LAUNCH, parsers
from openk2.deploy.words import Shell, Word
from openk2.plan import PlannedLayout, ServingPlan

# kt-kernel's methods that read a published format as it is.
METHODS = {"int4": "RAWINT4", "block-fp8": "FP8", "bf16": "BF16"}
STREAMED = ("RAWINT4", "FP8")  # whose experts may be streamed to the GPUs for a long prompt
THRESHOLD, CHUNK = 400, 32768  # tokens of a prompt, and of a chunk, as in the tutorials
CORES = Shell("$(lscpu -p=core,socket | grep -v '^#' | sort -u | wc -l)")
NUMA_NODES = Shell("$(lscpu -p=node | grep -v '^#' | sort -u | wc -l)")


class KTransformers(ServingEngine):
    """KTransformers: one node, one request at a time."""

    id = "ktransformers"
    profile = "sglang"
    kinds: tuple[str, ...] = ("ram",)

    def refusal(self, plan: ServingPlan, planned: PlannedLayout) -> str | None:
        """See `ServingEngine`."""
        if not planned.gpus:
            return "ktransformers: attention needs a GPU: give a --machine with one"
        if is_amd(plan.node):
            return "ktransformers: kt-kernel's GPU side is for NVIDIA: use sglang on AMD"
        if plan.subject.form.name not in METHODS:
            return (
                f"ktransformers: kt-kernel reads {', '.join(METHODS)} of a checkpoint as it is, "
                f"not {plan.subject.form.name}"
            )
        if plan.demand.concurrency > 1:
            return "ktransformers: it is planned for one request at a time: --concurrency 1"
        return None

    def words(self, deployment: Deployment, place: NodePlace) -> list[Word]:
        """See `ServingEngine`. Raises DeployError for a name on the hub."""
        model, gpus = deployment.model, deployment.planned.gpus
        if not model.is_local:
            raise DeployError(
                f"ktransformers: kt-kernel reads a folder, not {model.location}: "
                f"`openk2 checkpoint download {model.location}`, then deploy the folder that it "
                "prints, or give --model-path"
            )
        method = METHODS[deployment.plan.subject.form.name]
        words: list[Word] = [*LAUNCH, "--model-path", model.location]
        words += ["--kt-weight-path", model.location, "--kt-method", method]
        words += ["--kt-cpuinfer", CORES, "--kt-threadpool-count", NUMA_NODES]
        words += ["--kt-num-gpu-experts", str(deployment.gpu_experts)]
        if method in STREAMED and "streamed layer" in deployment.planned.parts:
            words += ["--kt-gpu-prefill-token-threshold", str(THRESHOLD)]
        words += ["--served-model-name", model.name]
        words += ["--host", place.host, "--port", str(deployment.ports.engine)]
        words += ["--trust-remote-code"] if model.remote_code else []
        words += ["--tensor-parallel-size", str(gpus)]
        words += ["--enable-p2p-check"] if gpus > 1 else []
        words += ["--disable-shared-experts-fusion", "--attention-backend", "flashinfer"]
        return [*words, *self.memory(deployment), *parsers(model)]

    def memory(self, deployment: Deployment) -> list[Word]:
        """The sizes that the plan counted with."""
        context, demand = str(deployment.context), deployment.plan.demand
        words: list[Word] = ["--context-length", context, "--max-total-tokens", context]
        words += ["--chunked-prefill-size", str(min(CHUNK, deployment.context))]
        words += ["--max-running-requests", "1"]
        words += ["--mem-fraction-static", f"{static_share(deployment):g}"]
        return [*words, "--kv-cache-dtype", "fp8_e4m3"] if demand.cache_number == 1 else words

    def first_flag(self, deployment: Deployment) -> int:
        """See `ServingEngine`."""
        return len(LAUNCH)


def static_share(deployment: Deployment) -> float:
    """What weights and cache may take of a GPU: all but the engine's own and a streamed layer."""
    planned = deployment.planned
    beside = planned.parts["runtime"] + planned.parts.get("streamed layer", 0.0)
    return math.floor(100 * (1 - beside / planned.capacity)) / 100
