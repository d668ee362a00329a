"""vLLM's command of each node (flags of 0.32, Kimi-K2's deployment guide).

Tensor and pipeline parallelism across nodes is vLLM's multiprocessing backend (`--nnodes`); data
parallelism across nodes has its own address, as the guide has it. `ray.py` writes the other way.
"""

from openk2.deploy.deployment import Deployment, NodePlace, ServingEngine, is_amd
from openk2.deploy.model import DeployedModel
from openk2.deploy.words import HEAD, Word
from openk2.plan import PlannedLayout, ServingNode, ServingPlan, uses_deepep

VERSION = "0.32.0"


class Vllm(ServingEngine):
    """vLLM, all weights on GPUs."""

    id = "vllm"
    profile = "vllm"
    kinds: tuple[str, ...] = ("gpu",)

    def refusal(self, plan: ServingPlan, planned: PlannedLayout) -> str | None:
        """See `ServingEngine`."""
        layout = planned.layout
        assert layout is not None
        nodes = -(-planned.gpus // plan.node.gpus)
        if layout.dp > 1 and (layout.dp % nodes or layout.tp * layout.pp > plan.node.gpus):
            return f"vllm: each of {layout.dp} replicas must lie in one node of {plan.node.gpus}"
        return None

    def words(self, deployment: Deployment, place: NodePlace) -> list[Word]:
        """See `ServingEngine`."""
        return [*self.common(deployment, place.host), *across_nodes(deployment, place)]

    def common(self, deployment: Deployment, host: str) -> list[Word]:
        """What every node has."""
        model, layout = deployment.model, deployment.layout
        words: list[Word] = ["vllm", "serve", model.location, "--served-model-name", model.name]
        words += ["--host", host, "--port", str(deployment.ports.engine)]
        words += ["--trust-remote-code"] if model.remote_code else []
        words += ["--tensor-parallel-size", str(layout.tp)]
        words += ["--pipeline-parallel-size", str(layout.pp)] if layout.pp > 1 else []
        words += ["--decode-context-parallel-size", str(layout.dcp)] if layout.dcp > 1 else []
        words += ["--data-parallel-size", str(layout.dp)] if layout.dp > 1 else []
        words += ["--enable-expert-parallel"] if layout.expert_parallel else []
        if dispatches(deployment):
            words += ["--all2all-backend", "deepep_low_latency"]
        words += self.memory(deployment)
        if model.vision and layout.tp > 1:
            words += ["--mm-encoder-tp-mode", "data"]
        return [*words, *parsers(model)]

    def memory(self, deployment: Deployment) -> list[Word]:
        """The sizes that the plan counted with."""
        engine, demand = deployment.plan.engine, deployment.plan.demand
        words: list[Word] = ["--max-model-len", str(deployment.context)]
        words += ["--max-num-seqs", str(engine.sequences)]
        words += ["--max-num-batched-tokens", str(engine.batched_tokens)]
        words += ["--gpu-memory-utilization", f"{engine.utilization:g}"]
        return [*words, "--kv-cache-dtype", "fp8"] if demand.cache_number == 1 else words

    def first_flag(self, deployment: Deployment) -> int:
        """See `ServingEngine`."""
        return 3

    def image(self, node: ServingNode) -> str | None:
        """See `ServingEngine`."""
        return None if is_amd(node) else f"vllm/vllm-openai:v{VERSION}"


def parsers(model: DeployedModel) -> list[Word]:
    """Calls and thoughts, for clients that reach the engine past the gateway."""
    words: list[Word] = []
    if model.style.is_k2:
        words += ["--enable-auto-tool-choice", "--tool-call-parser", "kimi_k2"]
    return [*words, "--reasoning-parser", "kimi_k2"] if model.style.thinks else words


def dispatches(deployment: Deployment) -> bool:
    """Whether tokens travel by DeepEP, whose buffers the plan counts."""
    gpu = deployment.node.gpu
    return gpu is not None and uses_deepep(deployment.plan.subject.form, deployment.layout, gpu)


def across_nodes(deployment: Deployment, place: NodePlace) -> list[Word]:
    """How the nodes find each other; nothing on a single one."""
    if deployment.nodes == 1:
        return []
    port = str(deployment.ports.group)
    if deployment.layout.dp > 1:
        local = deployment.layout.dp // deployment.nodes
        words: list[Word] = ["--data-parallel-size-local", str(local)]
        words += ["--data-parallel-address", HEAD, "--data-parallel-rpc-port", port]
        headless: list[Word] = ["--data-parallel-start-rank", place.node(local), "--headless"]
    else:
        words = ["--nnodes", str(deployment.nodes), "--node-rank", place.node()]
        words += ["--master-addr", HEAD, "--master-port", port]
        headless = ["--headless"]
    return words if place.is_head else [*words, *headless]
