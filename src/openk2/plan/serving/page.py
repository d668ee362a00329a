"""A serving plan as one HTML page without a script or another file: a bar a layout."""

from collections.abc import Iterator
from html import escape

from openk2.plan.serving.machine import GIB
from openk2.plan.serving.plan import ServingPlan
from openk2.plan.serving.planned import PlannedLayout
from openk2.plan.serving.report import COLUMNS, fitting_cells, serving_heading, serving_verdict
from openk2.record import printable

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
COLOURS = {
    "weights": "#2563a8",
    "scales": "#60a5fa",
    "cache": "#15803d",
    "activations": "#ca8a04",
    "logits": "#eab308",
    "message buffers": "#c2410c",
    "runtime": "#6b7280",
    "streamed layer": "#7c3aed",
}
STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;
color:#1b1b1b;background:#fff}
table{border-collapse:collapse;width:100%}td,th{padding:.3rem .5rem;text-align:left;
border-bottom:1px solid #ddd;vertical-align:top}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.bar{position:relative;height:1rem;background:#eee;min-width:22rem;overflow:hidden}
.bar div{position:absolute;top:0;height:100%}.key span{display:inline-block;margin-right:1rem}
.key i{display:inline-block;width:.8rem;height:.8rem;margin-right:.3rem}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}
td,th{border-color:#333}.bar{background:#262626}}
"""


def serving_page(plan: ServingPlan) -> str:
    """The whole page."""
    title = f"Will it fit? {plan.subject.title} on {plan.node.id}"
    heading = "".join(f"<p>{safe(line)}</p>" for line in serving_heading(plan).split("\n"))
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{safe(title)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{safe(title)}</h1><p><b>{safe(serving_verdict(plan))}</b></p>{heading}",
            key(),
            *fitting(plan),
            *impossible(plan),
            "</body></html>\n",
        ]
    )


def safe(text: str) -> str:
    """Text for an element or a quoted attribute."""
    return escape(printable(text), quote=True)


def key() -> str:
    """What the colours mean; the rest of a bar is free."""
    parts = "".join(
        f'<span><i style="background:{colour}"></i>{safe(name)}</span>'
        for name, colour in COLOURS.items()
    )
    return f'<p class="key">A GPU: {parts}</p>'


def fitting(plan: ServingPlan) -> Iterator[str]:
    """The layouts that fit, with their figures."""
    priced = plan.demand.dollars is not None
    heads = [*COLUMNS, "a GPU", *(("$ / M prompt", "$ / M answer") if priced else ())]
    yield "<h2>Fits</h2><p>Sizes in GiB a GPU, rates in tokens a second.</p><table><tr>"
    yield "".join(f"<th>{safe(head)}</th>" for head in heads) + "</tr>"
    for layout in plan.layouts:
        if layout.fits:
            cells = fitting_cells(layout, priced)
            shown = [f'<td class="n">{safe(cell)}</td>' for cell in cells]
            shown[1] = f"<td>{safe(cells[1])}</td>"
            shown.insert(len(COLUMNS), f"<td>{bar(layout)}</td>")
            yield f"<tr>{''.join(shown)}</tr>"
    yield "</table>"


def impossible(plan: ServingPlan) -> Iterator[str]:
    """The others, with their reasons."""
    yield "<h2>Does not fit</h2><table><tr><th>GPUs</th><th>layout</th><th>a GPU</th>"
    yield "<th>because</th></tr>"
    for layout in plan.layouts:
        if not layout.fits:
            why = "<br>".join(safe(reason) for reason in layout.reasons)
            yield (
                f'<tr><td class="n">{layout.gpus}</td><td>{safe(layout.name)}</td>'
                f"<td>{bar(layout)}</td><td>{why}</td></tr>"
            )
    yield "</table>"


def bar(layout: PlannedLayout) -> str:
    """What one GPU holds, as shares of its memory; cut off where it is too much."""
    if not layout.capacity:
        return ""
    pieces, left = [], 0.0
    for name, size in layout.parts.items():
        width = 100 * size / layout.capacity
        tip = f"{name} {size / GIB:.2f} GiB"
        pieces.append(
            f'<div title="{safe(tip)}" style="left:{left:.2f}%;width:{width:.2f}%;'
            f'background:{COLOURS[name]}"></div>'
        )
        left += width
    return f'<div class="bar">{"".join(pieces)}</div>'
