"""A run as one HTML page without a script or another file: bars and a browser of wrong answers.

Everything is escaped: a model's answer may hold markup that means to run in the reader's browser,
and the page's policy lets nothing load or run even if one got through.
"""

from collections.abc import Iterator, Sequence
from html import escape

from openk2.eval.answered import WrongAnswer
from openk2.eval.report import NOTES, TABLES, cell, engine_share, settings
from openk2.eval.results import RowResult
from openk2.eval.run_folder import SuiteRun
from openk2.record import printable

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;
color:#1b1b1b;background:#fff}
table{border-collapse:collapse;width:100%}td,th{padding:.3rem .5rem;text-align:left;
border-bottom:1px solid #ddd;vertical-align:top}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.bar{position:relative;height:.8rem;background:#eee;min-width:14rem;margin:.1rem 0}
.fill,.low,.mark{position:absolute;top:0;height:100%}.fill{background:#2563a8}
.ci{position:absolute;top:35%;height:30%;background:#111;opacity:.55}
.mark{width:2px;background:#c2410c}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f6f6f6;padding:.5rem;
max-height:24rem;overflow:auto;margin:.2rem 0 .8rem}
details{margin:.4rem 0}summary{cursor:pointer}.why{color:#666}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}td,th{border-color:#333}
.bar,pre{background:#262626}.ci{background:#fff}}
"""


def html_page(run: SuiteRun, results: Sequence[RowResult]) -> str:
    """The whole page."""
    title = f"The README's tables: {run.title}"
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{safe(title)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{safe(title)}</h1>",
            f"<p>{safe('; '.join(settings(run, results)))}</p>",
            *tables(results),
            f"<p>{safe(NOTES)} The red mark is the published figure of Kimi K2, the dark line the "
            "interval.</p>",
            *wrong_answers(results),
            "</body></html>\n",
        ]
    )


def safe(text: str) -> str:
    """Text for an element or a quoted attribute: no markup, no character that hides or reorders."""
    return escape(printable(text), quote=True)


def tables(results: Sequence[RowResult]) -> Iterator[str]:
    """A table with bars for each of those that ran."""
    for table, heading in TABLES.items():
        rows = [result for result in results if result.row.table == table]
        if not rows:
            continue
        models = list(rows[0].row.published)
        heads = ["benchmark", "metric", "", "ours", *models, "seconds", "in the engine"]
        yield f"<h2>{safe(heading)}</h2><table><tr>"
        yield "".join(f"<th>{safe(head)}</th>" for head in heads) + "</tr>"
        for result in rows:
            yield table_row(result, models)
        yield "</table>"


def table_row(result: RowResult, models: Sequence[str]) -> str:
    """A row: its bar and figures, or why it has none."""
    row = result.row
    ours = "" if result.figure is None else str(result.figure)
    ours = f"{ours} {result.complaint}".strip()
    seconds = f"{result.seconds:.1f}" if result.seconds else ""
    numbers = [cell(row, model) for model in models]
    numbers += [seconds, engine_share(result.engine, result.seconds)]
    cells = "".join(f'<td class="n">{safe(number)}</td>' for number in numbers)
    return (
        f"<tr><td>{safe(row.title)}</td><td>{safe(row.metric)}</td><td>{bar(result)}</td>"
        f"<td>{safe(ours)}</td>{cells}</tr>"
    )


def bar(result: RowResult) -> str:
    """Our figure with its interval, and a mark at Kimi K2's published one."""
    parts = []
    figure = result.figure
    if figure is not None:
        parts.append(f'<div class="fill" style="width:{100 * figure.value:.2f}%"></div>')
        left, width = 100 * figure.low, 100 * (figure.high - figure.low)
        parts.append(f'<div class="ci" style="left:{left:.2f}%;width:{width:.2f}%"></div>')
    if result.row.kimi is not None:
        parts.append(f'<div class="mark" style="left:{result.row.kimi:.2f}%"></div>')
    return f'<div class="bar">{"".join(parts)}</div>'


def wrong_answers(results: Sequence[RowResult]) -> Iterator[str]:
    """Wrong answers by row, folded."""
    yield "<h2>Wrong answers</h2>"
    for result in results:
        if result.failures:
            wrong = sum(max(question.values()) < 1 for question in result.questions.values())
            shown = f"{len(result.failures)} of {wrong} questions"
            yield f"<details><summary>{safe(result.row.label)} <span class='why'>{shown}</span>"
            yield "</summary>"
            yield from map(wrong_answer, result.failures)
            yield "</details>"


def wrong_answer(failure: WrongAnswer) -> str:
    """One answer beside what was asked and what is right."""
    parts = [
        ("asked", failure.asked),
        ("answered", failure.answered),
        ("right", failure.target),
        ("read as", failure.judged),
    ]
    texts = "".join(f"<div class='why'>{name}</div><pre>{safe(text)}</pre>" for name, text in parts)
    return f"<details><summary>{safe(failure.question)}</summary>{texts}</details>"
