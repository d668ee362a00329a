"""The rows of the README's two result tables, in its order, each with its benchmark and figures.

Measures of openk2's own are rows of a third table, which is asked for by name.

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

Variant = Literal["instruct", "base"]
Table = Literal["instruct", "base", "openk2"]
OWN: Table = "openk2"

TASKS: Mapping[Variant, Sequence[str]] = {
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
# Title and metric are the benchmark's own words in the README's rows.
OWN_TASKS: Sequence[tuple[str, str, str]] = (
    ("tools:TOOLS", "Tool calls, turn by turn", "Turns without a fault"),
    ("weather:WEATHER", "The README's weather loop", "Avg@10"),
)


class NoSuchRowError(ValueError):
    """A row, or the task of a row, that does not exist."""


@dataclass(frozen=True)
class Published:
    """A figure of the README, of 100. own_report: marked `*`, from the model's own report."""

    value: float
    own_report: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table. `section`, `title` and `metric` are the README's words, if it is there.

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
    def variant(self) -> Variant:
        """Which of the two models it measures."""
        return "base" if self.table == "base" else "instruct"

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


@cache
def all_rows() -> tuple[Row, ...]:
    """The README's rows, then openk2's own."""
    own = (
        Row(OWN, "Tool Use Tasks", title, metric, f"openk2.eval.tasks.{task}", {})
        for task, title, metric in OWN_TASKS
    )
    return (*readme_rows(), *own)


def _row(table: Table, task: str, entry: dict[str, Any], models: list[str]) -> Row:
    figures = zip(models, entry["figures"], strict=True)
    published = {
        model: None if value is None else Published(value, model in entry["own_report"])
        for model, value in figures
    }
    words = (entry["section"], entry["title"], entry["metric"])
    return Row(table, *words, f"openk2.eval.tasks.{task}", published)


def find_rows(names: Sequence[str]) -> tuple[Row, ...]:
    """The rows of these names, in the README's order; all of the README for none.

    `instruct`, `base` and `openk2` stand for a whole table. Raises NoSuchRowError, which names the
    nearest.
    """
    rows = all_rows()
    known = {row.name for row in rows} | {row.table for row in rows}
    for name in names:
        if name not in known:
            raise NoSuchRowError(f"there is no row {name!r}{_hint(name, known)}")
    if not names:
        return readme_rows()
    return tuple(row for row in rows if row.name in names or row.table in names)


def _hint(name: str, known: set[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(re.sub(r"[\s_]+", "-", name.lower()), known, 1)
    return f": did you mean {near[0]!r}?" if near else ": `openk2 eval rows` lists them"
