"""TensorRT-LLM's command: `trtllm-serve` with a YAML file, over MPI where there are several nodes.

Attention's data parallelism is all or nothing there, inside the tensor parallel group.
"""

import math

from openk2.deploy.deployment import Deployment, NodePlace, ServingEngine, is_amd
from openk2.deploy.model import DeployedModel
from openk2.deploy.words import Word
from openk2.deploy.yaml_text import yaml_text
from openk2.plan import PlannedLayout, ServingPlan

CONFIG = "trtllm.yaml"
FORMATS = ("bf16", "block-fp8", "nvfp4")
# Blackwell: the first with FP4 products. Ids of the planner's catalogue.
FP4_GPUS = ("b200", "gb10", "rtx-pro-6000")


class TensorRtLlm(ServingEngine):
    """TensorRT-LLM's PyTorch backend, all weights on NVIDIA GPUs."""

    id = "tensorrt-llm"
    profile = "vllm"
    kinds: tuple[str, ...] = ("gpu",)

    def refusal(self, plan: ServingPlan, planned: PlannedLayout) -> str | None:
        """See `ServingEngine`."""
        layout, gpu, form = planned.layout, plan.node.gpu, plan.subject.form.name
        assert layout is not None
        assert gpu is not None
        if is_amd(plan.node):
            return f"tensorrt-llm: it is for NVIDIA, {plan.node.id} has {gpu.name}: use vllm"
        if form not in FORMATS:
            return (
                f"tensorrt-llm: it reads {', '.join(FORMATS)}, not {form}: its guide serves "
                "Kimi-K2-Thinking from an NVFP4 checkpoint (--weights nvfp4 --model-path PATH); or "
                "use vllm"
            )
        if form == "nvfp4" and gpu.id not in FP4_GPUS:
            return f"tensorrt-llm: nvfp4 needs Blackwell, {plan.node.id} has {gpu.name}"
        if form == "block-fp8" and not gpu.fp8:
            return f"tensorrt-llm: block-fp8 needs FP8 products, {gpu.name} has none: use vllm"
        if layout.dcp > 1:
            return "tensorrt-llm: it has no decode context parallelism: choose another --layout"
        if layout.dp > 1 and layout.tp > 1:
            return (
                "tensorrt-llm: attention is data parallel over all ranks or none: choose another "
                "--layout"
            )
        return None

    def words(self, deployment: Deployment, place: NodePlace) -> list[Word]:
        """See `ServingEngine`. Over several nodes it is one command, which every rank runs."""
        model, layout, engine = deployment.model, deployment.layout, deployment.plan.engine
        words: list[Word] = ["trtllm-llmapi-launch"] if deployment.nodes > 1 else []
        words += ["trtllm-serve", model.location]
        words += ["--host", place.host, "--port", str(deployment.ports.engine)]
        words += ["--trust_remote_code"] if model.remote_code else []
        words += ["--tensor_parallel_size", str(layout.tp * layout.dp)]
        words += ["--pipeline_parallel_size", str(layout.pp)] if layout.pp > 1 else []
        if layout.expert_parallel:
            words += ["--moe_expert_parallel_size", str(layout.expert_ranks)]
        words += ["--gpus_per_node", str(deployment.node_gpus)]
        words += ["--max_seq_len", str(deployment.context)]
        words += ["--max_batch_size", str(engine.sequences)]
        words += ["--max_num_tokens", str(engine.batched_tokens), "--enable_chunked_prefill"]
        if model.style.is_k2:
            words += ["--tool_parser", "kimi_k2"]
        if model.style.thinks:
            opens = model.style.value == "opening"
            words += ["--reasoning_parser", "kimi_k25" if opens else "kimi_k2"]
        return [*words, "--config", place.config]

    def first_flag(self, deployment: Deployment) -> int:
        """See `ServingEngine`."""
        return 3 if deployment.nodes > 1 else 2

    def file(self, deployment: Deployment) -> tuple[str, str] | None:
        """See `ServingEngine`."""
        cache = {"free_gpu_memory_fraction": cache_share(deployment)}
        number = deployment.plan.demand.cache_number
        settings = {
            "enable_attention_dp": deployment.layout.dp > 1,
            "kv_cache_config": {**cache, "dtype": "fp8"} if number == 1 else cache,
        }
        return CONFIG, yaml_text([settings])

    def upstream_name(self, model: DeployedModel) -> str:
        """See `ServingEngine`. It has no flag for the name: a folder's own name, or the hub's."""
        return model.location.rpartition("/")[2] if model.is_local else model.location

    def reads_ids(self) -> bool:
        """See `ServingEngine`. Not tried, so the engine's own template and parsers are used."""
        return False


def cache_share(deployment: Deployment) -> float:
    """The cache's share of what weights and buffers leave of a GPU, as the plan has it."""
    planned = deployment.planned
    cache = planned.parts["cache"] + planned.free
    rest = planned.capacity - (sum(planned.parts.values()) - planned.parts["cache"])
    return math.floor(100 * cache / rest) / 100
