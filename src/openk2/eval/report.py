"""A run as Markdown: the README's tables in its order, ours beside the published figures."""

from collections.abc import Mapping, Sequence

from openk2.eval.catalogue import Row, Table
from openk2.eval.results import RowResult
from openk2.eval.run_folder import SuiteRun
from openk2.record import Table as MarkdownTable

TABLES: Mapping[Table, str] = {
    "instruct": "Instruct table",
    "base": "Base table",
    "openk2": "openk2's own measures",
}
NONE = "-"


def markdown(run: SuiteRun, results: Sequence[RowResult]) -> str:
    """The whole report."""
    told = "".join(f"- {part}\n" for part in settings(run, results))
    parts = [f"# The README's tables: {run.title}\n", told]
    for table, heading in TABLES.items():
        rows = [result for result in results if result.row.table == table]
        if rows:
            parts += [f"## {heading}\n", figures(rows).markdown()]
    parts.append(NOTES)
    grouped = [result for result in results if result.row_groups]
    if grouped:
        parts += ["## Groups\n", "".join(map(group_line, grouped))]
    parts += ["## What it took\n", costs(results).markdown()]
    missing = [result for result in results if result.complaint]
    if missing:
        lines = (f"- {r.row.name}: {r.complaint}\n" for r in missing)
        parts += ["## Rows without a full figure\n", "".join(lines)]
    return "\n".join(parts)


NOTES = (
    "Ours in percent with its 95 % interval, counted over questions. Published figures are the "
    "README's; * is from the model's own report.\n"
)


def settings(run: SuiteRun, results: Sequence[RowResult]) -> list[str]:
    """The models, the seed, what departs from the protocol of which rows, and the machine."""
    rows = [result.row for result in results if not result.row.benchmark.external]
    parts = [f"{key}: {model}" for key, model in run.named.items()]
    parts.append(f"seed {run.seed}")
    fewer = [row.name for row in rows if cut(run.samples, row.benchmark.protocol.samples)]
    if fewer:
        told = f"at most {run.samples} answers to each question, fewer than the protocol's"
        parts.append(f"{told}: {', '.join(fewer)}")
    asked = [row for row in rows if row.benchmark.protocol.asks != "options"]
    shorter = [row.name for row in asked if cut(run.max_tokens, row.benchmark.protocol.max_tokens)]
    if shorter:
        told = f"answers of at most {run.max_tokens} tokens, fewer than the protocol's"
        parts.append(f"{told}: {', '.join(shorter)}")
    if run.versions:
        parts.append(f"openk2 {', '.join(run.versions)}")
    return [*parts, run.machine]


def cut(given: int | None, protocol: int) -> bool:
    """Whether the run has less of it than the protocol."""
    return given is not None and given < protocol


def figures(results: Sequence[RowResult]) -> MarkdownTable:
    """A row a benchmark."""
    models = tuple(results[0].row.published)
    rows = []
    section = ""
    for result in results:
        row = result.row
        if row.section != section:
            section = row.section
            rows.append((f"**{section}**", *[""] * (3 + len(models))))
        ours = NONE if result.figure is None else str(result.figure)
        # A harness of its own tells how many it judged, not which.
        questions = str(len(result.questions) or result.answers or NONE)
        published = tuple(cell(row, model) for model in models)
        rows.append((row.title, row.metric, ours, questions, *published))
    return MarkdownTable(("benchmark", "metric", "ours", "questions", *models), tuple(rows))


def group_line(result: RowResult) -> str:
    """The mean of each group of a weighted row."""
    means = (f"{group} {100 * mean:.1f}" for group, mean in sorted(result.row_groups.items()))
    return f"- {result.row.name}: {', '.join(means)}\n"


def cell(row: Row, model: str) -> str:
    """A published figure."""
    found = row.published[model]
    return NONE if found is None else f"{found.value:.1f}{'*' if found.own_report else ''}"


def costs(results: Sequence[RowResult]) -> MarkdownTable:
    """Answers, tokens and time by row, and of all."""
    header = (
        "row", "answers", "errors", "cut off", "tokens in", "tokens out", "seconds",
        "in the engine", "cost",
    )  # fmt: skip
    ran = [result for result in results if result.answers or result.errors]
    rows = [
        (
            r.row.name, f"{r.answers}", f"{r.errors}", f"{r.truncated}", f"{r.tokens_in:,}",
            f"{r.tokens_out:,}", f"{r.seconds:.1f}", engine_share(r.engine, r.seconds),
            NONE if r.cost is None else f"{r.cost:.2f}",
        )
        for r in ran
    ]  # fmt: skip
    seconds, engine = sum(r.seconds for r in ran), sum(r.engine for r in ran)
    prices = [r.cost for r in ran if r.cost is not None]
    rows.append(
        (
            "all", f"{sum(r.answers for r in ran)}", f"{sum(r.errors for r in ran)}",
            f"{sum(r.truncated for r in ran)}", f"{sum(r.tokens_in for r in ran):,}",
            f"{sum(r.tokens_out for r in ran):,}", f"{seconds:.1f}", engine_share(engine, seconds),
            f"{sum(prices):.2f}" if prices else NONE,
        )
    )  # fmt: skip
    return MarkdownTable(header, tuple(rows))


def engine_share(engine: float, seconds: float) -> str:
    """The part of the time in which a model was answering."""
    return f"{engine / seconds:.0%}" if seconds else NONE
