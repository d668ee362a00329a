"""A study's page: Markdown with its plot beside it."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from openk2.record import svg, write_file_atomically
from openk2.studies.corpus import Corpus
from openk2.studies.result import StudyResult
from openk2.studies.run import StudyPlace
from openk2.studies.size import Size
from openk2.studies.study import Findings


def write_page(
    folder: Path,
    name: str,
    findings: Findings,
    *,
    size: Size,
    corpus: Corpus,
    place: StudyPlace,
    results: Sequence[StudyResult],
) -> Path:
    """Write `name`.md and `name`.svg into `folder`, made if it is absent; return the page.

    Raises PlotError without matplotlib, before anything is written.
    """
    plot = svg(findings.panels)
    folder.mkdir(parents=True, exist_ok=True)
    write_file_atomically(folder / f"{name}.svg", plot)
    page = folder / f"{name}.md"
    write_file_atomically(page, markdown(name, findings, size, corpus, place, results))
    return page


def markdown(
    name: str,
    findings: Findings,
    size: Size,
    corpus: Corpus,
    place: StudyPlace,
    results: Sequence[StudyResult],
) -> str:
    """The page's text."""
    parts = [
        f"# {findings.title}",
        *warnings(size),
        f"**The report.** {findings.claim}",
        f"**Method.** {findings.method}",
        *(table.markdown().rstrip("\n") for table in findings.tables),
        "\n".join(f"- {remark}" for remark in findings.remarks),
        f"![{findings.title}]({name}.svg)",
        "Bands run from the lowest to the highest seed.",
        *divergences(results),
        circumstances(name, size, corpus, place, results),
    ]
    return "\n\n".join(parts) + "\n"


def warnings(size: Size) -> list[str]:
    """What must be read before the figures of a quick study."""
    if size.name != "quick":
        return []
    return ["**A quick run: a dozen steps of a network of nothing. Its figures show nothing.**"]


def divergences(results: Sequence[StudyResult]) -> list[str]:
    """Which runs did not come to their end."""
    ended = [f"{r.setting.name} at step {r.diverged}" for r in results if r.diverged is not None]
    return [f"**Diverged** (a loss, gradient or logit not finite): {', '.join(ended)}."] * bool(
        ended
    )


def circumstances(
    name: str, size: Size, corpus: Corpus, place: StudyPlace, results: Sequence[StudyResult]
) -> str:
    """How to have the same page again."""
    shape, hours = size.shape, sum(result.cpu_seconds for result in results) / 3600
    text = "" if corpus.source == "generated tool conversations" else f" --text {corpus.source}"
    command = f"openk2 study {name} --size {size.name}{text}"
    machines = sorted({result.machine for result in results})
    return (
        f"**Runs.** {len(results)}, each {size.steps} steps of {size.step_tokens:,} tokens in rows "
        f"of {size.length}, {size.precision}; hidden {shape.hidden_size}, "
        f"{shape.num_hidden_layers} layers, {shape.num_attention_heads} heads, "
        f"{shape.n_routed_experts} experts of {shape.moe_intermediate_size}, "
        f"{shape.num_experts_per_tok} active and one shared, unless the study varies them. "
        f"Rate: warm-up, constant, cosine to a tenth over the last fifth. Weight decay "
        f"{size.weight_decay:g}. Held-out loss: {size.held_out_rows} rows of documents that no run "
        f"learns from. Text: {corpus.source}.\n\n"
        f"`{command}`, {date.today().isoformat()}, {place.device}, {place.threads} "
        f"thread{'s' * (place.threads != 1)} a run, {hours:.1f} core hours; "
        f"{'; '.join(machines)}. Studies share runs of equal settings."
    )
