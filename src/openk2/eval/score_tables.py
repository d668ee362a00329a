"""What `openk2 eval tools` prints: the measures, the kinds of turn, the worst turns."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from openk2.eval.score import MEASURES, ToolCallScore, miss_json
from openk2.record import printable

# Characters of a message shown in the table of the worst turns.
SHOWN = 120
_KIND_MEASURES = ("right_share", "right_tool_share", "exact_share", "told_share",
                  "same_text_share")  # fmt: skip


def score_tables(score: ToolCallScore, title: str) -> Iterator[Table]:
    """The measures, the kinds, and, if a turn went wrong, the ten worst."""
    yield _measures(score, title)
    yield _kinds(score)
    if score.worst(1):
        yield _worst(score)


def _measures(score: ToolCallScore, title: str) -> Table:
    asked = score.turns + score.errors
    if score.in_all is not None and asked < score.in_all:
        title = f"{title}, {asked:,} of {score.in_all:,} turns"
    table = Table("measure", "share (95 %)", "of", title=title)
    for measure in MEASURES:
        share = score.share(measure.key)
        table.add_row(measure.name, str(share), f"{share.whole} {measure.of}")
    table.add_row("cut off at the output cap", str(score.cut_off), f"{score.turns} turns, as wrong")
    if score.errors:
        table.add_row("errors, no answer", str(score.errors), f"{asked} turns, in no share")
    return table


def _kinds(score: ToolCallScore) -> Table:
    named = {measure.key: measure.name for measure in MEASURES}
    table = Table("kind of turn", "turns", "cut off", *(named[key] for key in _KIND_MEASURES),
                  title="by kind, of its turns")  # fmt: skip
    for kind, part in score.by_kind().items():
        shares = (str(part.share(key)) for key in _KIND_MEASURES)
        table.add_row(kind.replace("_", " "), str(part.turns), str(part.cut_off), *shares)
    return table


def _worst(score: ToolCallScore) -> Table:
    table = Table("kind", "fault", "last message", "expected", "got", title="worst turns",
                  show_lines=True)  # fmt: skip
    for verdict in score.worst():
        miss = miss_json(verdict)
        table.add_row(*(Text(bounded(text)) for text in miss.values()))
    return table


def bounded(text: str) -> str:
    """Text on one line, safe for a terminal, cut at SHOWN characters."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}..."
