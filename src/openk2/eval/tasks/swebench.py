"""SWE-bench: real issues of real repositories, by each repository's tests in its container.

Paper: https://arxiv.org/abs/2310.06770. Four rows: Verified (500 issues) by Agentless with a single
patch and no test run, 16,384 tokens of output; by an agent with one attempt; by an agent with
several attempts, of which a scoring model takes the best; Multilingual (300 issues) by an agent
with one attempt. Metric: resolved, of all issues or of the limit's. Temperature 0.6, 8,192 tokens a
turn in the agentic rows.

They run in SWE-bench's own harness, `eval/code/harness.py`, and refuse in one line without a
container engine. The agent of the report is not published: patches come from mini-swe-agent, or
from a file of predictions. The choice of the best of N is `eval/code/best_of_n.py`.
"""

from pathlib import Path

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Scorer

from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.code.harness import HARNESSES, HarnessError


def not_here(folder: Path) -> list[Sample]:
    """Raises HarnessError: the harness reads its data itself."""
    raise HarnessError(f"{folder}: SWE-bench and TerminalBench read their data in their harness")


def no_scorer() -> Scorer:
    """Raises HarnessError: the harness judges."""
    raise HarnessError("SWE-bench and TerminalBench judge in their harness: run_harness")


def external(name: str, title: str, paper: str, protocol: Protocol) -> Benchmark:
    """A row that its own harness runs."""
    harness = HARNESSES[name]
    return Benchmark(
        name=name,
        title=title,
        paper=paper,
        protocol=protocol,
        source=DataHome(
            folder="", files=(), obtain=f"{harness.install}; and a container engine (docker)"
        ),
        read=not_here,
        scorer=no_scorer,
        external=harness.name,
    )


_PAPER = "https://arxiv.org/abs/2310.06770"
SWEBENCH_AGENTLESS = external(
    "swebench-agentless",
    "SWE-bench Verified (Agentless, single patch without test)",
    _PAPER,
    Protocol(metric="Acc", max_tokens=16384),
)
SWEBENCH_AGENTIC = external(
    "swebench-agentic",
    "SWE-bench Verified (agentic, single attempt)",
    _PAPER,
    Protocol(metric="Acc"),
)
SWEBENCH_BEST_OF_N = external(
    "swebench-best-of-n",
    "SWE-bench Verified (agentic, multiple attempts)",
    _PAPER,
    Protocol(metric="Acc", roles=("scoring",)),
)
SWEBENCH_MULTILINGUAL = external(
    "swebench-multilingual", "SWE-bench Multilingual (agentic)", _PAPER, Protocol(metric="Acc")
)
