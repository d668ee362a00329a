"""SGLang's command of each node (flags of 0.5.23).

Attention's data parallelism lies inside `--tp-size`, so the group has tp x dp ranks. It is
`--attn-dp-size` here; versions without that flag say `--dp-size` and `--enable-dp-attention`.
"""

from openk2.deploy.deployment import Deployment, NodePlace, ServingEngine, head, is_amd
from openk2.deploy.model import DeployedModel
from openk2.deploy.vllm import dispatches
from openk2.deploy.words import Word
from openk2.plan import PlannedLayout, ServingNode, ServingPlan

VERSION = "0.5.23"
LAUNCH: tuple[Word, ...] = ("python3", "-m", "sglang.launch_server")


class Sglang(ServingEngine):
    """SGLang, all weights on GPUs."""

    id = "sglang"
    profile = "sglang"
    kinds: tuple[str, ...] = ("gpu",)

    def refusal(self, plan: ServingPlan, planned: PlannedLayout) -> str | None:
        """See `ServingEngine`."""
        layout = planned.layout
        assert layout is not None
        if layout.dp > 1 and not layout.expert_parallel:
            return "sglang: attention is data parallel only inside a group of expert parallelism"
        return None

    def words(self, deployment: Deployment, place: NodePlace) -> list[Word]:
        """See `ServingEngine`."""
        model, layout = deployment.model, deployment.layout
        words: list[Word] = [*LAUNCH, "--model-path", model.location]
        words += ["--served-model-name", model.name]
        words += ["--host", place.host, "--port", str(deployment.ports.engine)]
        words += ["--trust-remote-code"] if model.remote_code else []
        words += ["--tp-size", str(layout.tp * layout.dp)]
        words += ["--pp-size", str(layout.pp)] if layout.pp > 1 else []
        words += ["--dcp-size", str(layout.dcp)] if layout.dcp > 1 else []
        words += data_parallel(deployment) if layout.dp > 1 else []
        words += ["--ep-size", str(layout.expert_ranks)] if layout.expert_parallel else []
        words += ["--moe-a2a-backend", "deepep"] if dispatches(deployment) else []
        words += self.memory(deployment)
        return [*words, *parsers(model), *across_nodes(deployment, place)]

    def memory(self, deployment: Deployment) -> list[Word]:
        """The sizes that the plan counted with; those of a group are divided over its replicas."""
        engine, demand = deployment.plan.engine, deployment.plan.demand
        replicas = deployment.layout.dp
        words: list[Word] = ["--context-length", str(deployment.context)]
        words += ["--max-running-requests", str(engine.sequences * replicas)]
        words += ["--chunked-prefill-size", str(engine.batched_tokens * replicas)]
        words += ["--mem-fraction-static", f"{engine.utilization:g}"]
        return [*words, "--kv-cache-dtype", "fp8_e4m3"] if demand.cache_number == 1 else words

    def first_flag(self, deployment: Deployment) -> int:
        """See `ServingEngine`."""
        return len(LAUNCH)

    def image(self, node: ServingNode) -> str | None:
        """See `ServingEngine`."""
        return None if is_amd(node) else f"lmsysorg/sglang:v{VERSION}"


def data_parallel(deployment: Deployment) -> list[Word]:
    """Attention's replicas, in the words of this version."""
    size = str(deployment.layout.dp)
    if deployment.flags.knows("--attn-dp-size"):
        return ["--attn-dp-size", size]
    return ["--dp-size", size, "--enable-dp-attention"]


def parsers(model: DeployedModel) -> list[Word]:
    """Calls and thoughts, for clients that reach the engine past the gateway."""
    words: list[Word] = ["--tool-call-parser", "kimi_k2"] if model.style.is_k2 else []
    return [*words, "--reasoning-parser", "kimi_k2"] if model.style.thinks else words


def across_nodes(deployment: Deployment, place: NodePlace) -> list[Word]:
    """How the nodes find each other; nothing on a single one."""
    if deployment.nodes == 1:
        return []
    nodes: list[Word] = ["--nnodes", str(deployment.nodes), "--node-rank", place.node()]
    return [*nodes, "--dist-init-addr", head(deployment.ports.group)]
