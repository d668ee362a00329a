"""Scripts: bash takes them, and run with stand-ins they start what the plan says."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from deployed import HOSTILE, deployed
from openk2.deploy import (
    ChatStyle,
    DeployedModel,
    DeployError,
    Deployment,
    NodePlace,
    deployment_files,
    write_files,
)
from openk2.deploy.words import Shell

CASES = [
    ("vllm", "k2", "h200", "DP16 EP16"),
    ("vllm", "k2", "h200", "TP16"),
    ("sglang", "k2", "h200", "TP16"),
    ("ktransformers", "k2-thinking", "rtx4090-48", None),
    ("tensorrt-llm", "k2", "h200", "TP16"),
]
# Long options of sbatch(1), Slurm 24.11, of which the header has some.
SBATCH = {
    "job-name", "nodes", "ntasks", "ntasks-per-node", "gpus-per-node", "exclusive", "output",
    "error", "time", "partition", "account", "cpus-per-task", "mem", "gres", "chdir",
}  # fmt: skip
ECHO = '#!/bin/bash\nprintf "%s\\0" "$(basename "$0")" "$@" >> "$SAID/$(basename "$0").$$"\n'

SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do
  [[ $1 == --nodes=* ]] && nodes=${1#--nodes=}
  shift
done
for ((i = 0; i < nodes; i++)); do SLURM_NODEID=$i "$@"; done
touch "$SAID.started"
exec sleep 60
"""
UNTIL_STARTED = """
for _ in {1..300}; do
  [ -e "$SAID.started" ] && exit
  sleep 0.1
done
"""


def written(deployment: Deployment, folder: Path) -> Path:
    """Its files in a folder, beside stand-ins for what they start, which note their arguments."""
    write_files(folder / "launch", deployment_files(deployment))
    (folder / "said").mkdir()
    (folder / "bin").mkdir()
    for name in ("vllm", "openk2", "python3", "trtllm-llmapi-launch", "ray", "curl"):
        (folder / "bin" / name).write_text(ECHO)
    (folder / "bin" / "scontrol").write_text('#!/bin/bash\nprintf "node%s\\n" a b\n')
    (folder / "bin" / "srun").write_text(SRUN)
    # The gateway ends when the nodes have started, and so the job does.
    (folder / "bin" / "openk2").write_text(f"{ECHO}{UNTIL_STARTED}")
    for program in (folder / "bin").iterdir():
        program.chmod(0o755)
    return folder / "launch"


def started(script: str, launch: Path, **environment: str) -> list[list[str]]:
    """What a script has started, sorted."""
    folder = launch.parent
    variables = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "SAID": str(folder / "said")}
    subprocess.run(
        ["bash", launch / script], env={**variables, **environment}, cwd=launch, timeout=60,
        capture_output=True, check=False,
    )  # fmt: skip
    found = [file.read_text().split("\0")[:-1] for file in sorted((folder / "said").iterdir())]
    return sorted(words for words in found if words[0] != "curl")


def known(words: list, address: str) -> list[str]:
    """Words as a shell gives them to the program."""
    return [
        word.expression.replace("${HEAD_ADDRESS}", address) if isinstance(word, Shell) else word
        for word in words
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(map(str, case)))
def test_bash_takes_every_script_and_slurm_every_option(
    case: tuple[str, ...], tmp_path: Path
) -> None:
    deployment = deployed(*case)
    launch = written(deployment, tmp_path)
    for script in launch.glob("*.sh"):
        subprocess.run(["bash", "-n", script], check=True)
    header = [line for line in (launch / "slurm.sh").read_text().splitlines() if "#SBATCH" in line]
    assert {line.split("--")[1].partition("=")[0] for line in header} <= SBATCH
    assert f"#SBATCH --gpus-per-node={deployment.node_gpus}" in header


@pytest.mark.parametrize("case", CASES[:3], ids=" ".join)
def test_a_slurm_job_starts_every_node_with_its_rank_and_the_gateway(
    case: tuple[str, ...], tmp_path: Path
) -> None:
    model = DeployedModel(HOSTILE, "a 'b' $(id)", ChatStyle.instruct)
    deployment = deployed(*case, changed=model)
    launch = written(deployment, tmp_path)
    found = started("slurm.sh", launch, SLURM_SUBMIT_DIR=str(launch), SLURM_JOB_NODELIST="n[a-b]",
                    OPENK2_API_KEY="s3cret")  # fmt: skip
    wanted = [known(deployment.command(NodePlace(rank)), "nodea") for rank in (0, 1)]
    wanted.append(known(deployment.gateway("http://127.0.0.1:8001", "0.0.0.0"), ""))
    assert found == sorted(wanted)


