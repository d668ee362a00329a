"""Every plan that says yes becomes files whose numbers are the plan's."""

import re

import pytest
import yaml

from deployed import MODELS, every_deployment, flag_value
from openk2.deploy import Deployment, NodePlace, deployment_files
from openk2.deploy.words import Shell

GROUP = {
    "vllm": ("--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size"),
    "sglang": ("--tp-size", "--pp-size", "--none"),
    "ktransformers": ("--tensor-parallel-size", "--none", "--none"),
    "tensorrt-llm": ("--tensor_parallel_size", "--pipeline_parallel_size", "--none"),
}
LENGTH = {
    "vllm": "--max-model-len",
    "sglang": "--context-length",
    "ktransformers": "--context-length",
    "tensorrt-llm": "--max_seq_len",
}
REPLICAS = {"sglang": "--attn-dp-size", "vllm": "--data-parallel-size"}


def texts(words: list) -> list[str]:
    """Words with expressions as they are written."""
    return [word.expression if isinstance(word, Shell) else word for word in words]


def check_numbers(deployment: Deployment) -> None:
    """The command of a node against the plan."""
    engine, layout = deployment.engine.id, deployment.layout
    words = texts(deployment.command(NodePlace()))
    sizes = [int(flag_value(words, flag)) for flag in GROUP[engine]]
    assert sizes[0] * sizes[1] * sizes[2] == deployment.planned.gpus
    assert deployment.nodes * deployment.node_gpus == deployment.planned.gpus
    assert flag_value(words, LENGTH[engine]) == str(deployment.plan.demand.context)
    assert flag_value(words, "--port") == str(deployment.ports.engine)
    if engine in REPLICAS:
        assert flag_value(words, REPLICAS[engine]) == str(layout.dp)
    assert ("kimi_k2" in words) == deployment.model.style.is_k2
    reasoning = {"--reasoning-parser", "--reasoning_parser"} & set(words)
    assert bool(reasoning) == deployment.model.style.thinks


def check_nodes(deployment: Deployment, files: dict[str, str]) -> None:
    """As many nodes everywhere, and every rank once."""
    scripts = sorted(name for name in files if re.fullmatch(r"node-\d+.sh", name))
    assert f"#SBATCH --nodes={deployment.nodes}\n" in files["slurm.sh"]
    if deployment.engine.id == "tensorrt-llm":
        assert scripts == ["node-0.sh"]
        return
    assert len(scripts) == deployment.nodes
    if deployment.nodes == 1:
        assert "HEAD_ADDRESS" not in files["node-0.sh"]
        return
    flag = r"--data-parallel-start-rank (\d+)" if deployment.layout.dp > 1 else r"--node-rank (\d+)"
    flag = r"--node-rank (\d+)" if deployment.engine.id != "vllm" else flag
    ranks = [re.search(flag, files[name]) for name in scripts[1:]]
    step = deployment.layout.dp // deployment.nodes if "data" in flag else 1
    assert sorted(int(found[1]) for found in ranks if found) == [
        rank * step for rank in range(1, deployment.nodes)
    ]
    if deployment.engine.id == "vllm":
        assert ["--headless" in files[name] for name in scripts] == [False] + [True] * len(ranks)


def check_ports(deployment: Deployment, files: dict[str, str]) -> None:
    """The gateway asks where the engine listens, and is probed where it listens itself."""
    gateway, engine = deployment.ports.gateway, deployment.ports.engine
    assert f"--upstream http://127.0.0.1:{engine} " in files["gateway.sh"]
    if "kubernetes.yaml" not in files:
        return
    objects = list(yaml.safe_load_all(files["kubernetes.yaml"]))
    services = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "Service"}
    label = deployment.label
    assert services[label]["ports"][0]["port"] == gateway
    assert services[f"{label}-engine"]["ports"][0]["port"] == engine
    front = next(o for o in objects if o["metadata"]["name"] == f"{label}-gateway")
    container = front["spec"]["template"]["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": gateway}
    assert f"http://{label}-engine:{engine}" in container["command"]


# k2-0905 is k2 with a longer window, and k2-thinking is k2.5 without its vision tower.
@pytest.mark.parametrize("models", [("k2", "k2.5"), pytest.param(MODELS, marks=pytest.mark.slow)])
def test_the_numbers_of_every_feasible_plan_are_in_its_files(models: tuple[str, ...]) -> None:
    seen: dict[str, int] = {}
    shapes = set()
    for deployment in every_deployment(models):
        check_numbers(deployment)
        shape = (deployment.engine.id, deployment.planned.name, deployment.model.style,
                 deployment.amd, deployment.nodes)  # fmt: skip
        if shape not in shapes:  # the rest differs in numbers that are checked above
            shapes.add(shape)
            files = deployment_files(deployment)
            check_nodes(deployment, files)
            check_ports(deployment, files)
        seen[deployment.engine.id] = seen.get(deployment.engine.id, 0) + 1
    assert min(seen.values()) > 5 * len(models)
    assert len(seen) == 4
