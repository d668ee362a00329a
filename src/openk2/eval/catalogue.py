"""The rows of the README's two result tables, in its order, each with its benchmark and figures.

The published figures are data, in `assets/published_results.json`. A row's benchmark is imported
when it is asked for: the catalogue alone needs no inspect_ai.

To add a benchmark: a file in `eval/tasks/`, and one line here.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module, resources
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from openk2.eval.benchmark import Benchmark

Table = Literal["instruct", "base"]

TASKS: Mapping[Table, Sequence[str]] = {
    "instruct": (
        "livecodebench:LIVECODEBENCH",
        "ojbench:OJBENCH",
        "multipl_e:MULTIPL_E",
        "swebench:SWEBENCH_AGENTLESS",
        "swebench:SWEBENCH_AGENTIC",
        "swebench:SWEBENCH_BEST_OF_N",
        "swebench:SWEBENCH_MULTILINGUAL",
        "terminalbench:TERMINALBENCH_INHOUSE",
        "terminalbench:TERMINALBENCH_TERMINUS",
        "aider_polyglot:AIDER_POLYGLOT",
        "tau2:TAU2_RETAIL",
        "tau2:TAU2_AIRLINE",
        "tau2:TAU2_TELECOM",
        "acebench:ACEBENCH",
        "aime2024:AIME_2024",
        "aime2025:AIME_2025",
        "math500:MATH_500",
        "hmmt2025:HMMT_2025",
        "cnmo2024:CNMO_2024",
        "polymath:POLYMATH_EN",
        "zebralogic:ZEBRALOGIC",
        "autologi:AUTOLOGI",
        "gpqa:GPQA_DIAMOND",
        "supergpqa:SUPERGPQA",
        "hle:HLE",
        "mmlu:MMLU",
        "mmlu_redux:MMLU_REDUX",
        "mmlu_pro:MMLU_PRO",
        "ifeval:IFEVAL",
        "multichallenge:MULTI_CHALLENGE",
        "simpleqa:SIMPLEQA",
        "livebench:LIVEBENCH",
    ),
    "base": (
        "mmlu:MMLU_BASE",
        "mmlu_pro:MMLU_PRO_BASE",
        "mmlu_redux:MMLU_REDUX_BASE",
        "simpleqa:SIMPLEQA_BASE",
        "triviaqa:TRIVIAQA_BASE",
        "gpqa:GPQA_DIAMOND_BASE",
        "supergpqa:SUPERGPQA_BASE",
        "livecodebench:LIVECODEBENCH_BASE",
        "evalplus:EVALPLUS_BASE",
        "math:MATH_BASE",
        "gsm8k:GSM8K_BASE",
        "ceval:CEVAL_BASE",
        "csimpleqa:CSIMPLEQA_BASE",
    ),
}


class NoSuchRowError(ValueError):
    """A row, or the task of a row, that does not exist."""


@dataclass(frozen=True)
class Published:
    """A figure of the README, of 100. own_report: marked `*`, from the model's own report."""

    value: float
    own_report: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table. `section`, `title` and `metric` are the README's words.

    task: module and attribute of its benchmark. published: model -> figure, None where the table
    has none, the README's model first.
    """

    table: Table
    section: str
    title: str
    metric: str
    task: str
    published: Mapping[str, Published | None]

    @property
    def name(self) -> str:
        """As in `--rows`: the benchmark's, such as `aime-2024`."""
        return self.task.partition(":")[2].lower().replace("_", "-")

    @property
    def label(self) -> str:
        """Title and metric, which together are unique in a table."""
        return f"{self.title}, {self.metric}" if self.metric != "-" else self.title

    @property
    def kimi(self) -> float | None:
        """The published figure of Kimi K2, of 100."""
        first = next(iter(self.published.values()), None)
        return None if first is None else first.value

    @property
    def benchmark(self) -> "Benchmark":
        """Import it. Raises NoSuchRowError if no such task is installed."""
        module, _, attribute = self.task.partition(":")
        try:
            found: Benchmark = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if error.name and f"{module}.".startswith(f"{error.name}."):
                raise NoSuchRowError(f"{self.name}: there is no task {self.task}") from error
            remedy = f"{self.name} needs {error.name}: pip install 'openk2[eval]'"
            raise NoSuchRowError(remedy) from error
        except AttributeError as error:
            raise NoSuchRowError(f"{self.name}: there is no task {self.task}") from error
        return found


@cache
def readme_rows() -> tuple[Row, ...]:
    """All 45, the 32 of the instruct table first."""
    file = resources.files("openk2") / "assets" / "published_results.json"
    tables = json.loads(file.read_text(encoding="utf-8"))
    return tuple(
        _row(table, task, entry, tables[table]["models"])
        for table, tasks in TASKS.items()
        for task, entry in zip(tasks, tables[table]["rows"], strict=True)
    )


def _row(table: Table, task: str, entry: dict[str, Any], models: list[str]) -> Row:
    figures = zip(models, entry["figures"], strict=True)
    published = {
        model: None if value is None else Published(value, model in entry["own_report"])
        for model, value in figures
    }
    words = (entry["section"], entry["title"], entry["metric"])
    return Row(table, *words, f"openk2.eval.tasks.{task}", published)


def find_rows(names: Sequence[str]) -> tuple[Row, ...]:
    """The rows of these names, in the README's order; all for none. `instruct` and `base` stand
    for a whole table. Raises NoSuchRowError, which names the nearest."""
    rows = readme_rows()
    known = {row.name for row in rows} | set(TASKS)
    for name in names:
        if name not in known:
            raise NoSuchRowError(f"there is no row {name!r}{_hint(name, known)}")
    return tuple(row for row in rows if not names or row.name in names or row.table in names)


def _hint(name: str, known: set[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(re.sub(r"[\s_]+", "-", name.lower()), known, 1)
    return f": did you mean {near[0]!r}?" if near else ": `openk2 eval rows` lists them"
