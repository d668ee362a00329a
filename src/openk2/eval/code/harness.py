"""Rows that run in a harness of their own, with a container engine: SWE-bench, TerminalBench.

Each harness is called by its own commands, which ask the model over an OpenAI-compatible URL, and
its own report is read. Nothing of theirs is imported.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openk2.environments import find_engine

_JUDGE = "swebench.harness"
_STANDARD_ERROR = 2  # where harnesses print: standard output is for the results of the run


class HarnessError(Exception):
    """A harness cannot run or gave no report: one line with the remedy."""


@dataclass(frozen=True)
class Asked:
    """What is measured: the model's name at `url`, its key, and where the harness may write.

    workers: containers at one time. limit: problems at most, the harness's first. predictions: a
    file of patches that are there already, instead of asking the model. run: the harness's name for
    this run. A harness goes on with a run that it knows by name, or refuses one that has changed.
    """

    model: str
    url: str
    folder: Path
    key: str = "none"
    workers: int = 4
    limit: int | None = None
    predictions: Path | None = None
    run: str = "openk2"

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which litellm, which the harnesses use, finds the endpoint."""
        endpoint = {"OPENAI_API_KEY": self.key, "OPENAI_API_BASE": self.url}
        # mini-swe-agent ends an attempt after its first answer from a model without a known price.
        endpoint["MSWEA_COST_TRACKING"] = "ignore_errors"
        return {**os.environ, **endpoint, "OPENAI_BASE_URL": self.url}


@dataclass(frozen=True)
class Solved:
    """Problems that a harness found solved, of those that were asked for. note: what is missing."""

    solved: int
    of: int
    note: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.solved <= self.of or not self.of:
            raise ValueError(f"{self.solved} solved of {self.of}")


@dataclass(frozen=True)
class Harness:
    """program: its command or, with dots, its Python module. figure: what its report counts."""

    name: str
    programs: tuple[str, ...]
    install: str
    commands: Callable[[Asked], Sequence[Sequence[str]]]
    figure: Callable[[Asked], Solved]
    note: str = ""

    @property
    def takes_patches(self) -> bool:
        """Whether it judges patches that were made before."""
        return _JUDGE in self.programs


def refusal(harness: Harness) -> str:
    """Why the harness cannot run here, in one line; "" if it can."""
    if find_engine() is None:
        return f"{harness.name} needs a container engine (docker, podman), and none answers"
    for program in harness.programs:
        module = program.partition(".")[0]
        found = importlib.util.find_spec(module) if "." in program else shutil.which(program)
        if found is None:
            return f"{harness.name} is not installed: {harness.install}"
    return ""


def run_harness(harness: Harness, asked: Asked) -> Solved:
    """Run its commands in the folder and return what it counted. Raises HarnessError."""
    reason = refusal(harness)
    if reason:
        raise HarnessError(reason)
    asked.folder.mkdir(parents=True, exist_ok=True)
    for command in harness.commands(asked):
        done = subprocess.run(
            command, cwd=asked.folder, env=asked.environment, check=False, stdout=_STANDARD_ERROR
        )
        if done.returncode != 0:
            told = f"{' '.join(command[:4])} ... ended with exit code {done.returncode}"
            raise HarnessError(f"{harness.name}: {told}; see its output above")
    try:
        return harness.figure(asked)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"{harness.name}: no report in {asked.folder}: {error!r}") from None


_TEMPERATURE = 0.6
_MAX_TOKENS = 8192  # a turn


def _evaluate(dataset: str, predictions: str, asked: Asked) -> list[str]:
    module = [sys.executable, "-m", f"{_JUDGE}.run_evaluation"]
    named = ["--dataset_name", dataset, "--predictions_path", predictions]
    return [*module, *named, "--max_workers", str(asked.workers), "--run_id", asked.run]


def swebench(subset: str, dataset: str, total: int) -> Callable[[Asked], list[list[str]]]:
    """Commands of an agentic row: mini-swe-agent makes patches, SWE-bench judges them."""

    def commands(asked: Asked) -> list[list[str]]:
        if asked.predictions is not None:
            return [_evaluate(dataset, str(asked.predictions.resolve()), asked)]
        agent = ["mini-extra", "swebench", "--model", f"openai/{asked.model}", "--subset", subset]
        agent += ["--split", "test", "--workers", str(asked.workers), "--output", "patches"]
        # With any --config its own file is no longer read unless it is named.
        for setting in (
            "swebench.yaml",
            f"model.model_kwargs.temperature={_TEMPERATURE}",
            f"model.model_kwargs.max_tokens={_MAX_TOKENS}",
        ):
            agent += ["--config", setting]
        agent += ["--slice", f"0:{total if asked.limit is None else asked.limit}"]
        return [agent, _evaluate(dataset, "patches/preds.json", asked)]

    return commands


