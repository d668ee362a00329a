"""The catalogue has the README's rows, in its order, with its figures."""

import subprocess
import sys

import pytest

from openk2.eval.catalogue import NoSuchRowError, find_rows, readme_rows


def total(table: str, number: int) -> float:
    """Sum of a column's figures."""
    columns = [list(row.published.values())[number] for row in readme_rows() if row.table == table]
    return round(sum(figure.value for figure in columns if figure), 1)


def test_the_tables_have_32_and_13_rows_under_names_of_their_own() -> None:
    rows = readme_rows()
    assert [row.table for row in rows] == ["instruct"] * 32 + ["base"] * 13
    assert len({row.name for row in rows}) == 45
    assert len({(row.table, row.label) for row in rows}) == 45


def test_the_figures_are_the_readmes() -> None:
    """Sums of whole columns."""
    instruct = [total("instruct", number) for number in range(7)]
    assert instruct == [2012.2, 1675.6, 1425.4, 1838.8, 1841.0, 1691.3, 1544.7]
    assert [total("base", number) for number in range(4)] == [899.4, 839.9, 777.9, 802.1]


def test_a_cell_is_where_the_readme_has_it() -> None:
    rows = {row.name: row for row in readme_rows()}
    several = rows["swebench-best-of-n"]
    assert (several.title, several.metric) == (
        "SWE-bench Verified (Agentic Coding)",
        "Multiple Attempts (Acc)",
    )
    opus = several.published["Claude Opus 4 (w/o extended thinking)"]
    assert opus is not None
    assert (opus.value, opus.own_report) == (79.4, True)
    assert several.published["GPT-4.1"] is None
    assert rows["terminalbench-terminus"].kimi == 25.0
    assert rows["gpqa-diamond-base"].kimi == 48.1
    assert rows["csimpleqa-base"].section == "Chinese Tasks"


def test_rows_are_found_by_name_in_the_readmes_order() -> None:
    assert [row.name for row in find_rows(["mmlu", "aime-2024"])] == ["aime-2024", "mmlu"]
    assert len(find_rows(["base"])) == 13
    assert len(find_rows([])) == 45
    with pytest.raises(NoSuchRowError, match="did you mean 'aime-2024'"):
        find_rows(["AIME 2024"])


def test_the_catalogue_does_not_import_inspect_ai() -> None:
    code = (
        "import sys, openk2.eval.catalogue as c; c.readme_rows(); "
        "assert 'inspect_ai' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_our_own_measures_are_rows_that_are_asked_for_by_name() -> None:
    assert [row.name for row in find_rows(["openk2"])] == ["tools", "weather"]
    for row in find_rows(["tools", "weather"]):
        assert (row.variant, row.kimi) == ("instruct", None)
        assert (row.benchmark.title, row.benchmark.protocol.metric) == (row.title, row.metric)
