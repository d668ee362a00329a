"""The report as one HTML file: no script, nothing loaded from elsewhere, everything escaped."""

from html import escape

from openk2.verify.outcome import SHOWN_FAULTS, CheckResult, Report

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
       color: #1b1f24; background: #fff; }
h1 { font-size: 1.4rem; } dl { display: grid; grid-template-columns: 8rem 1fr; gap: .1rem 1rem; }
dt { color: #59636e; } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; padding: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem;
         border-bottom: 1px solid #d1d9e0; overflow-wrap: anywhere; }
.status { font-weight: 600; } .pass { color: #1a7f37; } .fail { color: #cf222e; }
.warn { color: #9a6700; } .skip { color: #59636e; } small { color: #59636e; display: block; }
ul { margin: .3rem 0 0; padding-left: 1.2rem; }
@media (prefers-color-scheme: dark) { body { color: #e6edf3; background: #0d1117; }
 th, td { border-color: #30363d; } .pass { color: #3fb950; } .fail { color: #f85149; }
 .warn { color: #d29922; } dt, .skip, small { color: #9198a1; } }
"""


def html_page(report: Report) -> str:
    """The report as one HTML page."""
    verdict = "passed" if report.passed else "failed"
    rows = "\n".join(_row(result) for result in report.results)
    facts = {
        "endpoint": report.url,
        "model": report.model,
        "started": report.started,
        "seed": str(report.seed),
        "requests": f"{report.requests} in {report.seconds:.1f} s",
        "checked by": f"openk2 {report.version}",
    }
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(report.model)}: {verdict}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Endpoint check: <span class="{"pass" if report.passed else "fail"}">{verdict}</span></h1>
<dl>{listed}</dl>
<table>
<caption>{escape(report.summary)}</caption>
<thead><tr><th scope="col">check</th><th scope="col">result</th><th scope="col">figure</th>
<th scope="col">seen</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""


def _row(result: CheckResult) -> str:
    outcome = result.outcome
    more = outcome.faults[1 : 1 + SHOWN_FAULTS] if outcome.status == "fail" else ()
    items = "".join(f"<li>{escape(fault)}</li>" for fault in more)
    faults = f"<ul>{items}</ul>" if items else ""
    return (
        f'<tr><th scope="row">{escape(result.name)}<small>{escape(result.title)}</small></th>'
        f'<td class="status {outcome.status}">{outcome.status}</td>'
        f"<td>{escape(outcome.figure)}</td><td>{escape(outcome.seen)}{faults}</td></tr>"
    )
