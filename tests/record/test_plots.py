import sys
from xml.etree import ElementTree

import pytest

from openk2.record.plots import Line, Panel, PlotError, svg
from openk2.record.tables import Table, spread

STEPS = tuple(map(float, range(300)))
PANEL = Panel(
    "Largest logit",
    "step",
    "logit",
    (
        Line("Muon", STEPS, STEPS, low=STEPS, high=tuple(x + 1 for x in STEPS)),
        Line("", (0.0, 299.0), (30.0, 30.0), dashed=True),
    ),
)


def test_a_plot_holds_its_words_as_text_and_is_the_same_each_time():
    text = svg([PANEL, PANEL])
    assert text == svg([PANEL, PANEL])
    words = [element.text for element in ElementTree.fromstring(text).iter() if element.text]
    assert all(words.count(word) == 2 for word in ("Largest logit", "step", "logit", "Muon"))
    assert len(text) < 100_000


def test_lines_of_uneven_columns_are_refused():
    with pytest.raises(ValueError, match="'Muon': x, y, low and high differ in length"):
        Line("Muon", (1.0, 2.0), (1.0,))
    with pytest.raises(ValueError, match="differ in length"):
        Line("Muon", (1.0,), (1.0,), low=(0.5,))


def test_a_missing_matplotlib_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PlotError, match=r"pip install 'openk2\[plots\]'"):
        svg([PANEL])


def test_a_cell_with_a_bar_or_a_line_break_stays_one_cell():
    text = Table(("a", "b"), (("x|y", "1\n2"),)).markdown()
    assert text == "| a | b |\n| --- | --- |\n| x\\|y | 1 2 |\n"


def test_a_row_of_too_few_cells_is_refused():
    with pytest.raises(ValueError, match="has 1 cells, the header 2"):
        Table(("a", "b"), (("x",),))


def test_a_spread_names_mean_lowest_and_highest():
    assert spread([1.0, 2.0, 6.0], 1) == "3.0 (1.0 to 6.0)"
    assert spread([1.23456]) == "1.235"