def judged_only(dataset: str, remedy: str) -> Callable[[Asked], list[list[str]]]:
    """The command that judges patches; they are made before, as `remedy` says."""

    def commands(asked: Asked) -> list[list[str]]:
        if asked.predictions is None:
            raise HarnessError(remedy)
        return [_evaluate(dataset, str(asked.predictions.resolve()), asked)]

    return commands


def terminal_bench(agent: str) -> Callable[[Asked], list[list[str]]]:
    """The command of TerminalBench's own harness.

    agent: one that runs outside the task's container. Those installed inside, such as
    mini-swe-agent, get the key but not the endpoint's address: they would ask api.openai.com.
    """

    def commands(asked: Asked) -> list[list[str]]:
        run = ["tb", "run", "--dataset", "terminal-bench-core==0.1.1", "--agent", agent]
        run += ["--model", f"openai/{asked.model}", "--n-concurrent", str(asked.workers)]
        run += ["--agent-kwarg", f"temperature={_TEMPERATURE}"]
        run += ["--output-path", "runs", "--run-id", asked.run]
        return [run if asked.limit is None else [*run, "--n-tasks", str(asked.limit)]]

    return commands


def resolved(asked: Asked) -> Solved:
    """Resolved of all problems, or of the limit's, from SWE-bench's report of the run.

    A problem without a patch counts as not resolved, as on its leaderboard.
    """
    reports = sorted(asked.folder.glob(f"*.{asked.run}.json"))
    if not reports:
        raise OSError(f"no *.{asked.run}.json")
    report: Mapping[str, int] = json.loads(reports[-1].read_text(encoding="utf-8"))
    submitted, errors = int(report["submitted_instances"]), int(report["error_instances"])
    wanted = int(report["total_instances"]) if asked.limit is None else asked.limit
    told = [f"{submitted} of {wanted} submitted"] if submitted < wanted else []
    told += [f"{errors} harness errors"] if errors else []
    of = max(wanted, submitted)  # the harness judges all patches of a file
    return Solved(int(report["resolved_instances"]), of, ", ".join(told))


def accuracy(asked: Asked) -> Solved:
    """Resolved of all trials, from TerminalBench's results: its accuracy."""
    file = asked.folder / "runs" / asked.run / "results.json"
    results: Mapping[str, int] = json.loads(file.read_text(encoding="utf-8"))
    solved = int(results["n_resolved"])
    return Solved(solved, solved + int(results["n_unresolved"]))


_SWEBENCH = "pip install swebench mini-swe-agent"
_TERMINAL_BENCH = "pip install terminal-bench (Python 3.12 or later; its command tb is enough)"
HARNESSES: Mapping[str, Harness] = {
    "swebench-agentless": Harness(
        "SWE-bench",
        (_JUDGE,),
        "pip install swebench; patches from github.com/OpenAutoCoder/Agentless",
        judged_only(
            "SWE-bench/SWE-bench_Verified",
            "Agentless makes its patches itself: run it with --max_tokens 16384 and hand its "
            "all_preds.jsonl over as predictions",
        ),
        resolved,
        "16,384 tokens of output, one patch, no test run",
    ),
    "swebench-agentic": Harness(
        "SWE-bench",
        (_JUDGE, "mini-extra"),
        _SWEBENCH,
        swebench("verified", "SWE-bench/SWE-bench_Verified", 500),
        resolved,
        "the report's agent (bash and an editor) is not published; mini-swe-agent has bash",
    ),
    "swebench-best-of-n": Harness(
        "SWE-bench",
        (_JUDGE,),
        _SWEBENCH,
        judged_only(
            "SWE-bench/SWE-bench_Verified",
            "run swebench-agentic N times, choose with best_of_n.choose_predictions and hand the "
            "chosen file over as predictions",
        ),
        resolved,
        "N and the scoring model are not published",
    ),
    "swebench-multilingual": Harness(
        "SWE-bench",
        (_JUDGE, "mini-extra"),
        _SWEBENCH,
        swebench("multilingual", "SWE-bench/SWE-bench_Multilingual", 300),
        resolved,
    ),
    "terminalbench-inhouse": Harness(
        "TerminalBench",
        ("tb",),
        _TERMINAL_BENCH,
        terminal_bench("terminus-2"),
        accuracy,
        "the report's own framework is not published; Terminus 2 stands in",
    ),
    "terminalbench-terminus": Harness(
        "TerminalBench",
        ("tb",),
        _TERMINAL_BENCH,
        terminal_bench("terminus"),
        accuracy,
    ),
}
