"""The engines by name, and the layout of a plan that one of them serves."""

from openk2.deploy.deployment import ServingEngine
from openk2.deploy.error import DeployError
from openk2.deploy.ktransformers import KTransformers
from openk2.deploy.sglang import Sglang
from openk2.deploy.tensorrt_llm import TensorRtLlm
from openk2.deploy.vllm import Vllm
from openk2.plan import PlannedLayout, ServingPlan, decoded, serving_verdict

ENGINES: tuple[ServingEngine, ...] = (Vllm(), Sglang(), KTransformers(), TensorRtLlm())


def find_serving_engine(name: str) -> ServingEngine:
    """The engine of this name. Raises DeployError listing the names."""
    for engine in ENGINES:
        if engine.id == name:
            return engine
    known = ", ".join(engine.id for engine in ENGINES)
    raise DeployError(f"no engine {name!r}: there are {known}")


def choose_layout(plan: ServingPlan, engine: ServingEngine, wanted: str | None) -> PlannedLayout:
    """The layout to deploy: `wanted` by its name, or of the fewest GPUs the one that decodes most.

    Raises DeployError with the reason if the plan or the engine says no.
    """
    offered = [planned for planned in plan.layouts if planned.kind in engine.kinds]
    if wanted is not None:
        named = [planned for planned in offered if same_name(planned.name, wanted)]
        if not named:
            names = ", ".join(dict.fromkeys(planned.name for planned in offered)) or "none"
            raise DeployError(f"no layout {wanted!r} for {engine.id}: the plan has {names}")
        offered = named
    fitting = [planned for planned in offered if planned.fits]
    served = [planned for planned in fitting if engine.refusal(plan, planned) is None]
    if served:
        least = min(planned.gpus for planned in served)
        return max((planned for planned in served if planned.gpus == least), key=decoded)
    if fitting:
        raise DeployError(str(engine.refusal(plan, fitting[0])))
    raise DeployError(no_layout(plan, engine, offered, wanted))


def no_layout(
    plan: ServingPlan, engine: ServingEngine, offered: list[PlannedLayout], wanted: str | None
) -> str:
    """Why no layout fits, in a line."""
    if wanted is not None:
        return f"{offered[0].name} does not fit: {'; '.join(offered[0].reasons)}"
    if "ram" in engine.kinds:
        reasons = [reason for planned in offered for reason in planned.reasons]
        return f"{engine.id}: experts in RAM do not fit: {'; '.join(reasons) or 'no GPU'}"
    return f"{engine.id}: {serving_verdict(plan)}: see `openk2 plan serve` for what would"


def same_name(name: str, wanted: str) -> bool:
    """`DP16 EP16` and `dp16-ep16` are one."""
    return bare(name) == bare(wanted)


def bare(name: str) -> str:
    """Letters and digits alone."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
