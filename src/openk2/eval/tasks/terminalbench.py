"""TerminalBench: tasks in a terminal, by each task's tests in its container.

Home: https://github.com/laude-institute/terminal-bench. Two rows: with Terminus, the benchmark's
own agent, and with an agent framework of the report's authors, which is not published; there
Terminus 2 stands in and the figure is not comparable. Version: terminal-bench-core 0.1.1, the one
of the README's time. Metric: accuracy. Temperature 0.6; Terminus sets no output cap.

They run in the benchmark's own harness, `eval/code/harness.py`, and refuse in one line without a
container engine.
"""

from openk2.eval.benchmark import Protocol
from openk2.eval.tasks.swebench import external

_HOME = "https://github.com/laude-institute/terminal-bench"
TERMINALBENCH_INHOUSE = external(
    "terminalbench-inhouse", "TerminalBench (in-house framework)", _HOME, Protocol(metric="Acc")
)
TERMINALBENCH_TERMINUS = external(
    "terminalbench-terminus", "TerminalBench (Terminus)", _HOME, Protocol(metric="Acc")
)
