"""A converted table is the reference's by its cells, in any writing of them."""

import pytest

from openk2.eval.answers.livebench_tables import asked_format, same_table

CSV = 'name,size\nAnn,1.50\n"B, C",\n'
JSON = '{"69":{"name":"Ann","size":1.5},"7":{"name":"B, C","size":null}}'
TSV = "name\tsize\nAnn\t1.5\nB, C\t\n"
LINES = '{"name":"Ann","size":1.5}\n{"name":"B, C","size":null}\n'
HTML = (
    "<table><thead><tr><th>name</th><th>size</th></tr></thead><tbody><tr><td>Ann</td><td>1.5</td>"
    "</tr>\n<tr><td>B, C</td><td>NaN</td></tr></tbody></table>"
)
MARKDOWN = "| name | size |\n|:-----|-----:|\n| Ann | 1.5 |\n| B, C | nan |"


def test_the_question_names_the_format() -> None:
    question = "Please convert the Input Table from {} format to {} format. Please respond only"
    assert asked_format(question.format("CSV", "JSON")) == "json"
    assert asked_format(question.format("JSONL", "Markdown")) == "markdown"
    with pytest.raises(ValueError, match="no target format"):
        asked_format(question.format("CSV", "PDF"))


@pytest.mark.parametrize(
    ("form", "reference", "text"),
    [
        ("csv", CSV, CSV),
        ("csv", CSV, 'size,name\n1.5,Ann\nNaN,"B, C"'),
        ("csv", CSV, f"Here is the table:\n```csv\n{CSV}```"),
        ("csv", CSV, f"I would say:\n{CSV}Done, I hope, in full."),
        ("tsv", TSV, f"```\n{TSV}\n```"),
        ("json", JSON, '```json\n[{"size":1.50,"name":"Ann "},{"name":"B, C","size":null}]\n```'),
        ("json", JSON, JSON.replace("69", "0").replace("1.5", "1.5000000001")),
        ("jsonl", LINES, f"So:\n{LINES}"),
        ("html", HTML, f"It is\n```html\n{HTML.replace('tbody', 'div')}\n```"),
        ("markdown", MARKDOWN, f"<solution>\n{MARKDOWN}\n</solution>"),
    ],
)
def test_the_same_table_is_right(form: str, reference: str, text: str) -> None:
    assert same_table(text, reference, form)


@pytest.mark.parametrize(
    ("form", "reference", "text"),
    [
        ("csv", CSV, CSV.replace("1.50", "1.51")),
        ("csv", CSV, "name,size\nAnn,1.5\n"),
        ("csv", CSV, 'name,size\n"B, C",\nAnn,1.5'),
        ("csv", CSV, CSV + "This line is a row, as published."),
        ("csv", CSV, CSV.replace("Ann", "ann")),
        ("json", JSON, '[{"name":"Ann","size":1.5},{"name":"B, C","size":"NA"}]'),
        ("json", JSON, CSV),
        ("json", JSON, "[" * 100_000),
        ("jsonl", LINES, LINES.split("\n")[0]),
        ("html", HTML, "no table"),
        ("markdown", MARKDOWN, MARKDOWN.replace("-----:", "------")),
        ("tsv", TSV, ""),
    ],
)
def test_another_table_is_wrong(form: str, reference: str, text: str) -> None:
    assert not same_table(text, reference, form)
