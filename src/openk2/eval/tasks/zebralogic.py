"""ZebraLogic: 1,000 logic puzzles of houses and their attributes (arXiv 2502.01100).

Prompt: the puzzle and the JSON form of its solution, zero-shot. Answer: the last JSON object with a
solution; every cell must be the reference's, in any letter case.
Metric: puzzle accuracy, temperature 0.6, output cap 8,192. No judge. The public copy of the set has
`___` for its solutions; the one with solutions is allenai/ZebraLogicBench-private, gated.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score

from openk2.data.error import DataError
from openk2.eval.answers.json_objects import last_object
from openk2.eval.answers.scoring import Answered, by_rule, scored
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import Record, read

HIDDEN = "___"
Houses = dict[str, dict[str, str]]


def houses(record: Record) -> Houses:
    """House -> attribute -> value, of the fields header and rows. Raises DataError if hidden."""
    solution = record.one_of("solution")
    if not isinstance(solution, dict) or not solution.get("rows"):
        raise DataError(f"{record.place}: solution must have header and rows")
    found = {}
    for row in solution["rows"]:
        if HIDDEN in row or len(row) != len(solution["header"]):
            raise DataError(f"{record.place}: solution hidden: use allenai/ZebraLogicBench-private")
        cells = dict(zip(solution["header"][1:], row[1:], strict=True))
        found[f"House {row[0]}"] = {name: str(value) for name, value in cells.items()}
    return found


def asked(puzzle: str, solution: Houses) -> str:
    """The puzzle and the form of its solution, with every house and attribute."""
    empty = {house: dict.fromkeys(cells, HIDDEN) for house, cells in solution.items()}
    form = json.dumps({"solution": empty}, indent=1, ensure_ascii=False)
    return (
        f"{puzzle.strip()}\n\nThink step by step. Then give the solution as one JSON object of this"
        f" form, with the values as the puzzle spells them:\n\n{form}"
    )


def read_samples(folder: Path) -> list[Sample]:
    """Fields id, size, puzzle, solution {header, rows}."""
    samples = []
    for record in read(folder, "grid_mode/*", "*grid_mode*"):
        solution = houses(record)
        samples.append(
            Sample(
                id=record.text("id"),
                input=asked(record.text("puzzle"), solution),
                target=json.dumps(solution, ensure_ascii=False),
                metadata={"size": record.get("size")},
            )
        )
    return samples


def cell(solution: Mapping[str, Any], house: str, name: str) -> str:
    """What an answer says of a cell, in lower case; "" for nothing."""
    given = solution.get(house)
    value = given.get(name, "") if isinstance(given, dict) else ""
    value = value[0] if isinstance(value, list) and value else value
    return str(value).strip().casefold()


def puzzle_rule(asked: Answered) -> Score:
    """1 if every cell is right; how many are, is in the score's metadata."""
    answer = last_object(asked.text, "solution")
    solution = answer["solution"] if answer and isinstance(answer["solution"], dict) else {}
    wanted: Houses = json.loads(asked.reference)
    right = [
        cell(solution, house, name) == value.strip().casefold()
        for house, cells in wanted.items()
        for name, value in cells.items()
    ]
    found = json.dumps(solution, ensure_ascii=False) if solution else None
    return scored(all(right), found, cells=sum(right) / len(right))


ZEBRALOGIC = Benchmark(
    name="zebralogic",
    title="ZebraLogic",
    paper="https://arxiv.org/abs/2502.01100",
    protocol=Protocol(metric="Acc"),
    source=Source(
        folder="zebralogic",
        files=("*grid_mode*",),
        obtain="accept the terms of allenai/ZebraLogicBench-private on the Hugging Face hub (the"
        " public copy hides the solutions), download its grid_mode into zebralogic/",
        hub="allenai/ZebraLogicBench-private",
        gated=True,
    ),
    read=read_samples,
    scorer=by_rule(puzzle_rule),
)