def test_a_node_or_a_gateway_without_what_it_needs_says_so(tmp_path: Path) -> None:
    launch = written(deployed("vllm", "k2", "h200", "TP16"), tmp_path)
    for script, name in (("node-1.sh", "HEAD_ADDRESS"), ("gateway.sh", "OPENK2_API_KEY")):
        done = subprocess.run(
            ["bash", launch / script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True
        )
        assert done.returncode
        assert f"{name}: set it to" in done.stderr


def test_a_model_that_nodes_have_at_a_path_is_not_looked_for_on_the_hub(tmp_path: Path) -> None:
    local = DeployedModel("/models/k2", "k2", ChatStyle.instruct)
    assert "export HF_HUB_OFFLINE=1" in deployment_files(deployed(changed=local))["node-0.sh"]
    assert "HF_HUB_OFFLINE" not in deployment_files(deployed())["node-0.sh"]


@pytest.mark.parametrize("layout", ["DP16 EP16", "TP8 PP2"])
def test_ray_commands_have_flags_that_ray_has(layout: str, tmp_path: Path) -> None:
    scripts = pytest.importorskip("ray.scripts.scripts")
    launch = written(deployed("vllm", "k2", "h200", layout), tmp_path)
    flags = {option for parameter in scripts.start.params for option in parameter.opts}
    for script in ("ray-head.sh", "ray-worker.sh"):
        (words,) = started(script, launch, HEAD_ADDRESS="a")[-1:]
        assert {word.partition("=")[0] for word in words[2:]} <= flags
    text = (launch / "ray-engine.sh").read_text()
    assert "--distributed-executor-backend ray" in text
    assert "--node-rank" not in text


def test_only_vllm_over_several_nodes_has_rays_files() -> None:
    assert not [name for name in deployment_files(deployed("sglang")) if "ray" in name]
    one = deployment_files(deployed("vllm", "k2-thinking", "h200", "TP8"))
    assert not [name for name in one if "ray" in name]


def test_health_waits_for_both_and_gives_up_with_a_line(tmp_path: Path) -> None:
    launch = written(deployed(), tmp_path)
    (tmp_path / "bin" / "curl").write_text("#!/bin/bash\nexit 22\n")
    done = subprocess.run(
        ["bash", launch / "health.sh"],
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "HEALTH_SECONDS": "-1"},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1
    assert "error: http://127.0.0.1:8001/health does not answer" in done.stderr


def test_a_folder_is_replaced_only_if_all_in_it_was_written_by_deploy(tmp_path: Path) -> None:
    folder = tmp_path / "launch"
    for case in CASES:
        write_files(folder, deployment_files(deployed(*case, image="engine:1")))
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(DeployError, match=r"holds 'notes\.txt', no launch file"):
        write_files(folder, deployment_files(deployed()))
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_slurm_job_takes_all_memory_and_does_not_end_when_it_is_ready() -> None:
    lines = deployment_files(deployed())["slurm.sh"].splitlines()
    assert "#SBATCH --mem=0" in lines
    # In bash 4.4 (RHEL 8) `wait -n PID` returns when any job ends: health.sh, once all is well.
    assert not [line for line in lines if "wait -n" in line and not line.startswith("#")]


def test_the_gateway_reaches_its_engine_past_a_proxy(tmp_path: Path) -> None:
    launch = written(deployed(), tmp_path)
    said = 'printf "%s\\0" "$NO_PROXY" "$no_proxy" > "$SAID/proxy"\n'
    (tmp_path / "bin" / "openk2").write_text(f"#!/bin/bash\n{said}")
    found = started("gateway.sh", launch, OPENK2_API_KEY="k", NO_PROXY="a.b")
    assert found == [["127.0.0.1,a.b", "127.0.0.1"]]


def test_a_machines_name_cannot_end_a_comment() -> None:
    found = deployed()
    node = replace(found.node, id="h200\nrm -rf /")
    with pytest.raises(DeployError, match="printable"):
        replace(found, plan=replace(found.plan, node=node))
